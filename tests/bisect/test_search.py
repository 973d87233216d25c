import subprocess
import sys

import pytest
import torch

from soaflow.bisect.search import bisect
from soaflow.errors import ArtifactError, StorageError
from soaflow.export.aot import write_aot
from soaflow.export.jit import write_jit
from soaflow.export.onnx import write_onnx
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput


@pytest.fixture
def faulty(net):
    model = net()
    with torch.no_grad():
        model.last[0].weight[3, 4] += 1e-3
    return model


def jit(model, signature, path):
    write_jit(model, signature, path, model_name="Net", dtype="float32", origin={})
    return path


def command(*arguments):
    words = [sys.executable, "-m", "soaflow", "bisect", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.compile
def test_an_artifact_of_a_faulty_program(program, events, net, faulty, tmp_path):
    right, wrong, artifact = program(net()), program(faulty, "faulty"), tmp_path / "artifact.pt2"
    write_aot(wrong, "native", artifact)
    with pytest.raises(ArtifactError, match=r"was made from the program with SHA-256 .* --made-from"):
        bisect(right, artifact, events)
    answer = bisect(right, artifact, events, made_from=wrong)
    assert answer.divergence.operation.module == "last.0"
    assert answer.builds == 0, "the programs tell, so nothing is compiled"
    itself = bisect(wrong, artifact, events)
    assert (itself.diverges, itself.operations) == (False, 2)


def test_a_torchscript_artifact(program, events, net, faulty, tmp_path, signature):
    right, wrong = program(net()), program(faulty, "faulty")
    fine, artifact = (
        jit(net(), signature, tmp_path / "fine.pt"),
        jit(faulty, signature, tmp_path / "wrong.pt"),
    )
    assert not bisect(right, fine, events).diverges
    assert bisect(right, artifact, events, made_from=wrong).divergence.operation.module == "last.0"
    unplaced = bisect(right, artifact, events)
    assert unplaced.diverges
    assert unplaced.divergence is None
    assert "built from something else" in unplaced.describe()


def test_an_onnx_artifact(program, events, net, faulty, tmp_path, signature):
    right, wrong, artifact = program(net()), program(faulty, "faulty"), tmp_path / "wrong.onnx"
    write_onnx(faulty, signature, artifact, model_name="Net", dtype="float32", origin={})
    assert not bisect(wrong, artifact, events).diverges
    assert bisect(right, artifact, events, made_from=wrong).divergence.operation.module == "last.0"
    unplaced = bisect(right, artifact, events)
    assert unplaced.diverges
    assert "built from something else" in unplaced.describe()


def test_files_that_do_not_go_together(program, events, net, tmp_path, signature):
    right = program(net())
    other = Signature(signature.inputs, (TensorOutput("y", ("y",)),), Layout.of(Item("y", "float32")))
    narrow = program(torch.nn.Linear(3, 1), "narrow", signature=other)
    with pytest.raises(ArtifactError, match="has other inputs or outputs than the program"):
        bisect(right, narrow, events)
    with pytest.raises(ArtifactError, match="name a program"):
        bisect(jit(net(), signature, tmp_path / "net.pt"), right, events)
    with pytest.raises(ArtifactError, match="leave out the one it was made from"):
        bisect(right, right, events, made_from=right)


def test_events_without_rows_or_of_another_layout(program, events_of, net, signature):
    right = program(net())
    with pytest.raises(StorageError, match="has no rows of 'particles'"):
        bisect(right, right, events_of(signature, 0))
    (spec,) = signature.inputs
    renamed = Layout.of(*(Item(name, "float32") for name in ("pt", "eta", "psi")))
    other = Signature((TensorInput(spec.name, spec.collection, renamed, renamed.names),), *outputs(signature))
    with pytest.raises(StorageError, match="item 'phi' is missing"):
        bisect(right, right, events_of(other, 10))


def outputs(signature):
    return signature.outputs, signature.output_layout


def test_the_command_line(program, events, net, faulty):
    right, wrong = program(net()), program(faulty, "faulty")
    fine, found = command(right, right, events), command(right, wrong, events, "--rows", 700)
    assert (fine.returncode, fine.stderr) == (0, "")
    assert fine.stdout == "no operation diverges\n2500 rows, 11 outputs compared\n"
    assert (found.returncode, found.stderr) == (1, "")
    assert found.stdout.startswith("first diverging operation: aten.linear.default (linear_2)\n")
    assert "700 rows" in found.stdout
    bad = command(right, wrong, events, "--factor", 0)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == "soaflow: error: --factor is 0.0: give a number above 0\n"
    missing = command(right, wrong.with_name("none.pt2"), events)
    assert missing.returncode == 2
    assert missing.stderr.count("\n") == 1
