"""What goes into a compilation, and what of the building machine may not come out of it."""

import dataclasses
import functools
import os
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from soaflow.cache import Cache
from soaflow.cpu import extensions_of_level, this_cpu
from soaflow.errors import ExportError
from soaflow.export import aot, compilation
from soaflow.export.aot import write_aot
from soaflow.export.archives import read_records
from soaflow.export.compilation import OPTIONS, Compiled, build_options, compiler_facts
from soaflow.export.machine_code import read_machine_code
from soaflow.export.program import read_program, write_program
from soaflow.passport import read_passport
from soaflow.profiles import PROFILES, find_profile
from soaflow.soa.storage import EVENTS, writing
from soaflow.targets import CPU_TARGETS, Target, find_target
from soaflow.threads import SINGLE_THREAD_VARIABLES


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("target", CPU_TARGETS)
def test_no_profile_takes_back_what_all_builds_or_the_target_need(workshop, target, profile):
    program = read_program(workshop.program("NormalisationFirst"))
    options = build_options(program, find_target(target), find_profile(profile))
    assert options.items() >= {**OPTIONS, **find_target(target).inductor_options()}.items()
    assert options["cpp.threads"] == 1
    with torch._inductor.config.patch(options):  # a name that this torch has not is an error
        pass


def test_a_package_goes_through_bytes_unchanged():
    compiled = Compiled({"data/aotinductor/model/a.so": bytes(range(256)), "other": b""}, ("-O3", "-shared"))
    again = Compiled.from_bytes(compiled.to_bytes())
    assert {name: again.records[name] for name in compiled.records} == compiled.records
    assert again.flags == compiled.flags
    assert not [name for name in again.records if "flags" in name]


@pytest.mark.parametrize("target", ["x86-64-v2", "x86-64-v3"])
def test_weights_are_packed_only_where_torch_saw_no_more_than_the_target(
    workshop, tmp_path, monkeypatch, target
):
    workshop.require(target)
    program = workshop.program("NormalisationFirst")
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    with pytest.raises(
        ExportError, match=f"weights cannot be packed for target {target} .*'soaflow rebuild' or the workflow"
    ):
        write_aot(program, target, tmp_path / "out" / "Net.pt2", profile_name="throughput")
    assert not (tmp_path / "out").exists()


@pytest.mark.compile
def test_the_flags_are_recorded_without_paths(first_build):
    flags = read_passport(first_build[1]).builds["native"].toolchain["flags"]
    assert flags == sorted(set(flags))
    calls = [call.split() for call in flags]
    assert not [flag for call in calls for flag in call if "/" in flag or not flag.startswith("-")]
    compiling = [call for call in calls if "-c" in call]
    assert [call for call in compiling if "-O3" in call]
    assert [call for call in calls if "-shared" in call]
    for call in compiling:
        assert [flag for flag in call if flag.startswith("-march=")]
        assert call.index("-ffinite-math-only") < call.index("-fno-finite-math-only"), "the last one holds"


@pytest.mark.compile
@pytest.mark.parametrize(
    ("name", "profile"), [("NormalisationFirst", "latency"), ("ConvolutionFirst", "throughput")]
)
def test_two_clean_builds_give_the_same_bytes(workshop, tmp_path, name, profile):
    """The second has another scratch folder, home, order of hashing, and no cache of either."""
    target = "x86-64-v2"
    artifact = workshop.artifact(name, target, profile)
    again, scratch = tmp_path / "again" / artifact.name, tmp_path / "a-rather-long-name-of-a-scratch-folder"
    scratch.mkdir()
    changed = {"TMPDIR": str(scratch), "HOME": str(scratch), "PYTHONHASHSEED": "7"}
    done = workshop.rebuild(workshop.program(name), target, profile, again, **changed)
    assert done.returncode == 0, done.stderr
    assert again.read_bytes() == artifact.read_bytes()
    first, second = (read_passport(path).to_mapping() for path in (artifact, again))
    assert first.pop("made") != second.pop("made")
    assert first == second


