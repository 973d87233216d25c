import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from soaflow.errors import LayoutError, TensorSpecError
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.views import ViewPlan, check_tensor_items, plan_view

COLUMNS = [Item(name, "float32") for name in ("pt", "eta", "phi")]
VECTORS = [Item(name, "uint8", ItemKind.EIGEN, (5,)) for name in ("first", "second")]
MATRICES = [Item(name, "float64", ItemKind.EIGEN, (2, 3)) for name in ("r", "g", "b")]
LAYOUT = Layout.of(
    *COLUMNS, *VECTORS, *MATRICES, Item("scale", "float32", ItemKind.SCALAR), Item("number", "int32")
)


@pytest.mark.parametrize(
    ("names", "dtype", "sizes", "strides"),
    [
        (("pt", "eta", "phi"), "float32", (33, 3), (1, 64)),
        (("eta",), "float32", (33, 1), (1, 64)),
        (("first",), "uint8", (33, 5), (1, 128)),
        (("first", "second"), "uint8", (33, 2, 5), (1, 5 * 128, 128)),
        (("g",), "float64", (33, 2, 3), (1, 48, 2 * 48)),
        (("r", "g", "b"), "float64", (33, 3, 2, 3), (1, 6 * 48, 48, 2 * 48)),
        (("scale",), "float32", (33, 1), (0, 1)),
        (("number",), "int32", (33, 1), (1, 64)),
    ],
)
def test_sizes_and_strides_are_those_of_the_design(names, dtype, sizes, strides):
    placement = LAYOUT.place(33)
    assert plan_view(placement, names) == ViewPlan(dtype, sizes, strides, placement.offsets[names[0]])


@settings(deadline=None)
@given(data=st.data(), rows=st.integers(0, 70))
def test_a_plan_shows_the_values_of_its_items(layouts, values_of, reference_blob, data, rows):
    layout = data.draw(layouts())
    first = data.draw(st.integers(0, len(layout.items) - 1))
    names = layout.names[first : data.draw(st.integers(first + 1, len(layout.items)))]
    items = [layout[name] for name in names]
    alike = len({(item.dtype, item.kind, item.shape) for item in items}) == 1
    if not alike or (items[0].kind is ItemKind.SCALAR and len(items) > 1):
        with pytest.raises(TensorSpecError):
            plan_view(layout.place(rows), names)
        return
    values = values_of(layout, rows, 9)
    blob = reference_blob(layout, rows, values)
    plan = plan_view(layout.place(rows), names)
    dtype = np.dtype(plan.dtype).newbyteorder("<")
    assume(blob)
    shown = np.ndarray(
        plan.sizes, dtype, blob, plan.byte_offset, [stride * dtype.itemsize for stride in plan.strides]
    )
    if items[0].kind is ItemKind.SCALAR:
        expected = np.full((rows, 1), values[names[0]], dtype)
    else:
        held = [np.array(values[name], dtype).reshape(rows, *items[0].shape) for name in names]
        one_block = len(names) == 1 and items[0].kind is ItemKind.EIGEN
        expected = held[0] if one_block else np.stack(held, axis=1)
    np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ((), "needs at least one item"),
        (("pt", "phi"), "items pt, phi are not adjacent and in order"),
        (("eta", "pt"), "items eta, pt are not adjacent and in order"),
        (("pt", "pt"), "items pt, pt are not adjacent and in order"),
        (("phi", "first"), "items 'phi' (float32) and 'first' (uint8) differ in dtype"),
        (("scale", "pt"), "items 'scale' and 'pt' differ in kind or shape"),
    ],
)
def test_items_that_cannot_be_one_tensor_are_named(names, sentence):
    with pytest.raises(TensorSpecError) as caught:
        check_tensor_items(LAYOUT, names)
    assert sentence in str(caught.value)


def test_two_scalars_cannot_be_one_tensor():
    scalars = [Item(name, "float32", ItemKind.SCALAR) for name in ("a", "b")]
    with pytest.raises(TensorSpecError, match="scalars a, b cannot be one tensor"):
        check_tensor_items(Layout.of(*scalars), ("a", "b"))


def test_an_item_that_is_not_there_is_named():
    with pytest.raises(LayoutError, match="there is no item 'mass'"):
        plan_view(LAYOUT.place(3), ("pt", "mass"))
