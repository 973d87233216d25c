"""What is on the screen: on a terminal, made here of a pair of pseudo terminals, and elsewhere."""

import contextlib
import logging
import os
import pty
import sys
import termios
from types import SimpleNamespace

import pytest
from snakemake.logging import DefaultFormatter
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_soaflow import LogHandler


def record(event=None, message=None, level=logging.INFO, **values):
    made = logging.makeLogRecord({"msg": message, "levelno": level, **values})
    if event is not None:
        made.event = event
    return made


def plan(**jobs):
    return record(LogEvent.RUN_INFO, "Job stats:\n...", stats={**jobs, "total": sum(jobs.values())})


def started(number, rule, what):
    return record(LogEvent.JOB_INFO, jobid=number, rule_name=rule, rule_msg=what, reason="", indent=False)


def finished(number, done, total):
    return [
        record(LogEvent.JOB_FINISHED, f"Finished jobid: {number}", job_id=number),
        record(LogEvent.PROGRESS, done=done, total=total),
    ]


FAILURE = {
    "event": LogEvent.JOB_ERROR,
    "message": "Error in rule infer",
    "level": logging.ERROR,
    "rule_name": "infer",
    "rule_msg": None,
    "jobid": 1,
    "input": [],
    "output": ["out.h5"],
    "log": ["logs/infer.log"],
    "conda_env": None,
    "shellcmd": None,
    "aux": {},
    "indent": False,
}


@pytest.fixture
def show(monkeypatch):
    """Show records to a handler whose screen is a stream, and return what it wrote there."""

    def show(records, stream, **settings):
        monkeypatch.setattr(sys, "stderr", stream)
        quiet = dict.fromkeys(("stdout", "dryrun", "verbose", "debug_dag", "printshellcmds"), False)
        handler = LogHandler(SimpleNamespace(**(quiet | settings)), None)
        handler.setFormatter(DefaultFormatter({"reason"}))
        for each in records:
            handler.handle(each)
        handler.close()
        stream.flush()

    return show


def until_closed(screen):
    """What comes from a terminal; Linux says that the other end was closed with an error."""
    with contextlib.suppress(OSError):
        while piece := screen.read(1 << 16):
            yield piece


@pytest.fixture
def on_a_terminal(show):
    def on_a_terminal(records, **settings):
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 120))
        with os.fdopen(theirs, "w") as stream:
            show(records, stream, **settings)
        with os.fdopen(ours, "rb", buffering=0) as screen:
            return b"".join(until_closed(screen)).decode()

    return on_a_terminal


@pytest.fixture
def in_a_file(show, tmp_path):
    def in_a_file(records, **settings):
        with open(tmp_path / "screen", "w") as stream:
            show(records, stream, **settings)
        return (tmp_path / "screen").read_text()

    return in_a_file


RUN = [
    plan(infer=3),
    record(None, "Select jobs to execute..."),
    started(0, "infer", "Inference: Net as jit"),
    *finished(0, 1, 3),
    started(1, "infer", "Inference: Net as aot"),
]


def last_line(text):
    return text.replace("\r\n", "\n").rpartition("\n")[2].rpartition("\r")[2]


def test_on_a_terminal_it_is_one_line(on_a_terminal):
    text = on_a_terminal(RUN)
    assert " 33 % |" in text
    assert "1 of 3 jobs" in text
    assert "Inference: Net as aot" in text
    assert "left: Inference: Net as aot" in text
    for routine in ("Job stats", "Select jobs", "Finished jobid", "Job 0:"):
        assert routine not in text
    assert text.count("\n") == 1, "the end of the line, when the handler is closed"


def test_a_failure_stands_above_the_line_with_its_log(on_a_terminal):
    text = on_a_terminal([*RUN, record(**FAILURE)])
    assert "Error in rule infer:" in text
    assert "log: logs/infer.log (check log file(s) for error details)" in text
    assert "1 failed" in text.partition("Error in rule infer")[2]


def test_a_warning_stands_above_the_line(on_a_terminal):
    assert "something odd" in on_a_terminal([*RUN, record(None, "something odd", logging.WARNING)])


def test_elsewhere_it_is_snakemakes_own_lines_with_an_estimate(in_a_file):
    text = in_a_file([*RUN, record(**FAILURE)])
    assert "\r" not in text
    assert "\x1b" not in text
    for line in ("Job stats:", "Job 0: Inference: Net as jit", "Finished jobid: 0", "Error in rule infer:"):
        assert line in text
    assert "1 of 3 steps (33%) done, about " in text
    assert "log: logs/infer.log (check log file(s) for error details)" in text


@pytest.mark.parametrize("setting", ["dryrun", "verbose", "debug_dag", "printshellcmds"])
def test_whoever_asks_for_more_gets_snakemakes_lines_on_a_terminal_too(on_a_terminal, setting):
    text = on_a_terminal(RUN, **{setting: True})
    assert "Job stats:" in text
    assert "% |" not in text


def test_a_record_that_it_does_not_understand_ends_nothing(in_a_file, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    text = in_a_file([plan(infer=1), record(LogEvent.JOB_INFO), record(None, "and on")])
    assert "and on" in text
