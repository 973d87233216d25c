import pytest

from soaflow.errors import ExportError
from soaflow.export.targets import TARGETS, find_target


def test_targets_are_found_by_their_names():
    assert all(find_target(name).name == name for name in TARGETS)
    assert "native" in TARGETS


def test_an_unknown_target_is_a_sentence():
    with pytest.raises(ExportError, match="no target 'z80': choose one of native"):
        find_target("z80")
