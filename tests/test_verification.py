"""Nothing is compiled here: a hand-made package passes for what its hand-made passport claims."""

import contextlib
import copy
import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from soaflow import verification
from soaflow.archives import DESCRIPTION
from soaflow.cpu import Cpu, extensions_of_level
from soaflow.description import Description
from soaflow.errors import ArtifactError, SoaflowError
from soaflow.export.archives import described, hand_over, read_records, write_records
from soaflow.export.jit import write_jit
from soaflow.files import json_text
from soaflow.gpu import compute_capability
from soaflow.passport import DIGEST, Build, _digest, passport_path, read_passport
from soaflow.soa.contract import caller_obligations, describe_contract
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
from soaflow.verification import ACCEPTABLE, Host, chosen_target, examine, verify_artifact

LAYOUT = Layout.of(Item("pt", "float32"), Item("eta", "float32"))
SIGNATURE = Signature(
    (TensorInput("particles", "particles", LAYOUT, ("pt", "eta")),),
    (TensorOutput("y", ("y",)),),
    Layout.of(Item("y", "float32")),
)
TORCH = torch.__version__.partition("+")[0]
TOOLCHAIN = {"torch": torch.__version__, "python": "3.11.2", "c_library": "glibc 2.36", "machine": "x86_64"}
CODE = {
    "instructions": 9,
    "vector_registers": [],
    "extensions": [],
    "parallel_regions": [],
    "glibc": "2.14",
    "glibcxx": "",
    "libraries": [],
}
CHECKS = {
    "calls": [{"rows": 1}],
    "tolerance": 1e-05,
    "largest_difference": {"y": 0.0},
    "largest_value": {"y": 1.0},
    "variation": {"y": 1.0},
    "largest_integer": 0,
}
MADE = {"time": "2026-01-01T00:00:00Z", "host": "one", "cpu": "some", "seconds": 1.5, "from_cache": False}


def cpu(level, *extensions, architecture="x86_64"):
    return Cpu("Test CPU", architecture, level, frozenset(extensions))


HOST = Host(cpu(4), TORCH, "2.36", ())


def package(kind, targets):
    contents = {"archive_format": b"pt2", "archive_version": b"0", ".data/version": b"6\n"}
    for model in ("model",) if kind == "aot" else targets:
        folder = f"data/aotinductor/{model}/model.wrapper"
        device = "cuda" if targets[0].startswith("cuda") else "cpu"
        contents[f"{folder}_metadata.json"] = json.dumps({"AOTI_DEVICE_KEY": device}).encode()
        contents[f"{folder}.so"] = b"\x7fELF" + model.encode() * 9
    return contents


def hand_made(folder, *targets, toolchain=TOOLCHAIN, **code):
    """Write an artifact of one target or a fat one, with facts of its machine code."""
    kind = "fat" if len(targets) > 1 else "aot"
    description = Description(
        kind=kind,
        model="Net",
        dtype="float32",
        targets=targets,
        profile="latency",
        signature=SIGNATURE.to_mapping(),
        contract=describe_contract(SIGNATURE),
        origin={"program_sha256": "0" * 64},
    )
    path = folder / f"Net.float32.{'fat' if kind == 'fat' else targets[0]}.balanced.pt2"
    builds = {
        name: Build(
            {**toolchain, **gpu_facts(name)},
            {},
            {**CODE, **{key: value[name] for key, value in code.items()}},
            CHECKS,
        )
        for name in targets
    }
    archive = described(package(kind, targets), description)
    hand_over(path, archive, description, builds, dict.fromkeys(targets, MADE))
    return path


def gpu_facts(target):
    if not target.startswith("cuda"):
        return {}
    return {
        "cuda": "13.0",
        "triton": "3.6.0",
        "compute_capability": compute_capability(target.removeprefix("cuda-")),
    }


def one(folder, target, *, toolchain=TOOLCHAIN, **code):
    return hand_made(
        folder, target, toolchain=toolchain, **{key: {target: value} for key, value in code.items()}
    )


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, particles):
        return self.layer(particles)


@pytest.fixture(scope="session")
def torchscript(tmp_path_factory):
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("jit") / "Net.float32.pt"
    write_jit(Net().eval(), SIGNATURE, path, model_name="Net", dtype="float32", origin={})
    return path


