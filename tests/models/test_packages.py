import subprocess
import sys

import pytest

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


def test_no_compiler_is_imported():
    code = "import sys, soaflow.models.packages; sys.exit('torch._inductor' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
