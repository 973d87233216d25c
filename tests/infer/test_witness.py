import pytest
import torch

from soaflow.infer.witness import Witness, extent_bytes


@pytest.fixture
def blob():
    return torch.zeros(1024, dtype=torch.uint8)


def seen(blob, *tensors, as_list=False):
    witness = Witness([("x", "particles", blob)])
    program = witness.around(lambda *arguments: arguments)
    for tensor in tensors:
        program([tensor] if as_list else tensor)
    (proof,) = witness.proofs()
    assert witness.calls == proof.tensors == len(tensors)
    return proof


@pytest.mark.parametrize("as_list", [False, True])
def test_views_are_placed_relative_to_their_blob(blob, as_list):
    columns = blob.view(torch.float32).as_strided((3, 2), (1, 64), 32)
    proof = seen(blob, columns.narrow(0, 1, 1), columns, as_list=as_list)
    assert (proof.lowest_offset, proof.highest_offset) == (128, 128 + 4 * (64 + 3))
    assert proof.bytes_copied == 0


def test_a_copy_is_found_and_counted(blob):
    columns = blob.view(torch.float32).as_strided((3, 2), (1, 64), 32)
    assert seen(blob, columns, columns.contiguous(), columns).bytes_copied == 3 * 2 * 4


def test_a_tensor_that_reaches_over_the_end_of_its_blob_is_found(blob):
    assert seen(blob[:512], blob.view(torch.float32).as_strided((3, 2), (1, 126), 0)).bytes_copied == 24
    assert seen(blob[:512], blob.view(torch.float32).as_strided((2, 2), (1, 126), 0)).bytes_copied == 0


def test_a_tensor_without_values_is_nowhere(blob):
    assert seen(blob, torch.empty(0, 3)).bytes_copied == 0


def test_extent_counts_strides_from_the_first_to_the_last_element():
    assert extent_bytes(torch.zeros(10)) == 40
    assert extent_bytes(torch.zeros(1).expand(10)) == 4
