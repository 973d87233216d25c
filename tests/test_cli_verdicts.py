"""`soaflow compare` and `soaflow judge` as people use them: golden outputs, configurations, waivers."""

import dataclasses
import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from soaflow.cli import main
from soaflow.compare.criteria import Criterion
from soaflow.compare.verdict import read_verdict, write_verdict
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.storage import PREDICTIONS, writing

REPOSITORY = Path(__file__).parents[1]
ROWS = 77
RANDOM = np.random.default_rng(8)
VALUES = {"reco_pt": RANDOM.exponential(30.0, ROWS), "scores": RANDOM.normal(size=(ROWS, 3))}


def layout(dtype: str) -> Layout:
    return Layout.of(Item("reco_pt", dtype, unit="GeV"), Item("scores", dtype, ItemKind.EIGEN, (3,)))


def predictions(path: Path, dtype: str, variant: str) -> Path:
    said = {"dataset": "toy", "shard": "0", "model": "Net", "variant": variant}
    with writing(path, PREDICTIONS, {"predictions": layout(dtype).place(ROWS)}, said) as writer:
        for name, values in VALUES.items():
            writer.write("predictions", name, values)
    return path


@pytest.fixture
def reference(tmp_path):
    return predictions(tmp_path / "reference.h5", "float64", "reference")


def cmssw_buffer(path: Path, values: dict[str, np.ndarray]) -> Path:
    """What a C++ program dumps of a float32 collection, laid out by hand: planes padded to 128 bytes."""
    planes = [values["reco_pt"], *values["scores"].T]
    padded = math.ceil(ROWS * 4 / 128) * 128
    path.write_bytes(b"".join(plane.astype("<f4").tobytes().ljust(padded, b"\0") for plane in planes))
    return path


def test_the_buffer_of_a_cmssw_job_is_judged(reference, tmp_path, capsys):
    own = predictions(tmp_path / "jit.h5", "float32", "jit")
    buffer = cmssw_buffer(tmp_path / "cmssw.bin", VALUES)
    items = tmp_path / "items.yaml"
    items.write_text(json.dumps(layout("float32").to_mappings()))
    verdict = tmp_path / "verdict.json"
    for described in (own, items):
        call = ["compare", reference, buffer, "--blob", "--layout", described, "--json", verdict]
        assert main(list(map(str, call))) == 0
        printed = capsys.readouterr().out
        assert "2 of 2 outputs passed." in printed
        assert (
            f"note: {buffer} does not say which dataset, shard, model, weights and events it is of" in printed
        )
        found = read_verdict(verdict)
        assert (found.dataset, found.model, found.variant, found.rows) == ("toy", "Net", "cmssw", ROWS)
        assert [output.differences.rows_bit_identical for output in found.outputs] == [ROWS, ROWS]
    wrong = {name: values.copy() for name, values in VALUES.items()}
    wrong["scores"][41, 2] += 0.5
    cmssw_buffer(buffer, wrong)
    assert main(list(map(str, call))) == 1
    assert "shard 0, row 41, element [2]" in capsys.readouterr().out


def test_a_file_of_another_tool_is_judged(reference, tmp_path, capsys):
    golden = tmp_path / "golden.h5"
    with h5py.File(golden, "w") as file:
        for name, values in VALUES.items():
            file.create_dataset(name, data=values.astype(">f4"), chunks=True, compression="gzip")
        file.attrs["model"] = "Net"
    assert main(["compare", str(reference), str(golden)]) == 0
    assert (
        f"note: {golden} does not say which dataset, shard, weights and events it is of"
        in capsys.readouterr().out
    )
    with h5py.File(golden, "r+") as file:
        file.attrs["model"] = "Other"
    assert main(["compare", str(reference), str(golden)]) == 2
    assert "golden.h5 is of model 'Other'" in capsys.readouterr().err


def test_mistakes_with_golden_outputs_are_sentences(reference, tmp_path, capsys):
    buffer = cmssw_buffer(tmp_path / "cmssw.bin", VALUES)
    for options, sentence in (
        ([], "cmssw.bin is no kind of file that predictions are read from"),
        (["--blob"], "name its items with --layout"),
        (["--layout", str(reference)], "--layout names the items of a blob: give it with --blob"),
        (["--blob", "--layout", str(tmp_path / "none.yaml")], "none.yaml cannot be read"),
    ):
        assert main(["compare", str(reference), str(buffer), *options]) == 2
        assert sentence in capsys.readouterr().err


def configured(tmp_path: Path, absolute: float, **changes: object) -> Path:
    config = yaml.safe_load((REPOSITORY / "config/small.yaml").read_text()) | changes
    config["models"]["Net"] = config["models"].pop("SimpleNet")
    config["models"]["Net"]["outputs"] += [
        {"name": "scores", "items": [{"name": "scores", "dtype": "float32", "kind": "eigen", "shape": [3]}]}
    ]
    config["tolerances"]["float32"] = {"absolute": absolute, "relative": 0.0}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path / "config.yaml"


def test_a_verdict_is_judged_again_by_a_configuration(reference, tmp_path, capsys):
    verdict, again = tmp_path / "verdict.json", tmp_path / "again.json"
    candidate = predictions(tmp_path / "jit.h5", "float32", "jit")
    assert main(["compare", str(reference), str(candidate), "--json", str(verdict)]) == 0
    judge = ["judge", str(verdict), "--json", str(again), "--config"]
    assert main([*judge, str(configured(tmp_path, 1.0))]) == 0
    assert main([*judge, str(configured(tmp_path, 1e-12))]) == 1
    assert read_verdict(again).outputs[0].tolerance.absolute == 1e-12
    waiver = {"model": "Net", "variant": "jit", "reason": "known"}
    capsys.readouterr()
    for expires, code, told in (("2999-12-31", 0, "waived: "), ("2001-12-31", 1, "failed: ")):
        config = configured(tmp_path, 1e-12, waivers=[waiver | {"expires": expires}])
        assert main([*judge, str(config)]) == code
        assert told in capsys.readouterr().out
    # Limits given on the command line go before those of the configuration.
    assert main([*judge, str(config), "--absolute", "1"]) == 0


