import copy
import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from soaflow.description import Description
from soaflow.errors import ArtifactError
from soaflow.files import json_text
from soaflow.passport import (
    DEEPEST,
    DIGEST,
    Build,
    Passport,
    _digest,
    check_against_schema,
    passport_path,
    passport_schema,
    read_passport,
    write_passport,
)
from soaflow.soa.contract import describe_contract
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
from soaflow.verification import ACCEPTABLE, ARCHIVE, C_LIBRARY, CONTRACT, CPU, PASSPORT, TORCH
from soaflow.verification import DIGEST as DIGEST_CHECK

DOCUMENTATION = (Path(__file__).parents[1] / "docs/passport.md").read_text()
LAYOUT = Layout.of(Item("pt", "float32"))
SIGNATURE = Signature(
    (TensorInput("pt", "particles", LAYOUT, ("pt",)),),
    (TensorOutput("y", ("y",)),),
    Layout.of(Item("y", "float32")),
)
TOOLCHAIN = {"torch": "2.13.0+cpu", "python": "3.11.2", "c_library": "glibc 2.36", "machine": "x86_64"}
CODE = {
    "instructions": 9,
    "vector_registers": ["xmm"],
    "extensions": ["avx2", "fma"],
    "parallel_regions": [],
    "glibc": "2.14",
    "glibcxx": "3.4.30",
    "libraries": ["libc.so.6"],
}
CHECKS = {
    "calls": [{"rows": 1}],
    "tolerance": 1e-05,
    "largest_difference": {"y": 1e-07},
    "largest_value": {"y": 2.5},
    "variation": {"y": 1.0},
    "largest_integer": 0,
}
MADE = {"time": "2026-01-01T00:00:00Z", "host": "one", "cpu": "some", "seconds": 1.5, "from_cache": False}
AOT_BUILD = Build(TOOLCHAIN, {"cpp.threads": 1, "temperature": "\u00b5"}, CODE, CHECKS)

CUDA = "cuda-sm_90"
CUDA_FACTS = {"cuda": "13.0", "triton": "3.6.0", "compute_capability": "9.0"}
CUDA_BUILD = dataclasses.replace(AOT_BUILD, toolchain={**TOOLCHAIN, **CUDA_FACTS})


def passport_of(kind="aot", targets=("x86-64-v3",), **changes):
    compiled = kind in ("aot", "fat")
    description = Description(
        kind=kind,
        model="Net",
        dtype="float32",
        targets=targets,
        profile="latency" if compiled else "",
        signature=SIGNATURE.to_mapping(),
        contract=describe_contract(SIGNATURE),
        origin={"seed": 3},
    )
    names = targets or (kind,)
    build = AOT_BUILD if compiled else dataclasses.replace(AOT_BUILD, machine_code={})
    if targets == (CUDA,):
        build = CUDA_BUILD
    whole = Passport("0" * 64, 20, description, dict.fromkeys(names, build), dict.fromkeys(names, MADE))
    return dataclasses.replace(whole, **changes)


@pytest.fixture
def artifact(tmp_path):
    path = tmp_path / "Net.float32.x86-64-v3.balanced.pt2"
    write_passport(path, passport_of())
    return path


def at(mapping, path):
    for key in path:
        mapping = mapping[key]
    return mapping


def changed(mapping, path, value):
    """The mapping with another value at a path; Ellipsis removes it."""
    mapping = copy.deepcopy(mapping)
    *parents, last = path
    if value is ...:
        del at(mapping, parents)[last]
    else:
        at(mapping, parents)[last] = value
    return mapping


def forge(artifact, *changes):
    """Change a passport as one who knows how its digest is made."""
    path = passport_path(artifact)
    entry = json.loads(path.read_text())
    for where, value in changes:
        entry = changed(entry, where, value)
    path.write_text(json_text({**entry, DIGEST: _digest(entry)}))


def leaves(value, path=()):
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from leaves(inner, (*path, key))
    else:
        yield path


# What is written is read.


@pytest.mark.parametrize(
    "passport",
    [
        passport_of(),
        passport_of("aot", ("native",)),
        passport_of("aot", ("cuda-sm_90",)),
        passport_of("fat", ("x86-64-v2", "x86-64-v4")),
        passport_of("program", ()),
        passport_of("jit", ()),
    ],
    ids=lambda passport: passport.description.kind,
)
def test_round_trip(passport, tmp_path):
    path = tmp_path / "a.pt2"
    write_passport(path, passport)
    found = read_passport(path)
    assert found == passport
    assert found.digest() == passport.digest() == json.loads(passport_path(path).read_text())[DIGEST]
    assert Passport.from_mapping(passport.to_mapping()) == passport
    check_against_schema(found, path)
    before = passport_path(path).read_bytes()
    write_passport(path, found)
    assert passport_path(path).read_bytes() == before


