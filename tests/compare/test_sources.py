"""Golden outputs: predictions from anywhere with the same items, and what they do not say of themselves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import uproot

from soaflow.compare.judging import judge
from soaflow.compare.measuring import measure, measure_files
from soaflow.compare.sources import opened_source, opened_sources, unstated
from soaflow.compare.tolerances import Tolerance
from soaflow.errors import StorageError
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.storage import map_blob, read_header

Array = np.ndarray[Any, Any]
Values = dict[str, Array]
EXACT = Tolerance(0.0, 0.0)


def as_hdf5(path: Path, values: Values, **how: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in values.items():
            file.create_dataset(name, data=array, **how)
    return path


def big_endian(values: Values) -> Values:
    return {name: array.astype(array.dtype.newbyteorder(">")) for name, array in values.items()}


def as_npz(path: Path, values: Values) -> Path:
    np.savez_compressed(path, **values)
    return path


def as_ntuple(path: Path, values: Values) -> Path:
    with uproot.recreate(path) as file:
        file["outputs"] = values
    return path


def as_tree(path: Path, values: Values) -> Path:
    with uproot.recreate(path) as file:
        shapes = {name: (array.dtype, array.shape[1:]) for name, array in values.items()}
        file.mktree("outputs", shapes).extend(values)
    return path


def as_blob(path: Path, own: Path) -> Path:
    """The bytes of the collection, as a C++ program would write them out of its buffer."""
    path.write_bytes(map_blob(read_header(own), "predictions").buffer)
    return path


WRITERS: dict[str, Callable[[Path, Values], Path]] = {
    "plain": lambda folder, values: as_hdf5(folder / "golden.h5", values),
    "chunked": lambda folder, values: as_hdf5(
        folder / "golden.h5", values, chunks=True, compression="gzip", shuffle=True
    ),
    "big-endian": lambda folder, values: as_hdf5(folder / "golden.h5", big_endian(values)),
    "in the group": lambda folder, values: as_hdf5(
        folder / "golden.hdf5", {f"predictions/{name}": array for name, array in values.items()}
    ),
    "elements first": lambda folder, values: as_hdf5(
        folder / "golden.h5", values | {"scores": values["scores"].T}
    ),
    "with more": lambda folder, values: as_hdf5(folder / "golden.h5", values | {"other": np.zeros(3)}),
    "npz": lambda folder, values: as_npz(folder / "golden.npz", values),
    "npz, big-endian": lambda folder, values: as_npz(folder / "golden.npz", big_endian(values)),
    "npz, columns as matrices": lambda folder, values: as_npz(
        folder / "golden.npz", values | {"pt": values["pt"][:, None]}
    ),
    "tree": lambda folder, values: as_tree(folder / "golden.root", values),
    "ntuple": lambda folder, values: as_ntuple(folder / "golden.root", values),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_predictions_from_anywhere_are_judged(
    kind: str, values: Values, write_predictions: Any, tmp_path: Path
) -> None:
    reference = write_predictions("reference", values)
    golden = WRITERS[kind](tmp_path, values)
    own = measure_files(reference, write_predictions("jit", values))
    assert measure_files(reference, golden).outputs == own.outputs
    assert measure_files(golden, reference).outputs[0].differences == own.outputs[0].differences
    golden.unlink()
    for name, place in (("pt", 17), ("scores", (255, 2)), ("label", 299)):
        wrong = {key: array.copy() for key, array in values.items()}
        wrong[name][place] += 1
        found = measure_files(reference, WRITERS[kind](tmp_path, wrong))
        verdict = judge(found, EXACT)
        assert {failure.item for failure in verdict.failures} == {name}
        row, *element = np.atleast_1d(place).tolist()
        largest = next(output for output in found.outputs if output.item == name).differences.largest_absolute
        assert largest is not None
        assert (largest.row, list(largest.element)) == (row, element)


def test_an_own_file_that_another_tool_has_compressed_is_read(
    values: Values, write_predictions: Any, tmp_path: Path
) -> None:
    reference, own = write_predictions("reference", values), write_predictions("jit", values)
    with h5py.File(own) as file, h5py.File(tmp_path / "packed.h5", "w") as packed:
        packed.attrs.update(file.attrs)
        group = packed.create_group("predictions")
        group.attrs.update(file["predictions"].attrs)
        for name, dataset in file["predictions"].items():
            group.create_dataset(name, data=dataset[()], chunks=True, compression="gzip")
    assert measure_files(reference, tmp_path / "packed.h5") == measure_files(reference, own)


def test_one_array_is_the_one_output(write_predictions: Any, tmp_path: Path) -> None:
    values = {"pt": np.arange(7, dtype=np.float32)}
    reference = write_predictions("reference", values, layout=Layout.of(Item("pt", "float32")))
    np.save(tmp_path / "golden.npy", values["pt"])
    assert judge(measure_files(reference, tmp_path / "golden.npy"), EXACT).passed
    np.save(tmp_path / "golden.npy", values["pt"] + np.float32(1))
    assert not judge(measure_files(reference, tmp_path / "golden.npy"), EXACT).passed


WIDE = Layout.of(
    Item("pt", "float64", unit="GeV"), Item("scores", "float64", ItemKind.EIGEN, (3,)), Item("label", "int32")
)


def test_the_bytes_of_a_buffer_are_judged(values: Values, write_predictions: Any, tmp_path: Path) -> None:
    """The reference is float64 throughout, the buffer has the model's own dtypes."""
    own = write_predictions("jit", values)
    layout = read_header(own).collection("predictions").placement.layout
    reference = write_predictions("reference", values, layout=WIDE)
    buffer = as_blob(tmp_path / "cmssw.bin", own)
    with opened_sources(reference, buffer, raw=True, blob=layout) as sources:
        assert measure(*sources).outputs == measure_files(reference, own).outputs
        assert unstated(*reversed(sources)) == (
            f"{buffer} does not say which dataset, shard, model, weights and events it is of: those of "
            f"{reference} are assumed"
        )
    with opened_sources(own, buffer, raw=True) as sources:
        assert judge(measure(*sources), EXACT).passed
    (tmp_path / "longer.bin").write_bytes(buffer.read_bytes() + bytes(128))
    with (
        pytest.raises(StorageError, match=r"longer.bin has 9984 bytes, and a blob of 300 rows .* has 9856"),
        opened_sources(own, tmp_path / "longer.bin", raw=True),
    ):
        pass
    # A column written in another place, as with another alignment, is seen.
    moved = bytearray(buffer.read_bytes())
    moved[4:] = moved[:-4]
    buffer.write_bytes(moved)
    with opened_sources(own, buffer, raw=True) as sources:
        assert not judge(measure(*sources), Tolerance(1e-3, 0.0)).passed
    with (
        pytest.raises(
            StorageError, match=r"has 9856 bytes, and a blob of 300 rows of pt float64, .*--layout"
        ),
        opened_sources(reference, buffer, raw=True),
    ):
        pass


