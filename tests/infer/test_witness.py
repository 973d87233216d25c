import pytest
import torch

from soaflow.infer.witness import Watched, Witness, extent_bytes
from soaflow.soa.signature import RowRange
from soaflow.soa.views import ViewPlan

PLAN = ViewPlan("float32", (3, 2), (1, 64), 128)


@pytest.fixture
def blob():
    return torch.zeros(1024, dtype=torch.uint8)


def watched(blob, rows=RowRange.SLICED, plan=PLAN):
    return Watched("x", "particles", rows, plan, (blob.data_ptr(),), blob.numel())


def seen(blob, *tensors, as_list=False, begins=None):
    witness = Witness([watched(blob)])
    program = witness.around(lambda *arguments: arguments)
    for index, tensor in enumerate(tensors):
        begin = begins[index] if begins else 0
        witness.expect(index, begin, begin + len(tensor))
        program([tensor] if as_list else tensor)
    (proof,) = witness.proofs()
    assert witness.calls == proof.tensors == len(tensors)
    return proof


@pytest.mark.parametrize("as_list", [False, True])
def test_views_are_placed_relative_to_their_blob(blob, as_list):
    columns = blob.view(torch.float32).as_strided((3, 2), (1, 64), 32)
    proof = seen(blob, columns.narrow(0, 1, 1), columns, as_list=as_list, begins=[1, 0])
    assert (proof.lowest_offset, proof.highest_offset) == (128, 128 + 4 * (64 + 3))
    assert (proof.bytes_copied, proof.tensors_misplaced) == (0, 0)


def test_a_view_of_other_rows_is_misplaced(blob):
    columns = blob.view(torch.float32).as_strided((3, 2), (1, 64), 32)
    proof = seen(blob, columns.narrow(0, 1, 1), columns.narrow(0, 1, 2), begins=[0, 1])
    assert (proof.bytes_copied, proof.tensors_misplaced) == (0, 1)


def test_an_empty_tensor_of_other_sizes_is_misplaced(blob):
    assert seen(blob, torch.empty(0, 2)).tensors_misplaced == 0
    assert seen(blob, torch.empty(0, 3)).tensors_misplaced == 1


@pytest.mark.parametrize(
    ("rows", "plan", "place"),
    [
        (RowRange.SLICED, PLAN, (128 + 4 * 64, (36, 2))),
        (RowRange.SLICED, ViewPlan("float64", (100, 1), (0, 1), 256), (256, (36, 1))),
        (RowRange.WHOLE, PLAN, (128, (3, 2))),
        (RowRange.BATCH_BEGIN, ViewPlan("int32", (2, 1), (1, 64), 0), (4, (1, 1))),
    ],
)
def test_where_the_tensor_of_the_second_batch_must_be(blob, rows, plan, place):
    assert watched(blob, rows, plan).place(1, 64, 100) == place


def test_a_copy_is_found_and_counted(blob):
    columns = blob.view(torch.float32).as_strided((3, 2), (1, 64), 32)
    assert seen(blob, columns, columns.contiguous(), columns).bytes_copied == 3 * 2 * 4


def test_a_declared_copy_is_watched_on_both_sides(blob):
    columns = blob.view(torch.float32).as_strided((3, 2), (1, 64), 32)
    witness = Witness([watched(blob), watched(blob)], ["x"])
    copy = witness.before_copy(lambda inputs: [tensor.contiguous() for tensor in inputs])
    program = witness.around(lambda *arguments: arguments)
    for begin in (0, 1):
        witness.expect(0, begin, begin + 2)
        rows = columns.narrow(0, begin, 2)
        program(*copy([rows, rows]))
    first, second = witness.proofs()
    assert witness.calls == first.tensors == second.tensors == 2
    assert (first.bytes_declared, first.bytes_copied_by_backend) == (2 * 2 * 2 * 4, 2 * 2 * 2 * 4)
    assert (first.bytes_copied, first.tensors_misplaced) == (0, 0)
    assert (first.lowest_offset, first.highest_offset) == (128, 128 + 4 * (64 + 3))


@pytest.mark.parametrize(
    ("given", "passed_on", "found"),
    [
        (lambda c: c.contiguous(), lambda c: c.clone(), (24, 24, 24, 0)),
        (lambda c: c, lambda c: c, (0, 24, 0, 0)),
        (lambda c: c, lambda c: c[:1].contiguous(), (0, 24, 8, 1)),
    ],
    ids=["copied before", "not copied", "too few rows"],
)
def test_a_copy_unlike_the_declared_one_is_found(blob, given, passed_on, found):
    columns = blob.view(torch.float32).as_strided((3, 2), (1, 64), 32)
    witness = Witness([watched(blob)], ["x"])
    witness.expect(0, 0, 3)
    copied = witness.before_copy(lambda inputs: [passed_on(tensor) for tensor in inputs])([given(columns)])
    witness.around(lambda *arguments: arguments)(*copied)
    (proof,) = witness.proofs()
    counted = (proof.bytes_copied, proof.bytes_declared, proof.bytes_copied_by_backend)
    assert (*counted, proof.tensors_misplaced) == found


def test_a_tensor_that_reaches_over_the_end_of_its_blob_is_found(blob):
    assert seen(blob[:512], blob.view(torch.float32).as_strided((3, 2), (1, 126), 0)).bytes_copied == 24
    assert seen(blob[:512], blob.view(torch.float32).as_strided((2, 2), (1, 126), 0)).bytes_copied == 0


def test_a_tensor_without_values_is_nowhere(blob):
    assert seen(blob, torch.empty(0, 3)).bytes_copied == 0


def test_extent_counts_strides_from_the_first_to_the_last_element():
    assert extent_bytes(torch.zeros(10)) == 40
    assert extent_bytes(torch.zeros(1).expand(10)) == 4
