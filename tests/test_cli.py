import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from interrupting import INTERRUPTIBLE

from soaflow.cli import bisect, main
from soaflow.cli.compare import BY_DTYPE, EXACT
from soaflow.cpu import Cpu, this_cpu
from soaflow.errors import SoaflowError
from soaflow.export.jit import write_jit
from soaflow.export.program import write_program
from soaflow.files import json_text, sha256_of_file
from soaflow.passport import passport_path, read_passport, write_passport
from soaflow.soa.contract import caller_obligations
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
from soaflow.soa.storage import EVENTS, PREDICTIONS, map_blob, read_header, writing

VERBS = ["layout", "inspect", "repack", "infer", "verify", "rebuild", "pack", "compare", "bisect", "judge"]
ITEMS = """
- {name: pt, dtype: float32, unit: GeV}
- {name: image, dtype: float32, kind: eigen, shape: [9, 9]}
- {name: scale, dtype: float64, kind: scalar}
"""
ORIGIN = {"class_path": "torch.nn.Linear", "seed": 7}
PARTICLES = Layout.of(*(Item(name, "float32") for name in ("pt", "eta", "phi")))


def soaflow(*arguments: object, **options) -> subprocess.CompletedProcess:
    """Run the command in a process of its own, as at a terminal."""
    command = [sys.executable, "-m", "soaflow", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def imported_by(*arguments: object) -> set[str]:
    """Return the modules that a call of the command has imported at its end."""
    script = """
import sys
from soaflow.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("\\n".join(sys.modules), file=sys.stderr)
"""
    run = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return set(run.stderr.splitlines())


@pytest.fixture
def items(tmp_path: Path) -> Path:
    (tmp_path / "items.yaml").write_text(ITEMS)
    return tmp_path / "items.yaml"


@pytest.fixture
def events(tmp_path: Path) -> Path:
    attributes = {"dataset": "toy", "shard": 3, "origin": "numbers"}
    with writing(tmp_path / "events.h5", EVENTS, {"particles": PARTICLES.place(150)}, attributes) as writer:
        for index, name in enumerate(PARTICLES.names):
            writer.write("particles", name, np.arange(150) + 1000 * index)
    return tmp_path / "events.h5"


def write_predictions(path: Path, pt: object, dtype: str = "float32", **attributes: str) -> Path:
    layout = Layout.of(Item("pt", dtype, unit="GeV"), Item("scores", "float32", ItemKind.EIGEN, (2,)))
    described = {"dataset": "toy", "shard": "0", "model": "Net", "variant": path.stem, **attributes}
    with writing(path, PREDICTIONS, {"predictions": layout.place(len(pt))}, described) as writer:
        writer.write("predictions", "pt", np.asarray(pt, dtype))
    return path


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert re.fullmatch(r"soaflow \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("verb", [[], *([verb] for verb in VERBS)])
def test_help_shows_an_example_and_fits_a_terminal(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit, match="0"):
        main([*verb, "--help"])
    text = capsys.readouterr().out
    assert re.search(r"examples?:\n  soaflow ", text)
    assert max(map(len, text.splitlines())) <= 110


def test_every_verb_is_in_the_help(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(re.search(rf"^    {verb} ", text, re.MULTILINE) for verb in VERBS)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["infer", "--help"], ["rebuild", "--help"], ["no_such_verb"]]
)
def test_help_imports_neither_numpy_nor_torch(arguments):
    imported = imported_by(*arguments)
    assert "soaflow.cli.parser" in imported
    assert not imported & {"numpy", "torch", "h5py", "yaml", "jsonschema", "zipfile", "soaflow.soa.layout"}


def test_a_verb_imports_only_what_it_needs(items, events):
    assert not imported_by("layout", items, "--rows", 3) & {"numpy", "torch", "h5py"}
    assert "numpy" in imported_by("inspect", events)
    for verb in (["inspect", events], ["repack", events, events.with_name("out.h5")]):
        assert "torch" not in imported_by(*verb)
    predictions = write_predictions(events.with_name("a.h5"), [1.0])
    assert "torch" not in imported_by("compare", predictions, predictions)
    assert "torch" not in imported_by("judge", events.with_name("no_such.json"))
    assert "torch" not in imported_by("infer", "no_such.pt", events, "out.h5")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no_such_verb"],
        ["layout", "items.yaml"],
        ["layout", "items.yaml", "--rows", "many"],
        ["layout", "items.yaml", "--row", "3"],
        ["inspect"],
        ["repack", "one.h5"],
        ["infer", "a.pt", "b.h5", "c.h5", "--device", "tpu"],
        ["verify"],
        ["rebuild", "a.pt2"],
        ["rebuild", "a.pt2", "--target", "native", "--profile", "fastest"],
        ["pack", "a.pt2"],
        ["compare", "a.h5", "b.h5", "--absolute", "small"],
    ],
)
def test_bad_use_prints_the_usage_and_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert capsys.readouterr().err.startswith("usage: soaflow")