@pytest.mark.compile
@pytest.mark.parametrize("target", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_no_instruction_of_this_cpu_is_in_what_is_built_for_a_level(workshop, target):
    profile = "throughput"
    passport = read_passport(workshop.artifact("NormalisationFirst", target, profile))
    found = set(passport.builds[target].machine_code["extensions"])
    assert found <= extensions_of_level(find_target(target).level)


@pytest.fixture
def bfloat16_program(normalisation_case, workshop, tmp_path):
    """Of a model whose machine code has bfloat16 instructions wherever the compiler may use them."""
    workshop.require("x86-64-v4")
    if "avx512_bf16" not in this_cpu().extensions:
        pytest.skip("this CPU has no avx512_bf16, which could leak into x86-64-v4: not tried")
    path, case = tmp_path / "Net.bfloat16.pt2", normalisation_case
    write_program(case.model, case.signature, path, model_name="Net", dtype="bfloat16", origin={})
    return path


@pytest.mark.compile
def test_no_bfloat16_instruction_leaks_into_v4(workshop, bfloat16_program, tmp_path):
    done = workshop.rebuild(bfloat16_program, "x86-64-v4", "latency", tmp_path / "Net.v4.pt2")
    assert done.returncode == 0, done.stderr
    passport = read_passport(tmp_path / "Net.v4.pt2")
    build = passport.builds["x86-64-v4"]
    found = set(build.machine_code["extensions"])
    assert "avx512f" in found
    assert found <= extensions_of_level(4)
    assert not [call for call in build.toolchain["flags"] if "vnni" in call or "bf16" in call]


@pytest.mark.compile
def test_if_the_march_of_this_cpu_were_used_the_leak_would_be_caught(workshop, tmp_path, monkeypatch):
    """The planted fault: vectors of the target's width alone leave what else this CPU has in the file."""
    workshop.require("x86-64-v4")
    monkeypatch.setattr(Target, "inductor_options", lambda target: {"cpp.simdlen": target.simdlen})
    for name, value in find_target("x86-64-v3").build_environment().items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "out" / "Net.pt2"
    with pytest.raises(ExportError, match=r"needs .*avx512\w+ instructions, which x86-64-v3 lacks"):
        write_aot(workshop.program("NormalisationFirst"), "x86-64-v3", path)
    assert not path.parent.exists()


def test_torch_left_to_itself_takes_what_this_cpu_has_beyond_v4(workshop, monkeypatch):
    """The planted fault that `_instruction_set_of` is there for: flags tell of it, if no instruction does."""
    workshop.require("x86-64-v4")
    if "avx512_vnni" not in this_cpu().extensions:
        pytest.skip("this CPU has no avx512_vnni, which could leak into x86-64-v4: not tried")
    monkeypatch.setattr(compilation, "_instruction_set_of", lambda _: nullcontext())
    facts = compiler_facts(find_target("x86-64-v4"))
    assert facts["vector_instructions"] != "avx512"


def test_the_vector_instructions_are_the_targets():
    facts = {name: compiler_facts(find_target(name)) for name in ("x86-64-v2", "x86-64-v3", "x86-64-v4")}
    assert [facts[name]["vector_instructions"] for name in facts] == ["none", "avx2", "avx512"]
    assert [facts[name]["march"] for name in facts] == list(facts)


JOB = """
import sys
from soaflow.infer import backends
from soaflow.infer.job import run_job
from soaflow.infer.variants import Backend, Variant
from soaflow.passport import read_passport
from soaflow.soa.signature import Signature
from soaflow.threads import run_single_threaded
run_single_threaded()
artifact, events, predictions = sys.argv[1:]
signature = Signature.from_mapping(read_passport(artifact).description.signature, artifact)
run_job(lambda: backends.aot(artifact, signature), signature, events, predictions, predictions + ".json",
        variant=Variant("aot", Backend.AOT), attributes={"dataset": "toy", "shard": 0, "model": "M"})
"""


@pytest.mark.compile
def test_a_package_built_with_threads_is_caught_at_its_build_and_by_a_jobs_proof(
    workshop, tmp_path, monkeypatch
):
    """The planted fault: without `cpp.threads` the thread count of the building process is compiled in."""
    program, path = workshop.program("ConvolutionFirst"), tmp_path / "out" / "Net.pt2"
    options = {name: value for name, value in OPTIONS.items() if name != "cpp.threads"}
    cache = Cache(tmp_path / "cache")
    monkeypatch.setattr(compilation, "OPTIONS", options)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(ExportError, match=r"starts threads with GOMP_parallel: .*cpp\.threads = 1"):
            write_aot(program, "native", path, cache=cache)
    finally:
        torch.set_num_threads(threads)
    assert not path.parent.exists()
    blind = functools.partial(dataclasses.replace, parallel_regions=())
    monkeypatch.setattr(aot, "read_machine_code", lambda library: blind(read_machine_code(library)))
    assert write_aot(program, "native", path, cache=cache).made["native"]["from_cache"]

    layout = workshop.case("ConvolutionFirst").signature.inputs[0].layout
    events = tmp_path / "events.h5"
    with writing(events, EVENTS, {"particles": layout.place(3000)}, {"dataset": "toy"}) as writer:
        for item in layout.items:
            writer.write("particles", item.name, np.ones((3000, *item.shape), item.dtype))

    def run(artifact):
        command = [sys.executable, "-c", JOB, artifact, events, tmp_path / "predictions.h5"]
        environment = {**os.environ, **SINGLE_THREAD_VARIABLES}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    done = run(path)
    assert done.returncode != 0
    assert "ProofError" in done.stderr
    assert "3 threads were seen" in done.stderr
    honest = run(workshop.artifact("ConvolutionFirst", "x86-64-v2", "throughput"))
    assert honest.returncode == 0, honest.stderr


@pytest.mark.compile
def test_the_package_has_no_sources(first_build):
    records = read_records(first_build[1].read_bytes())
    assert not [name for name in records if name.endswith((".cpp", ".kernel_metadata.json"))]
