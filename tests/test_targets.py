import pytest

from soaflow.cpu import Cpu, extensions_of_level
from soaflow.errors import TargetError
from soaflow.targets import CPU_TARGETS, best_target, find_target, require_buildable


def cpu(level):
    return Cpu("Test CPU", "x86_64", level, frozenset())


def test_targets_are_found_by_their_names():
    assert list(CPU_TARGETS) == ["native", "x86-64-v2", "x86-64-v3", "x86-64-v4"]
    assert all(find_target(name).name == name for name in CPU_TARGETS)
    assert find_target("cuda-sm_90a").architecture == "sm_90a"


@pytest.mark.parametrize("name", ["z80", "cuda", "cuda-90", "x86-64-v5", "cuda-sm_90; rm", ""])
def test_an_unknown_target_is_a_sentence(name):
    with pytest.raises(TargetError, match=f"no target '{name}': choose one of native, x86-64-v2"):
        find_target(name)


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_a_machine_builds_its_level_and_those_below(level):
    for target in CPU_TARGETS.values():
        if target.level is None or target.level <= level:
            require_buildable(target, cpu=cpu(level))
        else:
            with pytest.raises(
                TargetError, match=rf"{target.name} is above .* Test CPU \(x86-64(-v\d)?\): build on"
            ):
                require_buildable(target, cpu=cpu(level))


def test_a_gpu_target_needs_a_gpu_of_its_architecture():
    target = find_target("cuda-sm_90")
    require_buildable(target, architectures=["sm_80", "sm_90"])
    with pytest.raises(TargetError, match="needs a GPU of sm_90, and this machine shows sm_80"):
        require_buildable(target, architectures=["sm_80"])
    with pytest.raises(TargetError, match="shows no NVIDIA GPU"):
        require_buildable(target, architectures=[])


def test_the_best_target_is_the_highest_that_fits():
    names = ["x86-64-v4", "native", "x86-64-v2", "cuda-sm_90", "x86-64-v3"]
    assert [best_target(names, level) for level in (1, 2, 3, 4)] == [
        None,
        "x86-64-v2",
        "x86-64-v3",
        "x86-64-v4",
    ]
    assert best_target([], 4) is None


def test_levels_contain_those_below():
    assert extensions_of_level(1) < extensions_of_level(2) < extensions_of_level(3) < extensions_of_level(4)
    assert "avx512f" in extensions_of_level(4) - extensions_of_level(3)
