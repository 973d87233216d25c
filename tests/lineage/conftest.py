"""A run of two jobs in a folder of its own: weights from a source, and predictions from the weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from soaflow.files import sha256_of_file
from soaflow.lineage.record import Provenance
from soaflow.lineage.recording import JobEntry, record_provenance
from soaflow.provenance import code_digest

SOURCE, WEIGHTS, PREDICTIONS = "mine.root", "results/weights/Net.pt", "results/predictions/toy/0/Net.jit.h5"

Entries = list[JobEntry]


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entries:
    """The jobs, as a workflow hands them over; the folder is the working directory."""
    monkeypatch.chdir(tmp_path)
    for path in (SOURCE, WEIGHTS, PREDICTIONS):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(f"content of {path}")
    Path("train.py").write_text("import numpy\n")
    Path("infer.py").write_text("EPOCHS = 1\n")

    def entry(rule: str, source: str, made: str) -> JobEntry:
        return JobEntry(
            rule=rule,
            wildcards={"model": "Net"},
            inputs=(source,),
            outputs=(made,),
            parameters={"seed": 7, "options": {"width": 3}, "code": code_digest(f"{rule}.py")},
            code={"code": f"{rule}.py"},
            read={source: sha256_of_file(source)},
            ended={made: Path(made).stat().st_mtime},
        )

    return [entry("infer", WEIGHTS, PREDICTIONS), entry("train", SOURCE, WEIGHTS)]


Recorded = Callable[[Entries], Provenance]


@pytest.fixture
def recorded() -> Recorded:
    def recorded(entries: Entries) -> Provenance:
        return record_provenance(entries, configuration={"seed": 7}, snakemake_version="9")

    return recorded


@pytest.fixture
def unrecorded(entries: Entries) -> Entries:
    """The jobs, of which nobody recorded what they read."""
    return [replace(entry, read={}) for entry in entries]
