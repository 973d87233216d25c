"""Same bits in every batch, and the models that do not give them."""

import pytest
import torch

from soaflow.export.invariance import BATCH_SIZES, LARGE, SMALL, TRIED, differing_batch_sizes
from soaflow.soa.signature import RowRange


def by_row(*inputs):
    return [(inputs[0].double() ** 2).sum(dim=1, keepdim=True).float() + torch.zeros(1, 2)]


@pytest.fixture
def signature(normalisation_case):
    return normalisation_case.signature


def test_a_model_that_looks_at_single_rows_gives_the_same_bits(signature):
    assert differing_batch_sizes(by_row, signature) == ()


def test_a_model_that_looks_at_its_batch_differs_everywhere(signature):
    def by_batch(momenta):
        return [by_row(momenta)[0] + momenta.mean()]

    assert differing_batch_sizes(by_batch, signature) == BATCH_SIZES


def test_batches_run_on_one_thread_as_jobs_do(signature, more_threads):
    seen = set()

    def watching(*inputs):
        seen.add(torch.get_num_threads())
        return by_row(*inputs)

    differing_batch_sizes(watching, signature)
    assert seen == {1}
    assert torch.get_num_threads() == more_threads


def sizes_with_a_batch_of(rows):
    return {size for shape, sizes in TRIED for size in sizes if rows in (size, shape.rows % size)}


def test_one_bit_at_one_batch_size_is_seen(signature):
    def planted(momenta):
        result = by_row(momenta)[0]
        if len(momenta) == 17:
            result[11, 1] = torch.nextafter(result[11, 1], torch.tensor(torch.inf))
        return [result]

    differing = differing_batch_sizes(planted, signature)
    assert 17 in differing
    assert set(differing) == sizes_with_a_batch_of(17)


@pytest.mark.parametrize("rows", [1024, 4096, LARGE.rows])
def test_one_bit_in_large_batches_is_seen(rows, signature):
    def planted(momenta):
        result = by_row(momenta)[0]
        if len(momenta) == rows:
            result[1000, 0] = torch.nextafter(result[1000, 0], torch.tensor(torch.inf))
        return [result]

    expected = set(TRIED[1][1]) if rows == LARGE.rows else {rows}
    assert set(differing_batch_sizes(planted, signature)) == expected


def test_nan_equals_itself_and_zeros_have_signs(signature):
    def special(momenta):
        return [by_row(momenta)[0] * torch.nan]

    def signed_zero(momenta):
        zero = -0.0 if len(momenta) == 1 else 0.0
        return [torch.full((len(momenta), 2), zero)]

    assert differing_batch_sizes(special, signature) == ()
    assert set(differing_batch_sizes(signed_zero, signature)) == sizes_with_a_batch_of(1)


def test_whole_inputs_stay_whole_and_the_first_row_is_told(workshop):
    case = workshop.case("TrackHitDeepSet")
    assert {spec.rows for spec in case.signature.inputs} == set(RowRange)
    seen = []

    def watching(*inputs):
        seen.append(
            {
                spec.rows: (len(t), int(t.flatten()[0]))
                for spec, t in zip(case.signature.inputs, inputs, strict=True)
            }
        )
        return case.model(*inputs)

    assert differing_batch_sizes(watching, case.signature) is not None
    begins = [call[RowRange.BATCH_BEGIN][1] for call in seen]
    assert begins[0] == SMALL.offset
    assert max(begins) == LARGE.offset + LARGE.rows - LARGE.rows % 1024
