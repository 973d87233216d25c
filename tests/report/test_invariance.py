"""The picture of what changes with the batch: what a cell shows, and what cannot be drawn."""

import pytest

from soaflow.errors import StorageError
from soaflow.files import sha256_of_file, write_json
from soaflow.report.documents import read_documents
from soaflow.report.invariance import DECADES, SAME, Cell, matrices_of, plot_invariance
from soaflow.report.style import FAIL


def outputs(**figures):
    found = {"rows_differing": 0, "mismatches": 0, "largest_ulp": 0, "largest_absolute": 0.0} | figures
    return [{"item": item, "unit": unit, "sameness": found} for item, unit in (("pt", "GeV"), ("score", ""))]


def apart(ulp):
    return outputs(rows_differing=1, largest_ulp=ulp, largest_absolute=ulp * 1e-7)


@pytest.fixture
def files(tmp_path):
    def write(name, document):
        write_json(tmp_path / f"{name}.json", document)
        return tmp_path / f"{name}.json"

    invariance = [
        write(
            f"{variant}-{dataset}",
            {
                "variant": variant,
                "rows": 100,
                "rerun": outputs(),
                "batches": [{"size": 7, "outputs": apart(ulp)}],
            },
        )
        for variant, dataset, ulp in (("jit", "a", 3), ("jit", "b", 40), ("aot", "a", 2), ("aot", "b", 1))
    ]
    pair = {"first": "aot", "other": "jit", "outputs": apart(5)}
    return invariance, [write("pairs", {"variants": ["jit", "aot"], "rows": 200, "pairs": [pair]})]


def test_a_cell_is_the_worst_of_all_datasets(files):
    found = matrices_of(*map(read_documents, files))
    assert [(one.item, one.unit) for one in found] == [("pt", "GeV"), ("score", "")]
    assert {key: cell.largest_ulp for key, cell in found[0].batches.items()} == {
        ("jit", "7"): 40,
        ("jit", "run again"): 0,
        ("aot", "7"): 2,
        ("aot", "run again"): 0,
    }
    assert {key: cell.largest_ulp for key, cell in found[0].pairs.items()} == {("aot", "jit"): 5}


def test_worse_is_greater_and_a_mismatch_is_the_worst():
    same, near, far, mismatch = (
        Cell(0, 0, 0.0, 0),
        Cell(0, 1, 9.0, 9),
        Cell(0, 2, 1e-9, 1),
        Cell(1, 0, 0.0, 1),
    )
    assert same < near < far < mismatch


@pytest.mark.parametrize(
    ("cell", "text", "colour"),
    [
        (Cell(0, 0, 0.0, 0), "same bits", SAME),
        (Cell(0, 0, 0.0, 3), "sign of 0", DECADES[0][1]),
        (Cell(0, 9, 1e-6, 3), "9 ULP\n1e-06", DECADES[0][1]),
        (Cell(0, 10, 1e-6, 3), "10 ULP\n1e-06", DECADES[1][1]),
        (Cell(0, 9999, 1e-3, 3), "9999 ULP\n0.001", DECADES[3][1]),
        (Cell(0, 2**40, 0.5, 3), "1.1e+12 ULP\n0.5", DECADES[4][1]),
        (Cell(1, 0, 0.0, 1), "NaN or inf\n1 value", FAIL),
    ],
)
def test_what_a_cell_says_and_its_colour(cell, text, colour):
    assert (cell.text, cell.colour) == (text, colour)


def test_the_picture_repeats_to_the_byte(files, tmp_path):
    digests = set()
    for _ in range(2):
        plot_invariance(*files, tmp_path / "plot.svg", model="Net")
        digests.add(sha256_of_file(tmp_path / "plot.svg"))
    assert len(digests) == 1


@pytest.mark.parametrize("variants", [["jit"], []])
def test_what_is_not_there_is_said(variants, files, tmp_path):
    write_json(tmp_path / "pairs.json", {"variants": variants, "rows": 200, "pairs": []})
    plot_invariance(
        files[0][:1] if variants else [], [tmp_path / "pairs.json"], tmp_path / "plot.svg", model="N"
    )
    assert (tmp_path / "plot.svg").stat().st_size > 1000


def test_another_file_is_a_sentence(files, tmp_path):
    write_json(tmp_path / "pairs.json", {"pairs": []})
    with pytest.raises(StorageError, match="lacks a key"):
        plot_invariance(files[0], [tmp_path / "pairs.json"], tmp_path / "plot.svg", model="Net")
    assert not (tmp_path / "plot.svg").exists()