def test_the_digest_leaves_out_when_and_where_it_was_made():
    other = {**MADE, "time": "2027-01-01T00:00:00Z", "host": "two", "seconds": 2.5, "from_cache": True}
    assert passport_of(made={"x86-64-v3": other}).digest() == passport_of().digest()


def test_the_digest_covers_every_other_value():
    mapping = {key: value for key, value in passport_of().to_mapping().items() if key not in ("made", DIGEST)}
    paths = list(leaves(mapping))
    assert len(paths) > 60
    for path in paths:
        assert _digest(changed(mapping, path, "other")) != _digest(mapping), path
        assert _digest(changed(mapping, path, ...)) != _digest(mapping), path


# What was changed is refused.


def test_a_flipped_bit_in_any_byte_outside_made_is_refused(artifact):
    write_passport(artifact, passport_of("jit", ()))
    path = passport_path(artifact)
    content, passport = path.read_bytes(), read_passport(artifact)
    begin = content.index(b'\n  "made": {')
    end = content.index(b"\n  }", begin)
    accepted = set()
    for position in range(len(content)):
        for bit in {5, position % 8}:  # the fifth turns e into E, which a number may have
            flipped = bytearray(content)
            flipped[position] ^= 1 << bit
            path.write_bytes(flipped)
            try:
                found = read_passport(artifact)
            except ArtifactError:
                pass
            else:
                assert dataclasses.replace(found, made=passport.made) == passport
                accepted.add(position)
    assert accepted
    assert begin < min(accepted)
    assert max(accepted) < end


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00", "[" * 100_000, "{}", '"a"', "1"])
def test_what_is_no_passport_is_refused(artifact, text):
    passport_path(artifact).write_text(text)
    with pytest.raises(ArtifactError, match=r"Net\.float32\.x86-64-v3\.balanced\.pt2\.json.*again$"):
        read_passport(artifact)


def test_what_is_no_text_is_refused(artifact):
    passport_path(artifact).write_bytes(b"\xff\xfe{}")
    with pytest.raises(ArtifactError, match="is not JSON: export the artifact again"):
        read_passport(artifact)


def test_a_missing_passport_is_named(artifact):
    passport_path(artifact).unlink()
    with pytest.raises(ArtifactError, match=r"no passport Net\.float32\.x86-64-v3\.balanced\.pt2\.json"):
        read_passport(artifact)


@pytest.mark.parametrize(
    "rewritten",
    [
        lambda text: text.replace('  "sha256": ', f'  "sha256": "{"1" * 64}",\n  "sha256": '),
        lambda text: json.dumps(json.loads(text)),
        lambda text: text + "\n",
        lambda text: text.replace("1e-05", "1E-05"),
        lambda text: text.replace(r"\u00b5", r"\u00B5"),
        lambda text: text.replace('"seconds": 1.5', '"seconds": 1.50'),
    ],
    ids=["twice", "compact", "line", "exponent", "escape", "zero"],
)
def test_the_same_values_written_otherwise_are_refused(artifact, rewritten):
    path = passport_path(artifact)
    before = path.read_text()
    path.write_text(rewritten(before))
    assert path.read_text() != before
    with pytest.raises(ArtifactError, match="is not written as soaflow writes it: export the artifact again"):
        read_passport(artifact)


def test_a_changed_passport_is_named_so(artifact):
    path = passport_path(artifact)
    path.write_text(path.read_text().replace('"seed": 3', '"seed": 4'))
    with pytest.raises(ArtifactError, match="has been changed since it was written: export"):
        read_passport(artifact)


V3 = "x86-64-v3"


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("schema_version",), 1, "schema version 1, and this soaflow reads version 2"),
        (("schema_version",), ..., "schema version None"),
        (("schema_version",), True, "schema version True"),
        (("schema_version",), 2.0, "schema version 2.0|field 'schema_version'"),
        (("made",), ..., "no field 'made'"),
        (("made",), {}, "key 'made' has no entry 'x86-64-v3'"),
        (("made",), [], r"field 'made' is \[\], not a mapping"),
        (("made", V3), 3, r"key 'made.x86-64-v3' is 3, not a mapping"),
        (("made", "native"), MADE, "key 'made' has an entry 'native', and the file is for x86-64-v3"),
        (("builds",), ..., "no field 'builds'"),
        (("builds",), {}, "key 'builds' has no entry 'x86-64-v3'"),
        (("builds", "native"), {}, "builds.native has no field 'checks'"),
        (("builds", "native"), dataclasses.asdict(AOT_BUILD), "key 'builds' has an entry 'native'"),
        (("builds", V3), None, "builds.x86-64-v3 is not a mapping"),
        (("builds", V3, "toolchain"), ..., "builds.x86-64-v3 has no field 'toolchain'"),
        (("builds", V3, "toolchain"), {}, "builds.x86-64-v3.toolchain.torch' is not what kind aot has"),
        (("builds", V3, "toolchain", "torch"), 2, "toolchain.torch' is not"),
        (("builds", V3, "machine_code"), {}, "machine_code.extensions' is not"),
        (("builds", V3, "machine_code", "extensions"), 3, "machine_code.extensions' is not"),
        (("builds", V3, "machine_code", "extensions"), [3], "machine_code.extensions' is not"),
        (("builds", V3, "machine_code", "glibc"), ..., "machine_code.glibc' is not"),
        (("builds", V3, "toolchain", "compute_capability"), "9.0", "toolchain.compute_capability' is not"),
        (("builds", V3, "toolchain", "cuda"), "thirteen", "toolchain.cuda' is not"),
        (("builds", V3, "machine_code", "glibc"), "GLIBC_2.14", "machine_code.glibc' is not"),
        (("builds", V3, "machine_code", "glibc"), "9" * 5000, "machine_code.glibc' is not"),
        (("builds", V3, "options"), [], "field 'options' is"),
        (("description",), {}, "description has no field 'contract'"),
        (("description", "targets"), [], "targets are none, and kind aot has one"),
        (("description", "targets"), ["x86-64-v5"], "there is no target 'x86-64-v5'"),
        (("description", "targets"), "x86-64-v3", "field 'targets' is 'x86-64-v3', not a list"),
        (("description", "kind"), "tvm", "not one of program, jit, aot, fat, onnx"),
        (("description", "kind"), "jit", "targets are x86-64-v3, and kind jit has none"),
        (("description", "kind"), 3, "field 'kind' is 3, not a text"),
        (("size",), True, "field 'size' is True, not an integer"),
        (("size",), "20", "field 'size' is '20', not an integer"),
        (("colour",), "red", "unknown field 'colour'"),
    ],
)
def test_a_forged_passport_of_the_wrong_form_is_refused(artifact, where, value, message):
    forge(artifact, (where, value))
    with pytest.raises(ArtifactError, match=message) as caught:
        read_passport(artifact)
    assert "\n" not in str(caught.value)
    assert "pt2.json" in str(caught.value)
    assert "export" in str(caught.value)


