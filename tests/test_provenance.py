import importlib.metadata
import shutil
from pathlib import Path

import pytest

import soaflow
from soaflow import provenance
from soaflow.errors import ConfigError
from soaflow.provenance import class_module, code_digest


@pytest.fixture(autouse=True)
def fresh_caches():
    """Let nothing that a test replaces be remembered by those after it."""
    clear_caches()
    yield
    clear_caches()


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A copy of the package whose modules a test may edit."""
    root = tmp_path / "src"
    shutil.copytree(Path(soaflow.__file__).parent, root / "soaflow")
    monkeypatch.setattr(provenance, "_SOURCE_ROOT", root)
    return root / "soaflow"


def clear_caches():
    for cached in vars(provenance).values():
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()


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


@pytest.mark.parametrize(
    ("statement", "helper"),
    [
        ("from layers import Block", "layers.py"),
        ("import layers", "layers.py"),
        ("from parts.layers import Block", "parts/layers.py"),
        ("from parts import layers", "parts/layers.py"),
    ],
)
def test_what_a_users_file_imports_from_its_folder_counts(tmp_path, statement, helper):
    model, layers = tmp_path / "model.py", tmp_path / helper
    layers.parent.mkdir(exist_ok=True)
    model.write_text(f"{statement}\n")
    layers.write_text("Block = 1\n")
    before = code_digest(str(model))
    layers.write_text("Block = 2\n")
    clear_caches()
    assert code_digest(str(model)) != before


def test_relative_imports_of_a_users_package_count(tmp_path, monkeypatch):
    package = tmp_path / "users_models"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "net.py").write_text("from .layers import Block\nfrom . import heads\n")
    (package / "layers.py").write_text("Block = 1\n")
    (package / "heads.py").write_text("Head = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    digests = {code_digest("users_models.net")}
    for name in ("layers", "heads"):
        (package / f"{name}.py").write_text("Changed = 2\n")
        clear_caches()
        digests.add(code_digest("users_models.net"))
    assert len(digests) == 3


def test_the_version_of_an_installed_distribution_counts(monkeypatch):
    with_torch, without = "soaflow.models.simple_net", "soaflow.soa.batches"
    before = {module: code_digest(module) for module in (with_torch, without)}
    clear_caches()
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "99" if name == "torch" else version(name)
    )
    assert code_digest(with_torch) != before[with_torch]
    assert code_digest(without) == before[without]


def test_the_place_of_the_files_does_not_count(tmp_path):
    digests = set()
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        (folder / "model.py").write_text("WIDTH = 1\n")
        digests.add(code_digest(str(folder / "model.py")))
    assert len(digests) == 1