@pytest.fixture
def jit(torchscript, tmp_path):
    for path in (torchscript, passport_path(torchscript)):
        shutil.copy(path, tmp_path)
    return tmp_path / torchscript.name


@pytest.fixture(params=["jit", "aot", "fat"])
def artifact(request, tmp_path):
    if request.param == "jit":
        return request.getfixturevalue("jit")
    return hand_made(tmp_path, *(["x86-64-v3"] if request.param == "aot" else ["x86-64-v2", "x86-64-v3"]))


def forge(artifact, change=dict):
    """Change a passport as one who knows how its digests are made, and can recompute that of the file."""
    path = passport_path(artifact)
    entry = json.loads(path.read_text())
    content = artifact.read_bytes()
    entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    change(entry)
    path.write_text(json_text({**entry, DIGEST: _digest(entry)}))


def refused(artifact, message, host=HOST, accept=()):
    with pytest.raises(ArtifactError, match=message) as caught:
        verify_artifact(artifact, host=host, accept=accept)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.count(". ") == 0
    return sentence


def outcome(artifact, host=HOST):
    return {finding.name: finding.fits for finding in examine(artifact, host)}


# What fits.


def test_a_sound_artifact_is_accepted(artifact):
    found = verify_artifact(artifact, host=HOST)
    assert found == read_passport(artifact)
    names = ["passport", "sha256", "archive", "contract"]
    names += ["torch"] if artifact.suffix == ".pt" else ["cpu", "c_library", "torch"]
    assert list(outcome(artifact)) == names
    assert all(outcome(artifact).values())
    for finding in examine(artifact, HOST):
        assert finding.sentence
        assert "\n" not in finding.sentence


def test_a_real_artifact_fits_this_machine(jit):
    assert verify_artifact(jit).description.kind == "jit"
    assert all(finding.fits for finding in examine(jit))


def test_missing_files_are_named(artifact):
    passport_path(artifact).unlink()
    refused(artifact, "has no passport .* beside it: export it again")
    assert outcome(artifact) == {"passport": False}
    artifact.unlink()
    refused(artifact, "is not there: export it first")
    with pytest.raises(ArtifactError, match="is not there: export it first"):
        list(examine(artifact, HOST))


# What was changed.


def test_a_flipped_bit_anywhere_in_the_file_is_refused(artifact):
    content = artifact.read_bytes()
    assert set(read_records(content)) >= {DESCRIPTION}
    for position in range(0, len(content), 3):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        artifact.write_bytes(flipped)
        with pytest.raises(ArtifactError, match="SHA-256 differs: export it again"):
            verify_artifact(artifact, host=HOST, accept=ACCEPTABLE)


