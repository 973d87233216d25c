"""What the scripts of rules load at a job's start: a library that a job does not use costs up to seconds."""

import ast
import subprocess
import sys

import pytest
from checkouts import REPOSITORY

NEEDLESS = {
    "write_events": {"torch", "matplotlib"},
    "infer": {"torch", "matplotlib"},
    "measure_differences": {"torch", "matplotlib"},
    "measure_decisions": {"torch", "matplotlib"},
    "measure_pairs": {"torch", "matplotlib"},
    "judge": {"torch", "matplotlib", "h5py"},
    "require_verdicts": {"torch", "matplotlib", "h5py"},
    "summarize_verdicts": {"torch", "matplotlib", "h5py"},
    "plot_decisions": {"torch", "sklearn", "h5py"},
    "plot_differences": {"torch", "sklearn", "h5py"},
    "plot_physics": {"torch", "sklearn"},
    "write_provenance": {"torch", "matplotlib", "h5py", "numpy"},
}


def imports_of(script: str) -> str:
    """The import statements of a script, but those for type checkers."""
    tree = ast.parse((REPOSITORY / f"workflow/scripts/{script}.py").read_text())
    found = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(line for line in found if "snakemake" not in line)


@pytest.mark.parametrize("script", NEEDLESS)
def test_a_job_loads_no_library_that_it_does_not_use(script):
    code = f"{imports_of(script)}\nimport sys\nprint(*{NEEDLESS[script]} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
