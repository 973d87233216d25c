"""Same bits in every batch, and the models that do not give them."""

import pytest
import torch

from soaflow.export.invariance import BATCH_SIZES, SHAPE, differing_batch_sizes
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


def test_one_bit_at_one_batch_size_is_seen(signature):
    def planted(momenta):
        result = by_row(momenta)[0]
        if len(momenta) == 17:
            result[11, 1] = torch.nextafter(result[11, 1], torch.tensor(torch.inf))
        return [result]

    differing = differing_batch_sizes(planted, signature)
    assert 17 in differing
    assert set(differing) == {size for size in BATCH_SIZES if 17 in (size, SHAPE.rows % size)}


def test_nan_equals_itself_and_zeros_have_signs(signature):
    def special(momenta):
        return [by_row(momenta)[0] * torch.nan]

    def signed_zero(momenta):
        zero = -0.0 if len(momenta) == 1 else 0.0
        return [torch.full((len(momenta), 2), zero)]

    assert differing_batch_sizes(special, signature) == ()
    ones = {size for size in BATCH_SIZES if 1 in (size, SHAPE.rows % size)}
    assert set(differing_batch_sizes(signed_zero, signature)) == ones


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
    assert begins[0] == SHAPE.offset
    assert max(begins) == SHAPE.offset + SHAPE.rows - 1