def test_layout_prints_where_each_item_lies(items, capsys):
    assert main(["layout", str(items), "--rows", "33"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["pt", "column", "float32", "-", "GeV", "0", "256", "64"] in lines
    assert ["image", "eigen", "float32", "9", "x", "9", "-", "256", "20736", "64"] in lines
    assert ["scale", "scalar", "float64", "-", "-", "20992", "128", "0"] in lines
    assert ["blob:", "21120", "bytes"] in lines


def test_layout_prints_json(items, capsys):
    assert main(["layout", str(items), "--rows", "33", "--alignment", "64", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {key: printed[key] for key in ("rows", "alignment", "blob_bytes")} == {
        "rows": 33,
        "alignment": 64,
        "blob_bytes": 192 + 192 * 81 + 64,
    }
    assert [item["offset"] for item in printed["items"]] == [0, 192, 192 + 192 * 81]
    assert printed["items"][0] == {
        **Item("pt", "float32", unit="GeV").to_mapping(),
        "offset": 0,
        "bytes": 192,
        "stride": 48,
    }


def test_layout_reads_json_as_well(tmp_path, capsys):
    (tmp_path / "items.json").write_text('[{"name": "pt", "dtype": "float64"}]')
    assert main(["layout", str(tmp_path / "items.json"), "--rows", "0"]) == 0
    assert "blob: 0 bytes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        ("- {name: pt, dtype: float33}", [], "items.yaml: item 'pt' has dtype 'float33': choose one of"),
        ("- {name: pt}", [], "items.yaml: item 'pt' has no key 'dtype'"),
        ("pt: float32", [], "items.yaml: a layout is a list of items"),
        ("", [], "items.yaml: a layout is a list of items"),
        ("[]", [], "items.yaml: a layout needs at least one item"),
        ("- {name: pt", [], "items.yaml cannot be read as YAML: "),
        ("- !!python/object:os.system {}", [], "items.yaml cannot be read as YAML: "),
        ("[" * 5000, [], "items.yaml cannot be read as YAML: "),
        (b"\xff\xfe\x00", [], "items.yaml cannot be read as YAML: "),
        (ITEMS, ["--alignment", "100"], "alignment 100 is not a power of two from 8 to 4096"),
        (ITEMS, ["--rows", "-1"], "-1 rows cannot be laid out"),
    ],
)
def test_a_bad_layout_file_is_a_sentence(tmp_path, capsys, content, options, sentence):
    path = tmp_path / "items.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["layout", str(path), "--rows", "3", *options]) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert printed.err.startswith("soaflow: error: ")
    assert (printed.err.count("\n"), printed.out) == (1, "")


def test_inspect_tells_what_an_events_file_holds(events, capsys):
    assert main(["inspect", str(events)]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{events}: events\n")
    assert re.search(r"^  dataset +toy$", text, re.MULTILINE)
    assert "particles: 150 rows, a blob of 1920 bytes at byte " in text
    assert re.search(r"^phi +column +float32 +- +- +1280 +640 +160$", text, re.MULTILINE)
    assert main(["inspect", str(events), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["holds"] == "events"
    assert printed["attributes"] == {"dataset": "toy", "shard": 3, "origin": "numbers"}
    particles = printed["collections"]["particles"]
    assert particles["layout_sha256"] == PARTICLES.digest()
    assert particles["file_offset"] == read_header(events).collection("particles").file_offset


def test_inspect_knows_a_predictions_file_by_its_content(tmp_path, capsys):
    path = write_predictions(tmp_path / "a.h5", [1.0, 2.0]).rename(tmp_path / "predictions")
    assert main(["inspect", str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"{path}: predictions\n")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.h5", b"", "a.h5 is empty"),
        ("a.h5", b"no HDF5", "a.h5 is not a readable HDF5 file"),
        (
            "a.root",
            b"root",
            "a.root is no kind of file that soaflow writes: name a .h5, .pt, .pt2, .onnx or .json",
        ),
        ("a.pt", b"PK", "a.pt has no passport a.pt.json beside it and is no file of torch: name weights"),
        ("a.pt2", b"PK", "a.pt2 has no passport a.pt2.json beside it"),
        ("a.json", b"{}", "a.json is JSON but neither a proof, a measurement, a verdict nor a passport"),
        ("a.json", b"[1]", "a.json is JSON but neither a proof, a measurement, a verdict nor a passport"),
        ("a.json", b"{", "a.json cannot be read as JSON"),
        ("a.json", b'{"proof_version": 6}', "a.json: the proof is damaged"),
        (
            "a.json",
            b'{"proof_version": 2}',
            "a.json: the proof has version 2, and this soaflow reads version 6",
        ),
        ("a.json", b'{"verdict_version": 1}', "a.json is not a verdict"),
        ("a.json", b'{"schema_version": 1}', "a.json has schema version 1, and this soaflow reads version 2"),
        ("a.json", b'{"schema_version": 2}', "a.json has been changed since it was written"),
        (None, b"", "cannot be read: Is a directory"),
    ],
)
def test_inspect_refuses_other_files_in_a_sentence(tmp_path, capsys, name, content, sentence):
    path = tmp_path
    if name:
        path = tmp_path / name
        path.write_bytes(content)
    assert main(["inspect", str(path)]) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert printed.out == ""


def test_repack_makes_a_file_mappable_again(events, capsys):
    before, spoilt, mended = events.read_bytes(), events.with_name("spoilt.h5"), events.with_name("mended.h5")
    spoilt.write_bytes(before)
    with h5py.File(spoilt, "r+") as file:
        pt = file["particles/pt"][...]
        del file["particles/pt"]
        file.create_dataset("particles/pt", data=pt, chunks=(50,), compression="gzip")
    assert main(["inspect", str(spoilt)]) == 2
    assert f"rewrite the file with 'soaflow repack {spoilt} OUT'" in capsys.readouterr().err
    assert main(["repack", str(spoilt), str(mended)]) == 0
    assert capsys.readouterr().out == f"{mended}: events, particles (150 rows)\n"
    assert mended.read_bytes() == before


def test_repack_of_a_bad_file_leaves_nothing(tmp_path, capsys):
    (tmp_path / "a.h5").write_bytes(b"no HDF5")
    assert main(["repack", str(tmp_path / "a.h5"), str(tmp_path / "out" / "b.h5")]) == 2
    assert "a.h5 is not a readable HDF5 file" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.h5"]


def test_repack_into_a_folder_that_cannot_be_written_is_a_sentence(events, capsys):
    assert main(["repack", str(events), str(events / "out.h5")]) == 2
    assert re.search(r"out\.h5 cannot be written: (Not a directory|File exists)", capsys.readouterr().err)


def test_compare_exits_with_0_for_a_pass_and_1_for_a_failure(tmp_path, capsys):
    reference = write_predictions(tmp_path / "reference.h5", [1.0, 2.0, 300.0])
    near = write_predictions(tmp_path / "near.h5", [1.0, 2.0001, 300.01])
    far = write_predictions(tmp_path / "far.h5", [1.0, 2.5, 300.0])
    assert main(["compare", str(reference), str(near)]) == 0
    assert "2 of 2 outputs passed." in capsys.readouterr().out
    assert main(["compare", str(reference), str(far)]) == 1
    printed = capsys.readouterr()
    assert "1 of 2 outputs passed." in printed.out
    assert (
        "failed: dataset toy, model Net, variant far, output pt: tolerance: 0.4998 GeV where 1e-05 is allowed"
        in printed.out
    )
    assert printed.err == ""


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], 1),
        (["--absolute", "0.5"], 0),
        (["--absolute", "0.4"], 1),
        (["--relative", "0.25"], 0),
        (["--relative", "0.2"], 1),
        (["--absolute", "0.1", "--relative", "0.2"], 0),
        (["--absolute", "0"], 1),
    ],
)
def test_compare_judges_at_the_tolerances_given(tmp_path, options, code):
    reference = write_predictions(tmp_path / "reference.h5", [1.0, 2.0])
    candidate = write_predictions(tmp_path / "candidate.h5", [1.0, 2.5])
    assert main(["compare", str(reference), str(candidate), *options]) == code


