from itertools import pairwise

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.storage import EVENTS, map_blob, mapping_new, read_header
from soaflow.soa.tensors import blob_tensor, view
from soaflow.soa.views import plan_view


def runs(layout: Layout) -> list[tuple[str, ...]]:
    """Group adjacent items that can be one tensor, so that all of the layout is covered."""
    grouped: list[list[Item]] = []
    for item in layout.items:
        last = grouped[-1][-1] if grouped else None
        alike = last is not None and (item.dtype, item.kind, item.shape) == (
            last.dtype,
            last.kind,
            last.shape,
        )
        if alike and item.kind is not ItemKind.SCALAR:
            grouped[-1].append(item)
        else:
            grouped.append([item])
    return [tuple(item.name for item in items) for items in grouped]


def as_tensor(layout: Layout, names: tuple[str, ...], values: dict, rows: int) -> torch.Tensor:
    """Stack the values of items as a model sees them: rows first, then the items if there are several."""
    first = layout[names[0]]
    held = [np.array(values[name], first.dtype).reshape(rows, *first.shape) for name in names]
    stacked = held[0] if len(names) == 1 and first.kind is ItemKind.EIGEN else np.stack(held, axis=1)
    return torch.from_numpy(stacked)


@settings(deadline=None)
@given(data=st.data(), rows=st.integers(0, 70))
def test_values_written_through_views_are_read_by_name_with_h5py(
    tmp_path_factory, layouts, values_of, reference_blob, data, rows
):
    layout = data.draw(layouts())
    values = values_of(layout, rows, data.draw(st.integers(0, 99)))
    cuts = sorted({0, rows, *data.draw(st.lists(st.integers(0, rows), max_size=3))})
    path = tmp_path_factory.getbasetemp() / "views.h5"
    with mapping_new(path, EVENTS, {"particles": layout.place(rows)}, {}) as blobs:
        blob = blob_tensor(blobs["particles"])
        for names in runs(layout):
            tensor = view(blob, plan_view(blobs["particles"].placement, names))
            if layout[names[0]].kind is ItemKind.SCALAR:
                blobs["particles"].array(names[0])[...] = values[names[0]]
                continue
            source = as_tensor(layout, names, values, rows)
            for begin, end in pairwise(cuts):
                tensor[begin:end].copy_(source[begin:end])
    mapped = map_blob(read_header(path), "particles")
    assert bytes(mapped.buffer) == reference_blob(layout, rows, values)
    with h5py.File(path) as file:
        for item in layout.items:
            dataset = file["particles"][item.name]
            found = dataset[()] if item.kind is ItemKind.SCALAR else dataset[..., :rows].T
            expected = np.array(values[item.name], item.dtype)
            np.testing.assert_array_equal(found, expected.reshape(found.shape), strict=True)


@settings(deadline=None)
@given(data=st.data(), rows=st.integers(1, 70))
def test_any_slice_of_a_view_shows_the_stored_values_in_place(
    tmp_path_factory, layouts, values_of, write_events, data, rows
):
    layout = data.draw(layouts())
    values = values_of(layout, rows, 4)
    path = tmp_path_factory.getbasetemp() / "slices.h5"
    write_events(path, {"particles": layout.place(rows)}, {"particles": values})
    mapped = map_blob(read_header(path), "particles")
    blob = blob_tensor(mapped)
    begin = data.draw(st.integers(0, rows - 1))
    end = data.draw(st.integers(begin, rows))
    for names in runs(layout):
        plan = plan_view(mapped.placement, names)
        sliced = view(blob, plan)[begin:end]
        item = layout[names[0]]
        row = 0 if item.kind is ItemKind.SCALAR else begin
        if end > begin:
            assert sliced.data_ptr() == mapped.address + plan.byte_offset + row * item.itemsize
        assert sliced.stride() == plan.strides
        if item.kind is ItemKind.SCALAR:
            expected = torch.from_numpy(np.full((end - begin, 1), values[names[0]], item.dtype))
        else:
            expected = as_tensor(layout, names, values, rows)[begin:end]
        assert torch.equal(sliced, expected)


def test_a_blob_tensor_is_the_map_itself(tmp_path, every_kind, values_of, write_events):
    values = values_of(every_kind, 9, 1)
    path = write_events(tmp_path / "a.h5", {"particles": every_kind.place(9)}, {"particles": values})
    mapped = map_blob(read_header(path), "particles")
    blob = blob_tensor(mapped)
    assert (blob.data_ptr(), blob.numel()) == (mapped.address, mapped.placement.blob_bytes)
    view(blob, plan_view(mapped.placement, ("pt",)))[2, 0] = 12.5
    assert mapped.array("pt")[2] == 12.5


@pytest.mark.parametrize("names", [("pt", "eta"), ("mask",), ("image",), ("scale",)])
def test_no_rows_give_tensors_of_no_rows(names):
    layout = Layout.of(
        Item("pt", "float32"),
        Item("eta", "float32"),
        Item("mask", "uint8", ItemKind.EIGEN, (3,)),
        Item("image", "float32", ItemKind.EIGEN, (2, 2)),
        Item("scale", "float32", ItemKind.SCALAR),
    )
    for items in (layout, Layout((layout["scale"],)), Layout(layout.items[:4])):
        if names[0] in items:
            placement = items.place(0)
            blob = torch.zeros(placement.blob_bytes, dtype=torch.uint8)
            plan = plan_view(placement, names)
            tensor = view(blob, plan)
            assert (tuple(tensor.shape), str(tensor.dtype)) == (plan.sizes, f"torch.{plan.dtype}")
            assert tensor.numel() == 0
