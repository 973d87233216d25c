"""The machine's fingerprint, from folders that stand for `/proc` and `/sys`."""

import importlib.metadata
import os

from soaflow.machine import Load, this_machine

CPUINFO = "processor\t: 0\nmodel name\t: Test\nflags\t\t: sse2 {}\nbugs\t\t:\n"


def tree(root, *, flags="avx2 hypervisor", governor="performance", caches=True):
    core = root / "sys/devices/system/cpu/cpu0"
    (root / "proc").mkdir(parents=True)
    (root / "proc/cpuinfo").write_text(CPUINFO.format(flags))
    if governor:
        (core / "cpufreq").mkdir(parents=True)
        (core / "cpufreq/scaling_governor").write_text(governor + "\n")
    for number, (level, kind, size, shared) in enumerate(
        [(1, "Data", "32K", "0"), (3, "Unified", "32768K", "0-3,8")] if caches else []
    ):
        folder = core / f"cache/index{number}"
        folder.mkdir(parents=True)
        for name, value in (("level", level), ("type", kind), ("size", size), ("shared_cpu_list", shared)):
            (folder / name).write_text(f"{value}\n")
    return root


def test_what_the_kernel_tells_is_read(tmp_path):
    machine = this_machine(tree(tmp_path))
    assert machine.caches == ("L1d 32K, shared by 1", "L3 32768K, shared by 5")
    assert (machine.governor, machine.virtual) == ("performance", True)
    assert machine.to_mapping()["caches"] == list(machine.caches)


def test_packages_that_compute_are_told_if_they_are_installed(monkeypatch):
    versions = {"torch": "2.11.0", "numpy": "2.5.5", "pytest": "9.2.0"}

    def version(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert this_machine().packages == {"torch": "2.11.0", "numpy": "2.5.5"}
    versions["onnxruntime"] = "1.32.0"
    assert this_machine().packages == {"torch": "2.11.0", "onnxruntime": "1.32.0", "numpy": "2.5.5"}


def test_other_flags_are_another_machine_and_their_order_is_not(tmp_path):
    digests = [
        this_machine(tree(tmp_path / str(number), flags=flags)).flags_sha256
        for number, flags in enumerate(["avx2 fma", "fma avx2", "avx2"])
    ]
    assert digests[0] == digests[1] != digests[2]


def test_what_cannot_be_read_is_empty(tmp_path):
    machine = this_machine(tree(tmp_path, flags="avx2", governor="", caches=False))
    assert (machine.caches, machine.governor, machine.virtual) == ((), "", False)


def test_no_name_of_the_host_is_told():
    assert os.uname().nodename not in str(this_machine().to_mapping())


def test_the_load_of_others_is_what_is_not_ones_own():
    before = Load(1.0, wall_seconds=100.0, own_seconds=5.0, busy_seconds=1000.0, stolen_seconds=1.0)
    after = Load(3.0, wall_seconds=110.0, own_seconds=14.0, busy_seconds=1024.0, stolen_seconds=2.5)
    passed = after.since(before)
    assert (passed.load_average, passed.stolen_seconds, passed.others_cores) == (3.0, 1.5, 1.5)
    assert passed.to_mapping()["others_cores"] == 1.5


def test_counters_are_read_in_their_order(tmp_path):
    ticks = os.sysconf("SC_CLK_TCK")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text(
        "cpu  " + " ".join(str(ticks * value) for value in (1, 2, 4, 8, 16, 32, 64, 128, 256)) + "\ncpu0 1\n"
    )
    load = Load.now(tmp_path)
    assert (load.busy_seconds, load.stolen_seconds) == (1 + 2 + 4 + 32 + 64, 128)