def test_mistakes_in_judging_are_sentences(reference, tmp_path, capsys):
    verdict = tmp_path / "verdict.json"
    assert main(["compare", str(reference), str(reference), "--json", str(verdict)]) == 0
    (tmp_path / "bytes.yaml").write_bytes(b"\xff")
    (tmp_path / "list.yaml").write_text("[]")
    (tmp_path / "part.yaml").write_text("seed: 1")
    for options, sentence in (
        (["--config", str(tmp_path / "none.yaml")], "none.yaml cannot be read: No such file or directory"),
        (["--config", str(tmp_path / "bytes.yaml")], "bytes.yaml cannot be read as YAML: 'utf-8' codec"),
        (["--config", str(tmp_path / "list.yaml")], "list.yaml is no complete configuration"),
        (["--config", str(tmp_path / "part.yaml")], "part.yaml is no complete configuration"),
        (["--config", str(configured(tmp_path, 1.0))], "has no model 'Net' in variant 'reference'"),
        (["--factor", "-1"], "the factor of the yardstick is -1.0"),
        (["--json", str(verdict)], "would replace"),
    ):
        assert main(["judge", str(verdict), *options]) == 2
        assert sentence in capsys.readouterr().err


def test_golden_outputs_are_judged_by_the_error_of_eager(reference, tmp_path, capsys):
    eager = predictions(tmp_path / "eager.h5", "float32", "eager")
    rounding = float(np.abs(VALUES["reco_pt"].astype("f4") - VALUES["reco_pt"]).max())
    golden, verdict = tmp_path / "golden.npz", tmp_path / "verdict.json"
    call = ["compare", str(reference), str(golden), "--absolute", "1", "--json", str(verdict)]
    for error, code in ((1.5 * rounding, 0), (5 * rounding, 1)):
        changed = {name: values.astype("f4") for name, values in VALUES.items()}
        changed["reco_pt"][3] = VALUES["reco_pt"][3] + error
        np.savez(golden, **changed)
        assert main(call) == 0
        assert main([*call, "--eager", str(eager)]) == code
    assert "times the error" in capsys.readouterr().out
    assert main([*call, "--eager", str(eager), "--factor", "7"]) == 0
    assert main(["judge", str(verdict), "--factor", "3"]) == 1
    assert main(["judge", str(verdict), "--floor", "1"]) == 0
    assert main([*call, "--floor", "1e-6"]) == 2
    assert "give its file with --eager" in capsys.readouterr().err


def test_a_yardstick_that_nothing_can_be_judged_by_is_refused(reference, tmp_path, capsys):
    verdict = tmp_path / "verdict.json"
    assert main(["compare", str(reference), str(reference), "--json", str(verdict)]) == 0
    assert main(["judge", str(verdict), "--factor", "3"]) == 2
    assert "verdict.json does not hold the error of eager float32" in capsys.readouterr().err


def test_golden_outputs_are_judged_as_a_variant_of_a_configuration(reference, tmp_path, capsys):
    golden, verdict = tmp_path / "golden.npz", tmp_path / "verdict.json"
    np.savez(golden, **{name: values.astype("f4") for name, values in VALUES.items()})
    assert main(["compare", str(reference), str(golden), "--json", str(verdict)]) == 0
    judge = ["judge", str(verdict), "--config", str(configured(tmp_path, 1e-12))]
    assert main(judge) == 2
    assert "with --variant, the variant to judge them as" in capsys.readouterr().err
    assert main([*judge, "--variant", "jit"]) == 1
    configured(tmp_path, 1.0)
    assert main([*judge, "--variant", "jit"]) == 0
    assert main(["judge", str(verdict), "--variant", "jit"]) == 2
    assert "give it with --config" in capsys.readouterr().err


def test_limits_that_a_configuration_cannot_judge_again_are_said(reference, tmp_path, capsys):
    verdict = tmp_path / "verdict.json"
    candidate = predictions(tmp_path / "jit.h5", "float32", "jit")
    assert main(["compare", str(reference), str(candidate), "--json", str(verdict)]) == 0
    judge = ["judge", str(verdict), "--config", str(configured(tmp_path, 1.0))]
    assert main(judge) == 0
    assert "note: limits of physics" not in capsys.readouterr().out
    judged = read_verdict(verdict)
    flips = Criterion("flips", 0.0, 0.1, 0.0, "of rows", "")
    outputs = tuple(
        dataclasses.replace(output, criteria=(*output.criteria, flips)) for output in judged.outputs
    )
    write_verdict(verdict, dataclasses.replace(judged, outputs=outputs))
    assert main(judge) == 0
    assert "note: limits of physics, batches and pairs are those that the verdict" in capsys.readouterr().out


def test_figures_are_written_for_judging_later(reference, tmp_path, capsys):
    figures = tmp_path / "figures.json"
    assert main(["compare", str(reference), str(reference), "--measurement", str(figures)]) == 0
    assert main(["inspect", str(figures)]) == 0
    assert "measurement of model Net, variant reference, dataset toy, shard 0" in capsys.readouterr().out