def test_a_flipped_bit_in_a_member_is_refused_even_if_the_passport_was_made_anew(artifact):
    content = artifact.read_bytes()
    for name, record in read_records(content).items():
        begin = content.index(record) if len(record) > 1 else 0
        for position in range(begin, begin + len(record), max(1, len(record) // 40)):
            flipped = bytearray(content)
            flipped[position] ^= 1 << position % 8
            artifact.write_bytes(flipped)
            forge(artifact)
            found = outcome(artifact)
            assert found["sha256"], (name, position)
            assert not found["archive"], (name, position)


@pytest.mark.parametrize("extra", [b"\0", b"PK"])
def test_added_and_missing_bytes_are_refused(artifact, extra):
    content = artifact.read_bytes()
    for other in (content + extra, extra + content, content[:-1], extra):
        artifact.write_bytes(other)
        refused(artifact, "SHA-256", accept=ACCEPTABLE)
        forge(artifact)
        assert not outcome(artifact)["archive"]


def test_the_passport_of_another_file_is_refused(tmp_path, jit):
    first, second = one(tmp_path, "x86-64-v2"), one(tmp_path, "x86-64-v3")
    shutil.copy(passport_path(first), passport_path(second))
    refused(second, "SHA-256 differs")
    shutil.copy(passport_path(jit), passport_path(second))
    refused(second, "SHA-256 differs")
    forge(second)
    refused(second, "x86-64-v3.*constants.pkl|no TorchScript|has a member|has no member")


def described_otherwise(artifact, **changes):
    """Let the member say something else than the passport, with all digests made anew."""
    description = read_passport(artifact).description
    artifact.write_bytes(
        described(read_records(artifact.read_bytes()), dataclasses.replace(description, **changes))
    )
    forge(artifact)


@pytest.mark.parametrize(
    "changes",
    [{"model": "Other"}, {"dtype": "float64"}, {"origin": {"seed": 4}}, {"contract": {}}, {"signature": {}}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_member_that_says_something_else_is_refused(artifact, changes):
    described_otherwise(artifact, **changes)
    refused(artifact, "says something else of itself than its passport does: export it again")
    assert outcome(artifact) | {"contract": True} == dict.fromkeys(outcome(artifact), True)


def test_a_file_that_says_nothing_of_itself_is_refused(artifact):
    records = read_records(artifact.read_bytes())
    del records[DESCRIPTION]
    artifact.write_bytes(write_records(records))
    forge(artifact)
    refused(artifact, r"no member 'extra/soaflow\.json': export it again")


def change_both(artifact, change):
    """Change the description in the file and in its passport alike."""
    entry = read_passport(artifact).description.to_mapping()
    change(entry)
    records = {**read_records(artifact.read_bytes()), DESCRIPTION: json_text(entry).encode()}
    artifact.write_bytes(write_records(records))
    forge(artifact, lambda passport: passport.update(description=entry))


def test_a_contract_that_is_not_the_signatures_is_refused(artifact):
    change_both(artifact, lambda entry: entry["contract"]["inputs"][0].update(strides=["S", 1]))
    refused(artifact, "the contract of .* is not that of its signature: export it again")


def test_the_contract_is_that_for_what_the_model_computes_in(artifact):
    stored = describe_contract(SIGNATURE.computed_in("float64"), outputs_are="stored")
    change_both(artifact, lambda entry: entry.update(dtype="float64", contract=stored))
    assert all(outcome(artifact).values())
    change_both(artifact, lambda entry: entry.update(dtype="float32"))
    refused(artifact, "is not that of its signature")


@pytest.mark.parametrize("outputs_are", ["kept", "", None, ["stored"]])
def test_outputs_are_returned_or_stored(artifact, outputs_are):
    change_both(artifact, lambda entry: entry["contract"].update(outputs_are=outputs_are))
    refused(artifact, "is not that of its signature")


def test_a_damaged_signature_is_refused(artifact):
    change_both(artifact, lambda entry: entry["signature"]["inputs"][0].pop("items"))
    refused(artifact, "the signature in .* is damaged .*: export the model again")


def test_the_member_of_another_kind_is_refused(tmp_path):
    path = one(tmp_path, "x86-64-v3")
    change_both(path, lambda entry: entry.update(kind="fat"))
    refused(path, "holds model, and its passport is for x86-64-v3: export it again")


def test_a_fat_artifact_holds_all_its_targets(tmp_path):
    path = hand_made(tmp_path, "x86-64-v2", "x86-64-v3")
    records = read_records(path.read_bytes())
    kept = {name: content for name, content in records.items() if "/x86-64-v3/" not in name}
    path.write_bytes(write_records(kept))
    forge(path)
    refused(path, "holds x86-64-v2, and its passport is for x86-64-v2, x86-64-v3: export it again")


# The CPU.


@pytest.mark.parametrize("target", [2, 3, 4])
@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_the_cpu_has_the_level_of_the_target(tmp_path, target, level):
    path = one(tmp_path, f"x86-64-v{target}")
    host = dataclasses.replace(HOST, cpu=cpu(level))
    if level >= target:
        assert outcome(path, host)["cpu"]
        return
    lacks = sorted(extensions_of_level(target) - extensions_of_level(level))
    sentence = refused(path, f"built for x86-64-v{target} and needs {', '.join(lacks)}, which", host)
    assert sentence.endswith("lacks: build it for a lower target, or accept 'cpu' by name")
    assert verify_artifact(path, host=host, accept=["cpu"]) == read_passport(path)


def test_all_extensions_of_a_level_make_up_for_it(tmp_path):
    path = one(tmp_path, "x86-64-v3")
    missing = extensions_of_level(3) - extensions_of_level(2)
    assert outcome(path, dataclasses.replace(HOST, cpu=cpu(2, *missing)))["cpu"]
    host = dataclasses.replace(HOST, cpu=cpu(2, *missing - {"fma"}))
    refused(path, "needs fma, which this CPU, Test CPU", host)


@pytest.mark.parametrize("target", ["native", "x86-64-v4"])
def test_the_cpu_has_the_instructions_that_occur(tmp_path, target):
    path = one(tmp_path, target, extensions=["avx512_bf16", "avx2"])
    refused(path, f"built for {target} and needs avx512_bf16, which", HOST)
    assert outcome(path, dataclasses.replace(HOST, cpu=cpu(4, "avx512_bf16", "amx_tile")))["cpu"]


@pytest.mark.parametrize("target", ["native", "x86-64-v2"])
def test_another_architecture_is_refused(tmp_path, target):
    path = one(tmp_path, target)
    refused(path, "which this CPU, Test CPU", dataclasses.replace(HOST, cpu=cpu(0, architecture="aarch64")))


def test_a_gpu_of_the_architecture_is_needed(tmp_path):
    path = one(tmp_path, "cuda-sm_90")
    refused(path, "for a GPU of sm_90, and this machine shows no NVIDIA GPU: build it for another target")
    other = dataclasses.replace(HOST, architectures=("sm_80", "sm_75"))
    refused(path, "this machine shows sm_80, sm_75", other)
    assert outcome(path, dataclasses.replace(HOST, architectures=("sm_80", "sm_90")))["cpu"]


def test_a_torch_of_another_cuda_is_refused(tmp_path):
    path = one(tmp_path, "cuda-sm_90")
    host = dataclasses.replace(HOST, architectures=("sm_90",))
    refused(path, "made with CUDA 13.0, and the installed torch has none: install a torch for CUDA 13", host)
    refused(path, "the installed torch has CUDA 12.8", dataclasses.replace(host, cuda="12.8"))
    assert outcome(path, dataclasses.replace(host, cuda="13.1"))["torch"]


def test_the_library_that_launches_kernels_needs_its_cpu_too(tmp_path):
    """It is compiled for the CPU of the machine that built it."""
    path = one(tmp_path, "cuda-sm_90", extensions=["avx2", "avx512f"])
    host = dataclasses.replace(HOST, architectures=("sm_90",))
    assert outcome(path, host)["cpu"]
    refused(
        path, r"cuda-sm_90 and needs avx512f, which this CPU, Test", dataclasses.replace(host, cpu=cpu(3))
    )


LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")


@pytest.mark.parametrize(("level", "best"), [(2, LEVELS[0]), (3, LEVELS[1]), (4, LEVELS[2])])
def test_of_a_fat_artifact_the_best_target_is_chosen(tmp_path, level, best):
    path = hand_made(tmp_path, *LEVELS)
    host = dataclasses.replace(HOST, cpu=cpu(level))
    assert chosen_target(verify_artifact(path, host=host), host.cpu) == best
    assert f"runs {best}" in next(one.sentence for one in examine(path, host) if one.name == "cpu")


def test_a_fat_artifact_needs_one_target_that_fits(tmp_path):
    path = hand_made(tmp_path, "x86-64-v3", "x86-64-v4")
    host = dataclasses.replace(HOST, cpu=cpu(2))
    refused(
        path,
        "model Net holds targets x86-64-v3, x86-64-v4, and this CPU is Test CPU .x86-64-v2.: build it with a "
        "lower target, or accept 'cpu' by name",
        host,
    )
    with pytest.raises(ArtifactError, match="holds targets x86-64-v3, x86-64-v4"):
        chosen_target(verify_artifact(path, host=host, accept=["cpu"]), host.cpu)


# The C library.


@pytest.mark.parametrize(
    ("needed", "present", "fits"),
    [
        ("2.9", "2.36", True),
        ("2.36", "2.36", True),
        ("2.2.5", "2.3", True),
        ("2.36", "2.9", False),
        ("2.36.1", "2.36", False),
        ("3.0", "2.36", False),
        ("2.9", "", False),
        ("", "", True),
        ("", "2.36", True),
    ],
)
def test_the_c_library_is_new_enough(tmp_path, needed, present, fits):
    path = one(tmp_path, "x86-64-v2", glibc=needed)
    host = dataclasses.replace(HOST, c_library=present)
    assert outcome(path, host)["c_library"] is fits
    if not fits:
        has = present or "another C library"
        sentence = refused(path, f"needs glibc {needed}, and this machine has {has}: build it on", host)
        assert sentence.endswith("or accept 'c_library' by name")
        verify_artifact(path, host=host, accept=["c_library"])


def test_of_a_fat_artifact_the_chosen_target_counts(tmp_path):
    path = hand_made(tmp_path, *LEVELS[:2], glibc={LEVELS[0]: "2.14", LEVELS[1]: "2.38"})
    assert outcome(path, dataclasses.replace(HOST, cpu=cpu(2)))["c_library"]
    refused(path, "needs glibc 2.38")
    assert not outcome(path, dataclasses.replace(HOST, cpu=cpu(1)))["c_library"]


# The version of torch.


@pytest.mark.parametrize("local", ["", "+cpu", "+cu126"])
def test_what_torch_was_built_for_does_not_count(tmp_path, local):
    path = one(tmp_path, "x86-64-v2", toolchain={**TOOLCHAIN, "torch": f"2.13.0{local}"})
    assert outcome(path, dataclasses.replace(HOST, torch="2.13.0"))["torch"]
    refused(path, r"made with torch 2\.13\.0, and torch", dataclasses.replace(HOST, torch="2.13.1"))


def test_another_torch_is_refused_unless_it_is_accepted_by_name(artifact):
    host = dataclasses.replace(HOST, torch="1.0.0")
    sentence = refused(
        artifact, f"was made with torch {TORCH}, and torch 1.0.0 is installed: rebuild it", host
    )
    assert sentence.endswith("or accept 'torch' by name")
    assert verify_artifact(artifact, host=host, accept=["torch"]) == read_passport(artifact)
    for other in ("cpu", "c_library"):
        refused(artifact, "was made with torch", host, accept=[other])


def test_each_build_of_a_fat_artifact_counts(tmp_path):
    path = hand_made(tmp_path, *LEVELS[:2])
    forge(path, lambda entry: entry["builds"][LEVELS[0]]["toolchain"].update(torch="2.12.0"))
    refused(path, r"was made with torch 2\.12\.0")


# What a caller may accept.


@pytest.mark.parametrize("name", ["passport", "sha256", "archive", "contract", "all", "", "CPU"])
def test_other_names_cannot_be_accepted(artifact, name):
    refused(artifact, f"'{name}' cannot be accepted: choose of cpu, torch, c_library", accept=["torch", name])


def test_what_is_accepted_hides_nothing_else(tmp_path):
    path = one(tmp_path, "x86-64-v4", glibc="9.9", toolchain={**TOOLCHAIN, "torch": "1.0"})
    host = dataclasses.replace(HOST, cpu=cpu(2))
    assert [name for name, fits in outcome(path, host).items() if not fits] == ["cpu", "c_library", "torch"]
    refused(path, "x86-64-v4 and needs", host)
    refused(path, "needs glibc", host, accept=["cpu"])
    refused(path, "made with torch", host, accept=["cpu", "c_library"])
    verify_artifact(path, host=host, accept=ACCEPTABLE)
    described_otherwise(path, model="Other")
    refused(path, "says something else", host, accept=ACCEPTABLE)


# Crafted passports.


def test_what_a_passport_lacks_is_one_finding(artifact):
    forge(artifact, lambda entry: entry["made"].clear())
    assert outcome(artifact) == {"passport": False}
    refused(artifact, "key 'made' has no entry")


def test_the_schema_is_looked_at_in_depth(artifact):
    def spoil(entry):
        for build in entry["builds"].values():
            build["checks"].clear()

    forge(artifact, spoil)
    (finding,) = examine(artifact, HOST)
    assert not finding.fits
    assert "lacks key 'calls': add it, or export the artifact again" in finding.sentence


ANY_VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.just(10**30)
    | st.sampled_from([1.5, "", "x", "fat", "jit", "native", "x86-64-v3", "cuda-sm_90", "whole", "S", "2.9"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["torch", "glibc", "name", "model", "x86-64-v3", "jit"]), inner, max_size=2
        )
    ),
    max_leaves=4,
)


def nodes(value, path=()):
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from nodes(inner, (*path, key))


def spoiled(data, entry):
    """Replace, remove or add values somewhere."""
    entry = copy.deepcopy(entry)
    for _ in range(data.draw(st.integers(1, 3))):
        paths = list(nodes(entry))
        if not paths:
            break
        *parents, last = data.draw(st.sampled_from(paths))
        inner = entry
        for key in parents:
            inner = inner[key]
        action = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "remove":
            del inner[last]
        elif action == "add" and isinstance(inner, dict):
            inner[data.draw(st.sampled_from(["colour", "native", "x86-64-v4", "torch"]))] = data.draw(
                ANY_VALUE
            )
        else:
            inner[last] = data.draw(ANY_VALUE)
    return entry


@given(data=st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_crafted_passport_ends_in_anything_but_a_sentence(data, artifact):
    kept = (artifact.read_bytes(), passport_path(artifact).read_text())
    original = json.loads(kept[1])
    try:
        if data.draw(st.booleans()):
            entry = spoiled(data, original)
        else:
            description = spoiled(data, original["description"])
            entry = {**original, "description": description}
            records = {**read_records(kept[0]), DESCRIPTION: json_text(description).encode()}
            artifact.write_bytes(write_records(records))
            content = artifact.read_bytes()
            entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        passport_path(artifact).write_text(json_text({**entry, DIGEST: _digest(entry)}))
        for finding in examine(artifact, HOST):
            assert finding.fits or "\n" not in finding.sentence
        with contextlib.suppress(SoaflowError):
            passport = verify_artifact(artifact, host=HOST, accept=ACCEPTABLE)
            assert caller_obligations(passport.description.contract)
            for target in passport.description.targets:
                assert passport.builds[target].toolchain["torch"] is not None
                assert passport.made[target] is not None
    finally:
        artifact.write_bytes(kept[0])
        passport_path(artifact).write_text(kept[1])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("inputs", 0, "layout_alignment"), 10**400),
        (("inputs", 0, "layout_alignment"), "128"),
        (("inputs", 0, "layout"), "text"),
        (("inputs", 0, "layout"), [[]]),
        (("inputs", 0, "layout"), [{"name": "pt", "dtype": ["float32"]}]),
        (("inputs", 0, "layout"), [{"name": {}, "dtype": "float32"}]),
        (("inputs", 0, "layout", 0), {"name": "pt", "dtype": "float32", "kind": "eigen", "shape": [10**30]}),
        (("inputs", 0, "layout", 0), {"name": "pt", "dtype": "float32", "kind": "eigen", "shape": 3}),
        (("inputs", 0, "items"), 3),
        (("inputs", 0, "items"), [[]]),
        (("inputs", 0, "items"), []),
        (("inputs", 0), "text"),
        (("inputs",), {}),
        (("inputs",), []),
        (("outputs", 0), None),
        (("alignment",), None),
        (("output_layout",), {"a": 1}),
    ],
)
def test_a_crafted_signature_ends_in_a_sentence(tmp_path, place, value):
    path = one(tmp_path, "x86-64-v3")

    def spoil(entry):
        inner = entry["signature"]
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value

    change_both(path, spoil)
    refused(path, "damaged|not that of its signature", accept=ACCEPTABLE)


# Nothing is loaded.


def test_torch_is_not_imported(artifact):
    code = (
        "import sys\n"
        "from soaflow.verification import ACCEPTABLE, examine, verify_artifact\n"
        f"verify_artifact({str(artifact)!r}, accept=ACCEPTABLE)\n"
        "print(sorted({'torch', 'jsonschema'} & set(sys.modules)))\n"
        f"print(len(list(examine({str(artifact)!r}))))\n"
        "print(sorted({'torch'} & set(sys.modules)))\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count = 5 if artifact.suffix == ".pt" else 7
    assert found.stdout == f"[]\n{count}\n[]\n"


def test_the_driver_is_asked_for_gpus_only_for_a_target_on_one(monkeypatch):
    asked = []
    monkeypatch.setattr(verification, "gpu_architectures", lambda: asked.append(1) or ("sm_90",))
    assert Host.this(["native", "x86-64-v3"]).architectures == ()
    assert asked == []
    assert Host.this(["cuda-sm_90"]).architectures == ("sm_90",)