def cuda_passport(**facts):
    build = dataclasses.replace(AOT_BUILD, toolchain={**TOOLCHAIN, **CUDA_FACTS, **facts})
    made = {**MADE, "gpu": "NVIDIA H100 80GB HBM3", "driver": "580.159.04"}
    return passport_of(targets=(CUDA,), builds={CUDA: build}, made={CUDA: made})


def test_the_passport_of_an_artifact_for_a_gpu_says_what_built_it_and_on_which(tmp_path):
    path = tmp_path / "Net.pt2"
    write_passport(path, cuda_passport())
    assert read_passport(path) == cuda_passport()
    facts = read_passport(path).builds[CUDA].toolchain
    assert facts["compute_capability"] == "9.0"


@pytest.mark.parametrize("wrong", ["8.0", "9.1", ""])
def test_a_passport_of_another_compute_capability_than_its_target_s_is_refused(tmp_path, wrong):
    path = tmp_path / "Net.pt2"
    with pytest.raises(ArtifactError, match=r"compute_capability"):
        write_passport(path, cuda_passport(compute_capability=wrong))
    passport_path(path).write_text(json_text(cuda_passport(compute_capability=wrong).to_mapping()))
    with pytest.raises(ArtifactError, match=r"builds.cuda-sm_90.toolchain.compute_capability' is not"):
        read_passport(path)


def test_compiled_facts_of_what_is_not_compiled_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"machine_code\.extensions' is not what kind jit has"):
        write_passport(tmp_path / "a.pt", passport_of("jit", (), builds={"jit": AOT_BUILD}))
    assert not list(tmp_path.iterdir())


def test_nesting_is_limited(artifact):
    deep = json.loads('{"a":' * (DEEPEST - 4) + "1" + "}" * (DEEPEST - 4))
    forge(artifact, (("builds", V3, "options", "deep"), deep))
    read_passport(artifact)
    forge(artifact, (("builds", V3, "options", "deep"), {"a": deep}))
    with pytest.raises(ArtifactError, match="nested deeper than any passport: export"):
        read_passport(artifact)


