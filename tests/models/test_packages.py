import subprocess
import sys

import pytest
import torch

from soaflow.errors import ArtifactError
from soaflow.models.packages import load_package


def test_what_is_no_package_is_a_sentence(tmp_path):
    path = tmp_path / "Net.pt2"
    path.write_bytes(b"not a package")
    with pytest.raises(ArtifactError, match=r"Net\.pt2 cannot be loaded as an AOTInductor package \(\w+"):
        load_package(path)


def test_why_a_package_cannot_be_unpacked_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    with pytest.raises(ArtifactError, match=r"\(.*Not a directory.*\): free space or set TMPDIR"):
        load_package(tmp_path / "Net.pt2")


@pytest.mark.parametrize(("device", "index"), [("cpu", -1), ("cuda", 3)])
def test_a_package_is_loaded_for_the_current_gpu(tmp_path, monkeypatch, device, index):
    given = []

    class Loader:
        def __init__(self, *arguments):
            given.append(arguments)

        def run(self, inputs):
            return inputs

    monkeypatch.setattr(torch._C._aoti, "AOTIModelPackageLoader", Loader)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    path = tmp_path / "Net.pt2"
    assert load_package(path, device)([1]) == [1]
    assert given == [(str(path), "model", True, 1, index)]


def test_no_compiler_is_imported():
    code = "import sys, soaflow.models.packages; sys.exit('torch._inductor' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
