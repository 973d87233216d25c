"""Fat artifacts: what they hold, which of it is loaded where, and what is refused."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from soaflow import verification
from soaflow.archives import check_archive
from soaflow.cpu import Cpu
from soaflow.description import read_description
from soaflow.errors import ArtifactError
from soaflow.export.archives import described, hand_over, read_records
from soaflow.export.check import check_against_eager
from soaflow.export.fat import write_fat
from soaflow.infer import backends
from soaflow.infer.unproven import ROWS
from soaflow.passport import passport_path, read_passport
from soaflow.soa.storage import EVENTS, PREDICTIONS, map_blob, read_header, writing
from soaflow.verification import chosen_target, verify_artifact

pytestmark = pytest.mark.compile

LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")
CASE, PROFILE = "NormalisationFirst", "throughput"
_IN_PACKAGE = re.compile(r"/data/aotinductor/([\w-]+)/\w[^/]*\.so\b")

_ALONE = re.compile(r"/(x86-64-v\d)\.so\b")
"""The same, loaded without torch: the one library that is taken out of the package."""


def cpu(level):
    return Cpu("Some CPU", "x86_64", level, frozenset())


@pytest.fixture(scope="module")
def artifacts(workshop):
    """Weights are packed at build time: where one target's leak into another's build, this shows it."""
    return [workshop.artifact(CASE, target, PROFILE) for target in LEVELS]


@pytest.fixture(scope="module")
def fat(artifacts, tmp_path_factory):
    path = tmp_path_factory.mktemp("fat") / f"{CASE}.float32.fat.{PROFILE}.pt2"
    write_fat(artifacts, path)
    return path


def libraries(path):
    records = read_records(path.read_bytes())
    return {name: content for name, content in records.items() if name.endswith(".so")}


def test_it_holds_its_targets_as_they_were_built(fat, artifacts):
    check_archive(fat, "fat")
    passport, parts = verify_artifact(fat), [read_passport(path) for path in artifacts]
    assert (passport.description.kind, passport.description.targets) == ("fat", LEVELS)
    assert read_description(fat) == passport.description
    assert passport.builds == {
        target: part.builds[target] for target, part in zip(LEVELS, parts, strict=True)
    }
    assert passport.description.origin["artifacts_sha256"] == {
        target: part.sha256 for target, part in zip(LEVELS, parts, strict=True)
    }
    program = parts[0].description.origin["program_sha256"]
    assert passport.description.origin["program_sha256"] == program
    held = libraries(fat)
    assert len(held) == len(LEVELS)
    for target, path in zip(LEVELS, artifacts, strict=True):
        (name,) = [name for name in held if f"/{target}/" in name]
        assert [held[name]] == list(libraries(path).values())


def test_the_order_of_the_artifacts_does_not_matter(fat, artifacts, tmp_path):
    again = tmp_path / fat.name
    write_fat(artifacts[::-1], again)
    assert again.read_bytes() == fat.read_bytes()
    assert passport_path(again).read_bytes() == passport_path(fat).read_bytes()


@pytest.mark.parametrize("level", [2, 3, 4])
def test_one_library_is_loaded_that_of_the_level_and_it_is_right(fat, normalisation_case, monkeypatch, level):
    monkeypatch.setattr(verification, "this_cpu", lambda: cpu(level))
    before = Path("/proc/self/maps").read_text()
    backend = backends.aot(fat, normalisation_case.signature)
    added = [line for line in Path("/proc/self/maps").read_text().splitlines() if line not in before]
    assert {found for line in added for found in _IN_PACKAGE.findall(line)} == {f"x86-64-v{level}"}
    figures = check_against_eager(
        lambda *inputs: backend(inputs),
        normalisation_case.model,
        normalisation_case.signature,
        model_name=CASE,
        what="fat artifact",
        dtype="float32",
    )
    assert figures.variation["y"] > 0.01


def test_the_highest_level_that_the_cpu_supports_is_chosen(fat, artifacts, tmp_path):
    passport = read_passport(fat)
    assert [chosen_target(passport, cpu(level)) for level in (2, 3, 4)] == list(LEVELS)
    with pytest.raises(
        ArtifactError, match=r"holds targets x86-64-v2, .*, and this CPU is Some CPU \(x86-64\)"
    ):
        chosen_target(passport, cpu(1))
    gap = write_fat([artifacts[0], artifacts[2]], tmp_path / "gap.pt2")
    assert [chosen_target(gap, cpu(level)) for level in (2, 3, 4)] == [LEVELS[0], LEVELS[0], LEVELS[2]]


def disguised(source, path, origin=None, **changes):
    """Write an artifact that is the source but for what it says of itself."""
    passport = read_passport(source)
    mine = passport.description
    description = dataclasses.replace(mine, origin={**mine.origin, **(origin or {})}, **changes)
    (target,), (old,) = description.targets, mine.targets
    archive = described(read_records(source.read_bytes()), description)
    hand_over(path, archive, description, {target: passport.builds[old]}, {target: passport.made[old]})
    return path


def test_what_is_no_fat_artifact_is_refused(artifacts, fat, workshop, tmp_path):
    first = artifacts[0]
    another = {
        "of one program": disguised(artifacts[1], tmp_path / "program", origin={"program_sha256": "0" * 64}),
        "of one profile": disguised(artifacts[1], tmp_path / "profile", profile="reproducible"),
        "for one target": disguised(first, tmp_path / "again"),
        r"is for native, which no loader can choose by": disguised(
            first, tmp_path / "native", targets=("native",)
        ),
        r"is for program, which no loader": workshop.program(CASE),
        r"is for x86-64-v2, x86-64-v3, x86-64-v4, which no loader": fat,
    }
    for message, path in another.items():
        with pytest.raises(ArtifactError, match=message):
            write_fat([first, path], tmp_path / "out" / "fat.pt2")
    copied = tmp_path / "copied.pt2"
    shutil.copyfile(first, copied)
    with pytest.raises(ArtifactError, match=r"copied\.pt2 has no passport"):
        write_fat([artifacts[1], copied], tmp_path / "out" / "fat.pt2")
    shutil.copyfile(passport_path(first), passport_path(copied))
    content = bytearray(copied.read_bytes())
    content[len(content) // 2] ^= 1
    copied.write_bytes(content)
    with pytest.raises(ArtifactError, match="SHA-256"):
        write_fat([artifacts[1], copied], tmp_path / "out" / "fat.pt2")
    assert not (tmp_path / "out").exists()


def test_a_changed_bit_in_the_library_of_another_target_is_refused(fat, normalisation_case, tmp_path):
    path = tmp_path / "fat.pt2"
    content = bytearray(fat.read_bytes())
    content[content.index(b"\x7fELF") + 5000] ^= 1
    path.write_bytes(content)
    shutil.copyfile(passport_path(fat), passport_path(path))
    with pytest.raises(ArtifactError, match="SHA-256"):
        backends.aot(path, normalisation_case.signature)


# On other CPUs, which qemu-user stands in for: the first of the level

EMULATED = (("Nehalem", "x86-64-v2"), ("Haswell", "x86-64-v3"))


def emulated(cpu, *words):
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip(f"no qemu-x86_64 is installed: {cpu} not tried")
    command = [emulator, "-cpu", cpu, sys.executable, *map(str, words)]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


PREDICT = """
import sys
from pathlib import Path
from soaflow.infer import unproven
unproven.predict(*sys.argv[1:])
print(Path("/proc/self/maps").read_text())
"""


@pytest.mark.parametrize(("cpu", "target"), EMULATED)
def test_on_an_emulated_cpu_it_runs_what_suits_it(fat, normalisation_case, tmp_path, cpu, target):
    layout = normalisation_case.signature.inputs[0].layout
    events, predictions = tmp_path / "events.h5", tmp_path / "predictions.h5"
    random = np.random.default_rng(4)
    momenta = random.normal(size=(ROWS + 11, 4)).astype(np.float32)
    columns = dict(zip(normalisation_case.signature.inputs[0].items, momenta.T, strict=True))
    placements = {"particles": layout.place(len(momenta))}
    with writing(events, EVENTS, placements, {"dataset": "toy"}) as writer:
        for item in layout.items:
            values = columns.get(item.name, np.zeros((len(momenta), *item.shape), item.dtype))
            writer.write("particles", item.name, values)
    done = emulated(cpu, "-c", PREDICT, fat, events, predictions)
    assert done.returncode == 0, done.stderr
    assert set(_ALONE.findall(done.stdout)) == {target}
    got = map_blob(read_header(predictions, PREDICTIONS), "predictions").array("y")
    with torch.no_grad():
        expected = normalisation_case.model(torch.from_numpy(momenta[:ROWS])).numpy()
    assert expected.std(axis=0).min() > 0.01
    np.testing.assert_allclose(np.asarray(got).reshape(ROWS, -1), expected, rtol=1e-5, atol=1e-5)


def test_on_an_emulated_cpu_below_all_of_them_it_is_refused(artifacts, tmp_path):
    path = tmp_path / "high.pt2"
    write_fat(artifacts[1:], path)
    done = emulated("Nehalem", "-m", "soaflow", "verify", path)
    assert done.returncode == 1, done.stderr
    (refusal,) = [line for line in done.stdout.splitlines() if "DOES NOT FIT" in line]
    assert "holds targets x86-64-v3, x86-64-v4, and this CPU is emulated on" in refusal
    assert "(x86-64-v2): build it with a lower target" in refusal