def test_what_a_file_says_must_not_contradict(values: Values, write_predictions: Any, tmp_path: Path) -> None:
    reference = write_predictions("reference", values, weights_sha256="new", events_sha256="same")
    for said, sentence in (
        ({"dataset": "other"}, "golden.h5 is of dataset 'other'"),
        ({"model": "other"}, "golden.h5 is of model 'other'"),
        ({"weights_sha256": "old"}, "golden.h5 was made with other weights"),
        ({"events_sha256": "old"}, "golden.h5 was made from other events"),
    ):
        golden = as_hdf5(tmp_path / "golden.h5", values)
        with h5py.File(golden, "r+") as file:
            file.attrs.update(said)
        with pytest.raises(StorageError, match=sentence):
            measure_files(reference, golden)
    golden = as_hdf5(tmp_path / "golden.h5", values)
    with h5py.File(golden, "r+") as file:
        file.attrs.update({"dataset": "toy", "shard": 0, "model": "Net", "variant": "cmssw"})
    with opened_sources(reference, golden) as sources:
        assert str(unstated(*reversed(sources))).startswith(
            f"{golden} does not say which weights and events it is of"
        )
        assert unstated(*sources) is None
        found = measure(*sources)
    assert (found.variant, found.weights_sha256, found.shards[0].name) == ("cmssw", "new", "0")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda v: {"pt": v["pt"]}, "has no array 'scores': it has pt"),
        (lambda v: v | {"pt": v["pt"][:-1]}, "must have arrays of one number of rows, and it has pt 299"),
        (lambda v: {name: a[:-1] for name, a in v.items()}, "has 299 rows and .* has 300"),
        (
            lambda v: v | {"scores": v["scores"][:, :2]},
            r"'scores' of shape \[300, 2\]: give one of shape \[rows, 3\]",
        ),
        (lambda v: v | {"pt": v["pt"].astype(np.int32)}, "item 'pt' .int32 column"),
        (lambda v: v | {"pt": v["pt"].astype(np.float64)}, "name the one with wider floats as the reference"),
        (lambda v: v | {"pt": v["pt"].astype(complex)}, "item 'pt' has dtype 'complex128': choose one of"),
    ],
)
def test_other_arrays_are_refused(
    change: Any, sentence: str, values: Values, write_predictions: Any, tmp_path: Path
) -> None:
    reference = write_predictions("reference", values)
    for golden in (
        as_hdf5(tmp_path / "golden.h5", change(values)),
        as_npz(tmp_path / "golden.npz", change(values)),
    ):
        with pytest.raises(StorageError, match=sentence):
            measure_files(reference, golden)


