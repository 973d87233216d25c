import os
import subprocess
import sys

import pytest
import torch
from torch import fx

from soaflow.export.program import read_program
from soaflow.export.source_lines import SOURCE_LINE, location_of, source_line

USER_MODEL = """
from torch import nn

class UserNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, particles):
        shifted = particles + 1
        return self.layer(shifted)
"""
WRITE = """
import sys
from soaflow.export.program import write_program
from soaflow.models.loading import build_model
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
layout = Layout.of(*(Item(name, "float32") for name in ("pt", "eta", "phi")))
signature = Signature((TensorInput("particles", "particles", layout, layout.names),),
                      (TensorOutput("y", ("y",)),), Layout.of(Item("y", "float32")))
model = build_model(sys.argv[1], {}, seed=1)
write_program(model, signature, sys.argv[2], model_name="M", dtype="float32", origin={})
"""


def trace(*frames: str) -> str:
    return "\n".join(
        f'  File "{file}", line {line}, in forward\n    code' for file, line in map(str.split, frames)
    )


@pytest.mark.parametrize(
    ("frames", "location"),
    [
        (["/home/someone/nets/net.py 7"], "net.py:7"),
        (["/home/someone/nets/net.py 7", f"{torch.__path__[0]}/nn/modules/linear.py 134"], "net.py:7"),
        (["/home/someone/outer.py 7", "/home/someone/inner.py 9"], "inner.py:9"),
        (["/home/someone/net.py 7", "<eval_with_key>.0 10"], "net.py:7"),
        (["torch/fx/passes/runtime_assert.py 24"], ""),
        ([], ""),
    ],
)
def test_locations_of_stack_traces(frames, location):
    assert location_of(trace(*frames)) == location


def test_a_file_of_a_package_is_named_from_the_package_on(tmp_path):
    inner = tmp_path / "nets" / "deep"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "__init__.py").touch()
    assert location_of(trace(f"{inner / 'net.py'} 3")) == "nets/deep/net.py:3"


def test_every_operation_of_a_program_has_one(program_file, case):
    nodes = [node for node in read_program(program_file).graph.nodes if node.op == "call_function"]
    from_model = [node for node in nodes if case.name.lower() in str(node.meta["nn_module_stack"]).lower()]
    assert from_model
    assert all(source_line(node) for node in from_model)
    assert all("stack_trace" not in node.meta for node in nodes)


def test_the_same_user_model_in_two_folders(tmp_path):
    written = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "user_net.py").write_text(USER_MODEL)
        arguments = [f"{folder}/user_net.py:UserNet", folder / "M.pt2"]
        subprocess.run([sys.executable, "-c", WRITE, *arguments], check=True, env=dict(os.environ))
        written.append((folder / "M.pt2").read_bytes())
    assert written[0] == written[1]
    assert str(tmp_path).encode() not in written[0]
    lines = {source_line(node) for node in read_program(tmp_path / "one" / "M.pt2").graph.nodes}
    assert {"user_net.py:10", "user_net.py:11"} <= lines


@pytest.mark.parametrize("kept", ["no location", "a.py:1\n\x1b[2J", 7, None])
def test_what_a_foreign_program_has_instead_is_not_shown(kept):
    graph = fx.Graph()
    node = graph.placeholder("x")
    node.meta["custom"] = {SOURCE_LINE: kept}
    assert source_line(node) == ""