def test_compare_takes_its_tolerances_from_the_dtype_of_each_item(tmp_path):
    for dtype, difference, code in [
        ("float32", 1e-4, 0),
        ("float32", 1e-3, 1),
        ("float64", 1e-9, 0),
        ("float64", 1e-7, 1),
        ("int32", 0, 0),
        ("int32", 1, 1),
    ]:
        reference = write_predictions(tmp_path / "reference.h5", [1.0], dtype)
        candidate = write_predictions(tmp_path / "candidate.h5", [1.0 + difference], dtype)
        assert main(["compare", str(reference), str(candidate)]) == code, (dtype, difference)


def test_the_help_of_compare_names_the_tolerances_that_it_uses(capsys):
    assert (BY_DTYPE["float32"].absolute, BY_DTYPE["float32"].relative) == (1e-5, 1e-4)
    assert (BY_DTYPE["float64"].absolute, BY_DTYPE["float64"].relative) == (1e-9, 1e-9)
    assert (EXACT.absolute, EXACT.relative) == (0, 0)
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "float32 an absolute one of 1e-5 and a relative one of 1e-4, for float64 1e-9 and 1e-9" in text


def test_compare_writes_a_verdict_that_inspect_reads(tmp_path, capsys):
    reference = write_predictions(tmp_path / "reference.h5", [1.0, 2.0])
    candidate = write_predictions(tmp_path / "candidate.h5", [1.0, 2.5])
    verdict = tmp_path / "verdict.json"
    assert main(["compare", str(reference), str(candidate), "--json", str(verdict)]) == 1
    capsys.readouterr()
    assert main(["inspect", str(verdict)]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{verdict}: verdict\n")
    assert "failed: dataset toy, model Net, variant candidate, output pt" in text
    assert main(["inspect", str(verdict), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is False


def test_judge_judges_a_verdict_again_from_its_figures(tmp_path, capsys):
    reference = write_predictions(tmp_path / "reference.h5", [1.0, 2.0])
    candidate = write_predictions(tmp_path / "candidate.h5", [1.0, 2.5])
    verdict = tmp_path / "verdict.json"
    main(["compare", str(reference), str(candidate), "--json", str(verdict)])
    reference.unlink()
    candidate.unlink()
    before = verdict.read_bytes()
    for options, code in [
        ([], 1),
        (["--absolute", "0.5"], 0),
        (["--absolute", "0.4"], 1),
        (["--relative", "0.25"], 0),
        (["--relative", "0.2"], 1),
        (["--absolute", "0.1", "--relative", "0.2"], 0),
        (["--absolute", "0"], 1),
    ]:
        capsys.readouterr()
        assert main(["judge", str(verdict), *options]) == code, options
        printed = capsys.readouterr().out
        assert f"{2 - code} of 2 outputs passed." in printed
        assert ("failed: dataset toy, model Net, variant candidate, output pt" in printed) == code
    assert verdict.read_bytes() == before


def test_judge_refuses_in_a_sentence(tmp_path, capsys):
    one = write_predictions(tmp_path / "one.h5", [1.0])
    verdict = tmp_path / "verdict.json"
    main(["compare", str(one), str(one), "--json", str(verdict)])
    empty = tmp_path / "empty.json"
    empty.write_text(
        json.dumps(
            {
                **json.loads(verdict.read_text()),
                "outputs": [],
                "shards": [],
                "rows": 0,
                "passed": False,
                "accepted": False,
                "failures": [],
            }
        )
    )
    for path, options, sentence in [
        (tmp_path / "missing.json", [], "missing.json cannot be read: No such file or directory"),
        (one, [], "one.h5 cannot be read as JSON"),
        (empty, ["--absolute", "1"], "judges no output"),
        (verdict, ["--absolute", "-1"], "the absolute tolerance is -1.0: give a number of 0 or more"),
    ]:
        assert main(["judge", str(path), *options]) == 2
        assert sentence in capsys.readouterr().err


def test_what_cannot_be_compared_is_bad_use_and_not_a_failed_verdict(tmp_path, events, capsys):
    one = write_predictions(tmp_path / "one.h5", [1.0])
    for other, options, sentence in [
        (write_predictions(tmp_path / "two.h5", [1.0, 2.0]), [], "has 2 rows and"),
        (write_predictions(tmp_path / "net.h5", [1.0], model="Other"), [], "is of model 'Other'"),
        (events, [], "holds events, not predictions"),
        (tmp_path / "missing.h5", [], "cannot be read: No such file"),
        (one, ["--absolute", "-1"], "the absolute tolerance is -1.0: give a number of 0 or more"),
        (one, ["--relative", "nan"], "the relative tolerance is nan"),
    ]:
        assert main(["compare", str(one), str(other), *options, "--json", str(tmp_path / "v.json")]) == 2
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "v.json").exists()
    assert main(["compare", str(one), str(one), "--json", str(one)]) == 2
    assert "one.h5 would replace" in capsys.readouterr().err
    assert main(["inspect", str(one)]) == 0


SIGNATURE = Signature(
    (TensorInput("particles", "particles", PARTICLES, PARTICLES.names),),
    (TensorOutput("energy", ("energy",)),),
    Layout.of(Item("energy", "float32", unit="GeV")),
)


def linear() -> torch.nn.Module:
    """Return a model of `2 * pt + 3 * eta + 5 * phi`."""
    model = torch.nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[2.0, 3.0, 5.0]]))
    return model


