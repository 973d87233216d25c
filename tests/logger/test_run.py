from collections import Counter

import pytest

from snakemake_logger_plugin_soaflow.run import Run, duration


def finished(rule, number, begin, end, run):
    run.start(number, rule, rule, begin)
    run.finish(number, end)


def test_what_is_left_is_what_such_jobs_took():
    run = Run(Counter({"infer": 10}))
    finished("infer", 0, 0.0, 10.0, run)
    assert run.left(10.0).seconds == pytest.approx(90.0)
    assert str(run.left(10.0)) == "about 2 min left"


def test_jobs_at_once_share_the_time():
    run = Run(Counter({"infer": 10}))
    for number in (0, 1):
        run.start(number, "infer", "infer", 0.0)
    for number in (0, 1):
        run.finish(number, 10.0)
    assert run.left(10.0).seconds == pytest.approx(8 * 10.0 / 2)


def test_what_runs_counts_with_the_rest_of_its_time():
    run = Run(Counter({"infer": 2}))
    finished("infer", 0, 0.0, 10.0, run)
    run.start(1, "infer", "infer", 10.0)
    assert run.left(14.0).seconds == pytest.approx(6.0)
    assert run.left(30.0) is None, "it is overdue, and nobody can tell"


def test_rules_that_were_not_seen_are_a_guess_and_called_so():
    run = Run(Counter({"infer": 1, "train": 3}))
    finished("infer", 0, 0.0, 10.0, run)
    left = run.left(10.0)
    assert (left.seconds, left.guessed) == (pytest.approx(30.0), 1.0)
    assert str(left) == "roughly 30 s left"


def test_before_any_job_has_finished_nothing_is_said():
    run = Run(Counter({"infer": 2}))
    assert run.left(0.0) is None
    run.start(0, "infer", "infer", 0.0)
    assert run.left(5.0) is None


def test_at_the_end_nothing_is_left():
    run = Run(Counter({"infer": 1}))
    finished("infer", 0, 0.0, 10.0, run)
    assert run.left(10.0) is None


def test_a_failure_ends_the_estimate_until_the_job_is_tried_again():
    run = Run(Counter({"infer": 3}))
    finished("infer", 0, 0.0, 10.0, run)
    run.start(1, "infer", "infer", 10.0)
    run.fail(1)
    assert (run.failures, run.left(12.0)) == (1, None)
    run.start(1, "infer", "infer", 12.0)
    assert (run.failures, run.left(12.0).seconds) == (0, pytest.approx(20.0 * 12.0 / 10.0))


def test_what_runs_is_named_the_longest_first():
    run = Run(Counter({"infer": 2}))
    run.start(0, "infer", "first", 0.0)
    run.start(1, "infer", "second", 1.0)
    assert run.running == ["first", "second"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.8, "1 min"),
        (3500, "58 min"),
        (3599, "1 h 0 min"),
        (90000, "25 h 0 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
