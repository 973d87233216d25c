import pytest
import torch

from soaflow.bisect.figures import FLOOR_ULPS, Figures, measure

NAN, INF = float("nan"), float("inf")
EPSILON = torch.finfo(torch.float32).eps


def tensor(*values, dtype=torch.float32):
    return torch.tensor(values, dtype=dtype)


def test_differences_from_float64():
    reference = tensor(1.0, -8.0, 2.0, dtype=torch.float64)
    figures = measure([reference], [tensor(1.0, -8.5, 2.0)], [tensor(1.25, -8.0, 5.0)])
    assert figures == Figures(difference=3.0, own=0.5, floor=FLOOR_ULPS * EPSILON * 8)
    assert figures.allowed(2.0) == pytest.approx(1.0, rel=1e-4)
    assert figures.diverges(2.0)
    assert not figures.diverges(7.0)


@pytest.mark.parametrize("values", [(NAN, 1.0), (INF, 1.0), (-INF, 1.0)])
def test_specials_must_be_where_the_eager_ones_are(values):
    reference = tensor(*values, dtype=torch.float64)
    assert not measure([reference], [tensor(*values)], [tensor(*values)]).diverges(2.0)
    for other in ((0.0, 1.0), (values[0], NAN), (NAN if values[0] != values[0] else -values[0], NAN)):
        assert measure([reference], [tensor(*values)], [tensor(*other)]).difference == INF


def test_an_overflow_that_both_have_is_none_of_the_candidates_fault():
    half = tensor(INF, 1.0, dtype=torch.float16)
    figures = measure([tensor(1e6, 1.0, dtype=torch.float64)], [half], [half])
    assert figures.difference == figures.own == 0


def test_integers_are_exact():
    reference = tensor(1, 2, dtype=torch.int64)
    assert measure([reference], [reference], [tensor(1, 3, dtype=torch.int64)]).diverges(2.0)
    assert not measure([reference], [reference], [reference]).diverges(2.0)


def test_other_shapes_and_numbers_of_outputs():
    one = tensor(1.0)
    assert measure([one], [one], [tensor(1.0, 1.0)]).difference == INF
    assert measure([one], [one], [one, one]).difference == INF


def test_rows_without_values_and_joined_figures():
    empty = torch.empty(0, 3)
    assert measure([empty], [empty], [empty]) == Figures()
    assert Figures(1.0, 0.5, 0.1).joined(Figures(0.2, 0.7, 0.3)) == Figures(1.0, 0.7, 0.3)
