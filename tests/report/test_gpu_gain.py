import pytest

from soaflow.report.gpu_gain import wins_from


def test_the_gpu_wins_from_where_the_lines_meet_on_logarithms():
    cpu = {rows: 1e-6 * rows for rows in (1, 100, 10_000)}
    gpu = dict.fromkeys(cpu, 0.001)
    assert wins_from(cpu, gpu) == pytest.approx(1000.0)


def test_the_last_time_that_the_gpu_takes_the_lead_counts():
    cpu = {1: 2.0, 10: 1.0, 100: 4.0}
    gpu = {1: 1.0, 10: 2.0, 100: 1.0}
    assert 10 < wins_from(cpu, gpu) < 100


def test_a_gpu_that_is_always_faster_wins_from_the_least_rows_and_one_that_never_is_does_not():
    assert wins_from({1: 2.0, 10: 2.0}, {1: 1.0, 10: 1.0}) == 1.0
    assert wins_from({1: 1.0, 10: 1.0}, {1: 2.0, 10: 2.0}) is None
    assert wins_from({1: 1.0}, {1: 1.0}) is None


def test_other_rows_cannot_be_compared():
    with pytest.raises(ValueError, match="cannot be compared"):
        wins_from({1: 1.0}, {2: 1.0})