@pytest.fixture(scope="session")
def artifact(tmp_path_factory) -> Path:
    """A TorchScript artifact, with its passport."""
    path = tmp_path_factory.mktemp("artifacts") / "Linear.float32.pt"
    write_jit(linear(), SIGNATURE, path, model_name="Linear", dtype="float32", origin=ORIGIN)
    return path


@pytest.fixture(scope="session")
def program(tmp_path_factory) -> Path:
    """A program, with its passport."""
    path = tmp_path_factory.mktemp("programs") / "Linear.float32.pt2"
    write_program(linear(), SIGNATURE, path, model_name="Linear", dtype="float32", origin=ORIGIN)
    return path


def copied(file: Path, folder: Path) -> Path:
    """Copy an artifact with its passport, so that a test may change it."""
    for path in (file, passport_path(file)):
        shutil.copy(path, folder)
    return folder / file.name


def made_with_another_torch(path: Path) -> Path:
    """Give an artifact a whole passport that names another torch."""
    passport = read_passport(path)
    builds = {
        name: dataclasses.replace(build, toolchain={**build.toolchain, "torch": "1.13.1"})
        for name, build in passport.builds.items()
    }
    write_passport(path, dataclasses.replace(passport, builds=builds))
    return path


@pytest.fixture(scope="session")
def workbench(program, tmp_path_factory) -> dict[str, Path]:
    """What a user makes of a program that came without its passport: two artifacts, and one of both."""
    if this_cpu().level < 3:
        pytest.skip(f"this CPU, {this_cpu().describe()}, lacks instructions of x86-64-v3")
    folder = tmp_path_factory.mktemp("workbench")
    alone = Path(shutil.copy(program, folder))
    made, environment = {"program": alone}, {**os.environ, "SOAFLOW_CACHE": str(folder / "cache")}
    for target in ("x86-64-v2", "x86-64-v3"):
        path = folder / f"Linear.float32.{target}.balanced.pt2"
        run = soaflow("rebuild", alone.name, "--target", target, cwd=folder, env=environment)
        assert (run.returncode, run.stderr) == (0, "")
        size = path.stat().st_size
        said = rf"{path.name}: {size} bytes for {target}, compiled and checked in \d+\.\d s\n"
        assert re.fullmatch(said, run.stdout), run.stdout
        made[target] = path
    made["fat"] = folder / "fat.pt2"
    run = soaflow("pack", made["fat"], made["x86-64-v3"], made["x86-64-v2"])
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == f"{made['fat']}: {made['fat'].stat().st_size} bytes for x86-64-v2, x86-64-v3\n"
    return made


