import shutil
from pathlib import Path

import pytest

import soaflow
from soaflow import provenance
from soaflow.errors import ConfigError
from soaflow.provenance import class_module, code_digest


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A copy of the package whose modules a test may edit."""
    root = tmp_path / "src"
    shutil.copytree(Path(soaflow.__file__).parent, root / "soaflow")
    monkeypatch.setattr(provenance, "_SOURCE_ROOT", root)
    clear_caches()
    yield root / "soaflow"
    clear_caches()


def clear_caches():
    for cached in ("_source_file", "_dependencies", "_tree", "_code"):
        getattr(provenance, cached).cache_clear()


def digest_after(edit, path, module):
    before = code_digest(module)
    path.write_text(edit(path.read_text()))
    clear_caches()
    return before, code_digest(module)


def test_an_edit_of_an_imported_module_changes_the_digest(source):
    before, after = digest_after(
        lambda text: text.replace("DEFAULT_ALIGNMENT = 128", "DEFAULT_ALIGNMENT = 64"),
        source / "soa/layout.py",
        "soaflow.soa.storage",
    )
    assert before != after


def test_comments_docstrings_and_format_do_not_count(source):
    before, after = digest_after(
        lambda text: (
            "# a comment\n" + text.replace('"""Where each', '"""Oh, where each').replace("\n\n", "\n\n\n")
        ),
        source / "soa/layout.py",
        "soaflow.soa.storage",
    )
    assert before == after


def test_a_module_that_is_not_imported_does_not_count(source):
    before, after = digest_after(
        lambda text: text + "\nEXTRA = 1\n", source / "soa/batches.py", "soaflow.soa.storage"
    )
    assert before == after


def test_a_file_of_the_user_counts(tmp_path):
    model = tmp_path / "model.py"
    model.write_text("WIDTH = 1\n")
    before = code_digest(str(model))
    clear_caches()
    model.write_text("WIDTH = 2\n")
    assert code_digest(str(model)) != before
    clear_caches()


def test_a_missing_module_is_named():
    with pytest.raises(ConfigError, match=r"no module 'no\.such'"):
        code_digest("no.such")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"class Net(:\n", r"model\.py is not valid Python in line 1: "),
        (b"WIDTH = '\xff'\n", r"model\.py is not valid Python"),
        (b"\0", r"model\.py is not valid Python"),
        (None, r"there is no file '.*model\.py'"),
    ],
    ids=["syntax", "encoding", "zero byte", "missing"],
)
def test_a_file_that_is_not_python_is_named(tmp_path, content, sentence):
    model = tmp_path / "model.py"
    if content is not None:
        model.write_bytes(content)
    with pytest.raises(ConfigError, match=sentence):
        code_digest(str(model))


def test_class_module():
    assert class_module("package.module:Class") == "package.module"
    assert class_module("folder/file.py:Class") == "folder/file.py"