def test_numbers_that_are_none_are_refused(artifact):
    path = passport_path(artifact)
    entry = changed(json.loads(path.read_text()), ("builds", V3, "checks", "tolerance"), float("nan"))
    path.write_text(json.dumps({**entry, DIGEST: _digest(entry)}, indent=2, sort_keys=True) + "\n")
    with pytest.raises(ArtifactError, match="is not written as soaflow writes it: export"):
        read_passport(artifact)


# The schema.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0"}, "key 'sha256'"),
        ({"size": 0}, "key 'size'"),
        ({"builds": {V3: dataclasses.replace(AOT_BUILD, checks={})}}, "checks' lacks key 'calls'"),
        ({"builds": {V3: dataclasses.replace(AOT_BUILD, toolchain={})}}, "toolchain' lacks key 'torch'"),
        (
            {
                "builds": {
                    V3: dataclasses.replace(AOT_BUILD, machine_code={**CODE, "parallel_regions": ["x"]})
                }
            },
            "parallel_regions",
        ),
        (
            {"builds": {V3: dataclasses.replace(AOT_BUILD, machine_code={"instructions": 9})}},
            "machine_code'.*vector_registers",
        ),
        ({"made": {V3: {**MADE, "user": "me"}}}, "made.x86-64-v3' has unknown key 'user'"),
        ({"made": {}}, "key 'made'"),
    ],
)
def test_a_passport_that_does_not_fit_the_schema_is_not_written(changes, message, tmp_path):
    with pytest.raises(ArtifactError, match=message) as caught:
        write_passport(tmp_path / "a.pt2", passport_of(**changes))
    assert "export the artifact again" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_every_object_of_the_schema_is_strict_or_free_on_purpose():
    free = {"arguments", "training", "signature", "options", "items", "figures"}

    def check(schema, name):
        if isinstance(schema, dict):
            if schema.get("type") == "object" and "additionalProperties" not in schema:
                assert name in free, name
            for key, value in schema.items():
                check(value, key)

    check(passport_schema(), "")


# The documentation.


def properties(schema):
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from properties(value)


def test_every_field_is_documented():
    names = set(properties(passport_schema()))
    assert len(names) > 70
    missing = sorted(name for name in names if f"`{name}`" not in DOCUMENTATION)
    assert not missing
    fields, checks = DOCUMENTATION.split("## What `soaflow verify` checks")
    tables = [line.split("|")[1] for line in fields.splitlines() if line.startswith("| `")]
    described = {name for cell in tables for name in re.findall(r"`([a-z_0-9]+)`", cell)}
    assert described == names
    rows = [line.split("|") for line in checks.splitlines() if line.startswith("| `")]
    accepted = {row[1].strip(" `"): row[3].strip() for row in rows}
    assert list(accepted) == [PASSPORT, DIGEST_CHECK, ARCHIVE, CONTRACT, CPU, C_LIBRARY, TORCH]
    assert {name for name, may_be in accepted.items() if may_be == "yes"} == set(ACCEPTABLE)


def resolved(schema):
    while "$ref" in schema:
        schema = passport_schema()["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def unknown_keys(value, schema, path=""):
    schema = resolved(schema)
    if isinstance(value, dict) and ("properties" in schema or "additionalProperties" in schema):
        others = schema.get("additionalProperties", True)
        for key, inner in value.items():
            known = schema.get("properties", {}).get(key, others)
            if known is False:
                yield f"{path}.{key}"
            elif known is not True:
                yield from unknown_keys(inner, known, f"{path}.{key}")
    elif isinstance(value, list) and "items" in schema:
        for inner in value:
            yield from unknown_keys(inner, schema["items"], path)


def test_the_documented_example_has_the_fields_of_the_schema():
    example = json.loads(re.search(r"```json\n(.*?)```", DOCUMENTATION, re.DOTALL)[1])
    assert list(unknown_keys(example, passport_schema())) == []
    assert list(unknown_keys({"sice": 1}, passport_schema())) == [".sice"]
    assert set(example) == set(passport_schema()["required"])
    (target,) = example["description"]["targets"]
    assert set(example["builds"]) == set(example["made"]) == {target}
    assert set(example["builds"][target]) == {"toolchain", "options", "machine_code", "checks"}


def test_the_module_is_light():
    code = "import sys, soaflow.passport; print(sorted({'torch', 'numpy', 'jsonschema'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