@pytest.mark.compile
def test_rebuild_of_the_same_is_from_the_cache_and_has_the_same_bytes(workbench, tmp_path):
    environment = {**os.environ, "SOAFLOW_CACHE": str(workbench["program"].parent / "cache")}
    out = tmp_path / "out" / "again.pt2"
    run = soaflow("rebuild", workbench["program"], "--target", "x86-64-v3", "--output", out, env=environment)
    assert (run.returncode, run.stderr) == (0, "")
    assert " for x86-64-v3, from the cache and checked in " in run.stdout
    assert sha256_of_file(out) == sha256_of_file(workbench["x86-64-v3"])
    assert read_passport(out).digest() == read_passport(workbench["x86-64-v3"]).digest()


@pytest.mark.compile
@pytest.mark.parametrize(("kind", "ran"), [("x86-64-v2", "x86-64-v2"), ("fat", "x86-64-v3")])
def test_infer_runs_what_rebuild_and_pack_made(workbench, events, tmp_path, kind, ran):
    out = tmp_path / "predictions.h5"
    run = soaflow("infer", workbench[kind], events, out)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.endswith(", 0 bytes copied on the way in, 1 thread\n")
    found = map_blob(read_header(out, PREDICTIONS), "predictions").array("energy")
    expected = sum(f * (np.arange(150) + 1000.0 * i) for i, f in enumerate([2, 3, 5]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    verified = soaflow("verify", workbench[kind])
    assert ran in next(line for line in verified.stdout.splitlines() if " cpu " in line)


@pytest.mark.compile
def test_a_compiled_artifact_runs_where_it_was_compiled_for(workbench, events, tmp_path):
    run = soaflow("infer", workbench["fat"], events, tmp_path / "p.h5", "--device", "cuda")
    assert run.returncode == 2
    assert run.stderr == f"soaflow: error: {workbench['fat']} is compiled for cpu: leave out --device cuda\n"


def checks(printed: str) -> dict[str, str]:
    """Return what each line of verify says: whether it fits, by check."""
    lines = [re.fullmatch(r"(fits|DOES NOT FIT) +(\w+) +(\S.*)", line) for line in printed.splitlines()]
    assert all(lines), printed
    return {line[2]: line[1] for line in lines if line}


ALWAYS = ("passport", "sha256", "archive", "contract", "torch")


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("jit", ()),
        ("program", ()),
        pytest.param("x86-64-v3", ("cpu", "c_library"), marks=pytest.mark.compile),
        pytest.param("fat", ("cpu", "c_library"), marks=pytest.mark.compile),
    ],
)
def test_verify_and_inspect_tell_every_kind_of_file(request, kind, more, capsys, artifact):
    path = artifact
    if kind == "program":
        path = request.getfixturevalue("program")
    elif kind != "jit":
        path = request.getfixturevalue("workbench")[kind]
    assert main(["verify", str(path)]) == 0
    assert checks(capsys.readouterr().out) == dict.fromkeys((*ALWAYS, *more), "fits")
    assert main(["verify", str(path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {entry["name"] for entry in printed} == {*ALWAYS, *more}
    assert all(entry["fits"] and entry["sentence"] for entry in printed)
    for name in (path, passport_path(path)):
        assert main(["inspect", str(name)]) == 0
        text = capsys.readouterr().out
        assert re.search(r"^  model +Linear$", text, re.MULTILINE)
        assert re.search(r"^energy +float32 +\[B, 1\]$", text, re.MULTILINE)
        description = read_passport(path).description
        assert all(f"  {sentence}\n" in text for sentence in caller_obligations(description.contract))
        targets = description.targets
        assert re.findall("^build for (.*)$", text, re.MULTILINE) == list(targets or [kind])
        assert re.search(r"^ +capacity +offset +rows", text, re.MULTILINE)
        assert ("vector_registers" in text) == bool(targets)
        assert not re.search(r"[{}]|\[\]|^ +machine_code\n[^ ]", text, re.MULTILINE)
        assert main(["inspect", str(name), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["sha256"] == sha256_of_file(path)


def test_verify_exits_with_1_and_names_what_does_not_fit(artifact, tmp_path, capsys):
    def broken(change) -> tuple[int, dict[str, str], str]:
        path = copied(artifact, tmp_path)
        change(path)
        code = main(["verify", str(path)])
        printed = capsys.readouterr()
        assert printed.err == ""
        return code, checks(printed.out), printed.out

    def flipped(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    code, found, text = broken(flipped)
    assert (code, found["sha256"], found["passport"]) == (1, "DOES NOT FIT", "fits")
    assert "is corrupt or is not the file its passport describes" in text
    code, found, text = broken(made_with_another_torch)
    assert (code, found.pop("torch"), set(found.values())) == (1, "DOES NOT FIT", {"fits"})
    assert "was made with torch 1.13.1, and torch " in text
    for change, sentence in [
        (lambda path: passport_path(path).unlink(), "has no passport Linear.float32.pt.json beside it"),
        (lambda path: passport_path(path).write_text("{"), "is not JSON"),
        (lambda path: passport_path(path).write_text("[]"), "is not a passport"),
        (
            lambda path: passport_path(path).write_text(
                passport_path(path).read_text().replace('"Linear"', '"Nonlinear"')
            ),
            "has been changed since it was written",
        ),
    ]:
        code, found, text = broken(change)
        assert (code, found) == (1, {"passport": "DOES NOT FIT"})
        assert sentence in text


@pytest.mark.compile
def test_verify_names_the_cpu_that_lacks_instructions(workbench, capsys, monkeypatch):
    old = Cpu("An old CPU", "x86_64", 2, frozenset())
    monkeypatch.setattr("soaflow.verification.this_cpu", lambda: old)
    assert main(["verify", str(workbench["x86-64-v3"])]) == 1
    text = capsys.readouterr().out
    assert checks(text)["cpu"] == "DOES NOT FIT"
    assert "avx2, " in text
    assert "An old CPU (x86-64-v2), lacks: build it for a lower target" in text
    assert main(["verify", str(workbench["fat"])]) == 0
    assert "of its targets this CPU, An old CPU (x86-64-v2), runs x86-64-v2" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["jit", pytest.param("fat", marks=pytest.mark.compile)])
def test_verify_inspect_and_infer_import_only_what_they_need(request, kind, artifact, events, tmp_path):
    path = artifact if kind == "jit" else request.getfixturevalue("workbench")[kind]
    compiler = {"torch._inductor", "soaflow.export", "matplotlib", "uproot", "yaml"}
    for verb in ("verify", "inspect"):
        assert not imported_by(verb, path) & ({"torch"} | compiler)
    assert "jsonschema" in imported_by("verify", path)
    imported = imported_by("infer", path, events, tmp_path / "p.h5")
    assert (tmp_path / "p.h5").exists()
    assert not imported & ({"jsonschema"} | compiler)


def test_what_does_not_fit_runs_if_it_is_accepted_by_name(artifact, events, tmp_path):
    path, out = made_with_another_torch(copied(artifact, tmp_path)), tmp_path / "out.h5"
    for options in ([], ["--accept", "cpu"]):
        run = soaflow("infer", path, events, out, *options)
        assert (run.returncode, run.stdout) == (2, "")
        assert re.fullmatch(
            rf"soaflow: error: {path} was made with torch 1\.13\.1, and torch \S+ is installed: rebuild it "
            r"from its program, or accept 'torch' by name\n",
            run.stderr,
        )
        assert not out.exists()
    run = soaflow("infer", path, events, out, "--accept", "cpu", "--accept", "torch")
    assert (run.returncode, run.stderr) == (0, "")
    assert out.exists()


def test_verify_rebuild_and_pack_refuse_in_a_sentence(
    artifact, program, events, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    corrupt = copied(program, tmp_path)
    corrupt.write_bytes(corrupt.read_bytes()[:-1])
    out = ["--output", tmp_path / "out.pt2"]
    for arguments, sentence in [
        (["verify", "missing.pt2"], "missing.pt2 is not there: export it first"),
        (["verify", "."], ". is not there"),
        (["rebuild", "missing.pt2", "--target", "native"], "missing.pt2 cannot be read: No such file"),
        (["rebuild", ".", "--target", "native"], ". is not a file"),
        (
            ["rebuild", program, "--target", "x86-64-v9"],
            "there is no target 'x86-64-v9': choose one of native, ",
        ),
        (["rebuild", program, "--target", "cuda"], "there is no target 'cuda': choose one of native, "),
        (["rebuild", program, "--target", "cuda-sm_10"], "target cuda-sm_10 needs a GPU of sm_10"),
        (["rebuild", artifact, "--target", "native", *out], f"{artifact} is of kind jit: compile a program"),
        (["rebuild", events, "--target", "native", *out], "events.h5 is not a zip archive"),
        (["rebuild", corrupt, "--target", "native", *out], "Linear.float32.pt2 does not end with"),
        (["rebuild", program, "--target", "native", "--output", program], "Linear.float32.pt2 would replace"),
        (["pack", *out[1:], "missing.pt2"], "missing.pt2 is not there"),
        (["pack", *out[1:], artifact], f"{artifact} is for jit"),
        (["pack", *out[1:], program], f"{program} is for program"),
        (["pack", *out[1:], events], "events.h5 has no passport"),
        (["pack", artifact, artifact], "Linear.float32.pt would replace"),
    ]:
        run = soaflow(*arguments)
        assert (run.returncode, run.stdout) == (2, ""), (arguments, run.stdout, run.stderr)
        assert sentence in run.stderr
        assert re.fullmatch(r"soaflow: error: [^\n]+\n", run.stderr)
    assert not (tmp_path / "out.pt2").exists()
    assert capsys.readouterr().out == ""


def test_a_refused_rebuild_loads_no_torch(program):
    assert "torch" not in imported_by("rebuild", "missing.pt2", "--target", "native")
    assert "torch" not in imported_by("rebuild", program, "--target", "x86-64-v9")


def test_inspect_refuses_a_passport_that_its_schema_does_not_know(artifact, tmp_path, capsys):
    """Whoever writes one by hand may give it a fitting digest."""
    path = copied(artifact, tmp_path)
    passport = read_passport(path)
    contract = {**passport.description.contract, "inputs": [{}]}
    spoilt = dataclasses.replace(
        passport, description=dataclasses.replace(passport.description, contract=contract)
    )
    passport_path(path).write_text(json_text(spoilt.to_mapping()))
    assert main(["inspect", f"{path}.json"]) == 2
    assert re.search(r"pt\.json: key 'description\.contract\.inputs\S*' ", capsys.readouterr().err)
    assert main(["inspect", str(path)]) == 2
    assert "says something else of itself than its passport does" in capsys.readouterr().err


@pytest.mark.parametrize("batch_size", [0, 64])
def test_infer_runs_an_artifact_and_writes_predictions_and_proof(artifact, events, tmp_path, batch_size):
    out = tmp_path / "out" / "predictions.h5"
    run = soaflow("infer", artifact, events, out, "--batch-size", batch_size)
    assert (run.returncode, run.stderr) == (0, "")
    batches = 3 if batch_size else 1
    assert re.fullmatch(
        rf"{out}: 150 rows in {batches} batch(es)?, [\d,]+ rows/s, first result \d+\.\d\d s after "
        r"the process began, 0 bytes copied on the way in, 1 thread\n",
        run.stdout,
    )
    header = read_header(out, PREDICTIONS)
    named = {"dataset": "toy", "shard": "3", "model": "Linear", "variant": "jit"}
    assert header.attributes.items() >= named.items()
    assert header.attributes["particles_layout_sha256"] == PARTICLES.digest()
    found = map_blob(header, "predictions").array("energy")
    expected = sum(f * (np.arange(150) + 1000.0 * i) for i, f in enumerate([2, 3, 5]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    proof = tmp_path / "out" / "predictions.proof.json"
    assert json.loads(proof.read_text())["model_sha256"] == sha256_of_file(artifact)
    shown = soaflow("inspect", proof)
    assert re.search(r"^  threads_seen +1$", shown.stdout, re.MULTILINE)
    assert re.search(r"^  bytes_copied_in +0$", shown.stdout, re.MULTILINE)
    assert sorted(entry.name for entry in out.parent.iterdir()) == [
        "predictions.h5",
        "predictions.proof.json",
    ]
    assert soaflow("compare", out, out).returncode == 0


def test_infer_refuses_in_a_sentence_and_leaves_nothing(artifact, events, tmp_path):
    out = tmp_path / "out" / "predictions.h5"
    corrupt = tmp_path / "corrupt.pt"
    corrupt.write_bytes(artifact.read_bytes()[:-1])
    corrupt.with_name("corrupt.pt.json").write_bytes(artifact.with_name(f"{artifact.name}.json").read_bytes())
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(artifact.read_bytes())
    passport = read_passport(artifact)
    signature = {**passport.description.signature, "inputs": []}
    description = dataclasses.replace(passport.description, signature=signature)
    write_passport(damaged, dataclasses.replace(passport, description=description))
    before = sha256_of_file(events), sha256_of_file(artifact)
    other = tmp_path / "other.h5"
    with writing(other, EVENTS, {"particles": Layout(PARTICLES.items[:2]).place(3)}, {}):
        pass
    for arguments, sentence in [
        ((tmp_path / "missing.pt", events, out), "missing.pt is not there"),
        ((corrupt, events, out), "corrupt.pt is corrupt or is not the file its passport describes"),
        ((artifact, tmp_path / "missing.h5", out), "missing.h5 cannot be read"),
        ((artifact, other, out), "item 'phi' is missing"),
        ((artifact, events, out, "--batch-size", -1), "'batch_size' of variant 'jit' is -1"),
        ((artifact, events, events / "out.h5"), "cannot be written"),
        ((artifact, events, events), "events.h5 would replace"),
        ((artifact, events, artifact), "Linear.float32.pt would replace"),
        ((damaged, events, out), f"{damaged} says something else of itself than its passport does"),
        (
            (artifact, events, out, "--accept", "sha256"),
            "'sha256' cannot be accepted: choose of cpu, torch, c_",
        ),
        ((tmp_path, events, out), f"{tmp_path} is not there"),
        ((".", events, out), ". is not there"),
    ]:
        run = soaflow("infer", *arguments)
        assert (run.returncode, run.stdout) == (2, ""), run.stderr
        assert sentence in run.stderr
        assert run.stderr.startswith("soaflow: error: ")
        assert run.stderr.count("\n") == 1
    assert not out.parent.exists() or not list(out.parent.iterdir())
    assert (sha256_of_file(events), sha256_of_file(artifact)) == before


def test_infer_on_a_full_or_read_only_disk_is_a_sentence_and_leaves_nothing(artifact, events, small_disk):
    # At each size something else is the first that does not fit: the predictions, or the proof.
    for kilobytes, options in [(4, "rw"), (12, "rw"), (1000, "ro")]:
        with small_disk(kilobytes, options) as disk:
            run = soaflow("infer", artifact, events, disk / "predictions.h5")
            assert run.returncode == 2, run.stdout
            assert re.fullmatch(r"soaflow: error: \S+ cannot be written: [^\n]+\n", run.stderr)
            assert list(disk.iterdir()) == []


@pytest.mark.parametrize("rows", [0, 1])
def test_infer_takes_no_and_one_row(artifact, tmp_path, rows):
    with writing(tmp_path / "e.h5", EVENTS, {"particles": PARTICLES.place(rows)}, {}):
        pass
    run = soaflow("infer", artifact, tmp_path / "e.h5", tmp_path / "p.h5", "--batch-size", 64)
    assert (run.returncode, run.stderr) == (0, "")
    assert f"{rows} rows in {['0 batches', '1 batch'][rows]}" in run.stdout
    assert soaflow("compare", tmp_path / "p.h5", tmp_path / "p.h5").returncode == 0


def test_inspect_tells_an_artifact_from_its_passport_and_loads_no_code(artifact, tmp_path, capsys):
    assert main(["inspect", str(artifact)]) == 0
    text = capsys.readouterr().out
    assert f"{artifact}, whose SHA-256 is that of its passport" in text
    assert re.search(r"^  model +Linear$", text, re.MULTILINE)
    assert re.search(r"^particles +particles +float32 +\[B, 3\] +\[1, S\]$", text, re.MULTILINE)
    assert "torch" not in imported_by("inspect", artifact)
    assert main(["inspect", f"{artifact}.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["description"]["origin"] == ORIGIN
    (tmp_path / "a.pt").write_bytes(artifact.read_bytes() + b"x")
    (tmp_path / "a.pt.json").write_bytes(Path(f"{artifact}.json").read_bytes())
    assert main(["inspect", str(tmp_path / "a.pt")]) == 2
    assert "a.pt is corrupt" in capsys.readouterr().err


def test_inspect_lists_the_members_of_weights_and_unpickles_nothing(artifact, tmp_path, capsys):
    class Harmful:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    weights = tmp_path / "Net.pt"
    torch.save({"weight": torch.zeros(10), "harmful": Harmful()}, weights)
    assert main(["inspect", str(weights)]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{weights}: weights, or another file of torch, {weights.stat().st_size} bytes\n")
    assert re.search(r"^Net/data/0 +40$", text, re.MULTILINE)
    assert "torch" not in imported_by("inspect", weights)
    assert main(["inspect", str(weights), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["members"]["Net/data/0"] == 40
    (tmp_path / "script.pt").write_bytes(artifact.read_bytes())
    assert main(["inspect", str(tmp_path / "script.pt")]) == 0
    text = capsys.readouterr().out
    assert "script.pt: TorchScript without a passport" in text
    assert "export the model again" in text


def test_inspect_works_where_torch_cannot_be_imported(artifact, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["inspect", str(artifact)]) == 0


def test_a_reader_that_goes_away_is_no_traceback(items):
    command = [sys.executable, "-m", "soaflow", "layout", str(items), "--rows", "3"]
    reading, writing_end = os.pipe()
    os.close(reading)
    run = subprocess.run(command, stdout=writing_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing_end)
    assert (run.returncode, run.stderr) == (141, "")


def test_a_full_disk_behind_the_output_is_a_sentence(items):
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "soaflow", "layout", str(items), "--rows", "3"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert run.returncode == 2
    assert run.stderr == "soaflow: error: the disk that the output goes to is full: free space\n"


def test_an_interrupt_ends_without_a_traceback(tmp_path):
    pipe = tmp_path / "items.yaml"
    os.mkfifo(pipe)
    command = [*INTERRUPTIBLE, sys.executable, "-m", "soaflow", "layout", str(pipe), "--rows", "3"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # The verb waits for a writer of the named pipe; to open it is to know that it runs.
    with run, open(pipe, "w"):
        run.send_signal(signal.SIGINT)
        out, error = run.communicate()
    assert (run.returncode, out, error) == (130, "", "soaflow: interrupted\n")


def test_a_bug_keeps_its_traceback(items, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("soaflow.cli.layout.placement_table", broken)
    with pytest.raises(ZeroDivisionError):
        main(["layout", str(items), "--rows", "3"])


def test_every_error_of_the_user_is_a_sentence_and_code_2(items, monkeypatch, capsys):
    def all_errors(base: type) -> list[type]:
        return [error for child in base.__subclasses__() for error in (child, *all_errors(child))]

    for error in all_errors(SoaflowError):

        def failing(*_: object, error: type = error) -> None:
            raise error("particles.yaml has no items: add one")

        monkeypatch.setattr("soaflow.cli.layout.placement_table", failing)
        assert main(["layout", str(items), "--rows", "3"]) == 2
        assert capsys.readouterr().err == "soaflow: error: particles.yaml has no items: add one\n"


@pytest.mark.parametrize(
    ("profile", "target"),
    [
        ("balanced", None),
        ("latency", "x86-64-v3"),
        ("throughput", "x86-64-v3"),
        ("reproducible", "x86-64-v3"),
    ],
)
def test_bisect_builds_as_the_artifact_was_built(monkeypatch, profile, target):
    """Weights are packed by kernels that saw no more than the target, wherever they may be packed."""
    described = SimpleNamespace(kind="aot", profile=profile, targets=("x86-64-v3",))
    monkeypatch.setattr(bisect, "read_description", lambda _: described)
    found = bisect._packs_weights_for(Path("Net.pt2"))
    assert (found and found.name) == target