def test_files_of_no_or_another_kind_are_refused(
    values: Values, write_predictions: Any, tmp_path: Path
) -> None:
    reference = write_predictions("reference", values)
    np.savez(tmp_path / "objects.npz", **(values | {"pt": np.array([{}] * 300, object)}))
    np.savez(tmp_path / "fortran.npz", **(values | {"scores": np.asfortranarray(values["scores"])}))
    np.save(tmp_path / "one.npy", values["pt"])
    for name, content in (("a.npz", b"PK"), ("b.npy", b"no array"), ("c.root", b"root"), ("d.bin", b"12")):
        (tmp_path / name).write_bytes(content)
    whole = as_npz(tmp_path / "whole.npz", values).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with uproot.recreate(tmp_path / "two.root") as file:
        file["one"], file["two"] = {"pt": values["pt"]}, {"pt": values["pt"]}
    for name, sentence in (
        ("objects.npz", "array 'pt' holds Python objects"),
        ("fortran.npz", "array 'scores' holds its columns first"),
        ("one.npy", "is one array, and there are pt, scores, label"),
        ("a.npz", "cannot be read as an .npz file"),
        ("cut.npz", "cannot be read as an .npz file"),
        ("b.npy", "cannot be read as a NumPy array"),
        ("c.root", "cannot be read as a ROOT file"),
        ("two.root", "has the trees one, two: give a file with one"),
        ("d.bin", "or give --blob for the bytes"),
        ("none.npz", "cannot be read"),
    ):
        with pytest.raises(StorageError, match=f"{name}.*{sentence}") as refused:
            measure_files(reference, tmp_path / name)
        assert "\n" not in str(refused.value)


def test_a_square_array_whose_axes_cannot_be_told_apart_is_refused(
    values: Values, write_predictions: Any, tmp_path: Path
) -> None:
    few = {name: array[:3] for name, array in values.items()}
    reference = write_predictions("reference", few)
    with pytest.raises(StorageError, match="rows and elements cannot be told apart"):
        measure_files(reference, as_hdf5(tmp_path / "golden.h5", few))
    assert judge(measure_files(reference, as_npz(tmp_path / "golden.npz", few)), EXACT).passed


def test_no_more_than_the_rows_asked_for_are_read(tmp_path: Path) -> None:
    as_npz(tmp_path / "a.npz", {"pt": np.arange(1000, dtype=np.float64)})
    as_hdf5(tmp_path / "a.h5", {"pt": np.arange(1000, dtype=">f8")}, chunks=(64,), compression="gzip")
    for name in ("a.npz", "a.h5"):
        with opened_source(tmp_path / name) as source:
            rows = source.values["pt"]
            for chosen in (slice(0, 10), slice(10, 20), slice(500, 503), slice(990, 2000), slice(3, 4)):
                assert rows[chosen].tolist() == list(range(1000))[chosen]
                assert rows[chosen].dtype.isnative


def test_damage_within_a_compressed_array_is_a_sentence(
    values: Values, write_predictions: Any, tmp_path: Path
) -> None:
    reference = write_predictions("reference", values)
    for golden in (
        as_npz(tmp_path / "golden.npz", values),
        as_hdf5(tmp_path / "golden.h5", values, chunks=True, compression="gzip", fletcher32=True),
    ):
        content = bytearray(golden.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
        golden.write_bytes(content)
        with pytest.raises(StorageError, match=f"{golden.name} is damaged"):
            measure_files(reference, golden)
