"""Every two variants: what is planted in one of them is found in its pairs alone."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

from soaflow.compare.measuring_pairs import measure_pairs
from soaflow.compare.pairs import read_pairs
from soaflow.errors import StorageError
from soaflow.files import sha256_of_file
from soaflow.soa.layout import Item, ItemKind, Layout

VARIANTS = ("eager", "jit", "aot")


@pytest.fixture
def write(write_predictions, values):
    """Writes the predictions of a variant for a shard of 300 rows, changed by a function."""

    def write(variant, shard=0, change=None, **options):
        changed = {name: array.copy() for name, array in values.items()}
        if change is not None:
            change(changed)
        return write_predictions(f"{variant}-{shard}", changed, variant=variant, shard=shard, **options)

    return write


def differing(pairs):
    """The items that differ, by pair."""
    return {
        (pair.first, pair.other): [output.item for output in pair.outputs if not output.sameness.same_bits]
        for pair in pairs.pairs
    }


def test_every_two_variants_are_compared_over_all_shards(write, tmp_path):
    def one_score(values):
        values["scores"][17, 2] = np.nextafter(values["scores"][17, 2], 9)

    files = [write(name, shard) for shard in (10, 2) for name in VARIANTS if (name, shard) != ("aot", 2)]
    files.append(write("aot", 2, one_score))
    found = measure_pairs(files, VARIANTS, tmp_path / "pairs.json")
    assert (found.dataset, found.model, found.rows, found.variants) == ("toy", "Net", 600, VARIANTS)
    assert differing(found) == {
        ("eager", "jit"): [],
        ("eager", "aot"): ["scores"],
        ("jit", "aot"): ["scores"],
    }
    scores = found.with_variant("aot")["jit"].outputs[1].sameness
    assert (scores.rows_differing, scores.largest_ulp, scores.first_differing) == (1, 1, ("2", 17))
    assert read_pairs(tmp_path / "pairs.json") == found

    before = sha256_of_file(tmp_path / "pairs.json")
    measure_pairs(files[::-1], VARIANTS, tmp_path / "pairs.json")
    assert sha256_of_file(tmp_path / "pairs.json") == before


def test_rows_of_one_variant_off_by_one_are_found(write, tmp_path):
    files = [write("eager"), write("jit", change=lambda values: values.update(pt=np.roll(values["pt"], 1)))]
    found = measure_pairs(files, ("eager", "jit"), tmp_path / "pairs.json")
    assert differing(found) == {("eager", "jit"): ["pt"]}
    assert found.pairs[0].outputs[0].sameness.rows_differing == 300


def test_wider_floats_are_rounded_whatever_the_order(write, tmp_path):
    wide = Layout.of(
        Item("pt", "float64", unit="GeV"),
        Item("scores", "float64", ItemKind.EIGEN, (3,)),
        Item("label", "int32"),
    )
    files = [write("single"), write("double", layout=wide)]
    for order in itertools.permutations(("single", "double")):
        found = measure_pairs(files, order, tmp_path / "pairs.json")
        assert (found.pairs[0].first, found.pairs[0].other) == ("double", "single")
        assert differing(found) == {("double", "single"): []}


def test_a_single_variant_has_no_pairs(write, tmp_path):
    found = measure_pairs([write("eager")], ["eager"], tmp_path / "pairs.json")
    assert (found.rows, found.pairs) == (300, ())
    assert read_pairs(tmp_path / "pairs.json") == found


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ([("eager", 0), ("jit", 0), ("eager", 1)], "shard '1' has no predictions of variant 'jit'"),
        ([("eager", 0), ("jit", 0), ("jit", 0)], "both of variant 'jit', shard '0'"),
        ([("eager", 0), ("onnx", 0)], "is of variant 'onnx', and the pairs are of eager, jit"),
    ],
)
def test_missing_doubled_and_other_files_are_refused(files, sentence, write, tmp_path):
    with pytest.raises(StorageError, match=sentence):
        measure_pairs([write(*file) for file in files], ("eager", "jit"), tmp_path / "pairs.json")
    assert not (tmp_path / "pairs.json").exists()


def test_predictions_of_other_weights_are_refused(write, tmp_path):
    files = [write("eager", weights_sha256="new"), write("jit", weights_sha256="old")]
    with pytest.raises(StorageError, match="made with other weights"):
        measure_pairs(files, ("eager", "jit"), tmp_path / "pairs.json")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("variants", ["onnx", "jit"], "not every two of the variants"),
        ("rows", 299, "rows is 299, which contradicts the figures"),
        ("shards", [], "another number of rows than 0"),
        ("pairs_version", 2, "its pairs_version is 2 and not 1: compare the variants again"),
        ("pairs", [], "not every two of the variants"),
    ],
)
def test_a_file_that_claims_something_else_is_refused(key, value, sentence, write, tmp_path):
    path = tmp_path / "pairs.json"
    measure_pairs([write("eager"), write("jit")], ("eager", "jit"), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(StorageError, match=sentence):
        read_pairs(path)


MEASURE = """
import resource, sys
from soaflow.compare.measuring_pairs import measure_pairs
limit = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
measure_pairs(sys.argv[1:3], ("a", "b"), sys.argv[3])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - limit) * 1024)
"""


def test_memory_does_not_grow_with_the_rows(write_predictions, tmp_path):
    """Of 10^7 rows, 40 MB a file: what is not the mapped files themselves stays small."""
    layout, rows = Layout.of(Item("pt", "float32")), 10**7
    values = np.arange(rows, dtype=np.float32)
    files = [
        write_predictions(name, {"pt": values + shift}, layout=layout) for name, shift in (("a", 0), ("b", 2))
    ]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *files, tmp_path / "pairs.json"],
        capture_output=True,
        text=True,
        check=True,
    )
    mapped = 2 * rows * 4
    assert int(done.stdout) < mapped + 40e6
    assert read_pairs(tmp_path / "pairs.json").pairs[0].outputs[0].sameness.rows_differing == rows
