import os
import signal
import subprocess
import sys
import time

import pytest

from soaflow.last_words import last_words

JOB = """
import mmap, os, signal, sys
from soaflow.logs import job_log
events, log = sys.argv[1:3]
with job_log(log, [events]) as screen:
    with open(events, "rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, flags=mmap.MAP_PRIVATE)
{body}
"""


def run_job(tmp_path, body):
    events, log = tmp_path / "events.h5", tmp_path / "job.log"
    events.write_bytes(bytes(3 * mmap_page()))
    code = JOB.format(body="".join(f"    {line}\n" for line in body.splitlines()))
    done = subprocess.run(
        [sys.executable, "-c", code, events, log],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    return done, log.read_text()


def mmap_page():
    return os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_job_that_is_ended_leaves_one_sentence_with_the_remedy(tmp_path, number):
    done, log = run_job(tmp_path, f"os.kill(os.getpid(), {int(number)})")
    assert done.returncode == -number
    assert done.stderr.startswith("soaflow: error: the job was ended from outside")
    assert "run the same command again" in done.stderr
    assert str(tmp_path / "job.log") in done.stderr
    assert done.stderr.count("\n") == 1
    assert log.endswith(done.stderr)


def test_a_mapped_input_that_is_cut_is_named(tmp_path):
    body = "os.truncate(events, 0)\nprint(mapped[5000])"
    done, log = run_job(tmp_path, body)
    assert done.returncode == -signal.SIGBUS
    assert done.stderr.startswith(f"soaflow: error: {tmp_path}/events.h5 was replaced or cut short")
    assert "run the same command again" in done.stderr
    assert "Fatal Python error: Bus error" in log


def test_a_job_that_ends_well_or_speaks_for_itself_has_no_last_words(tmp_path):
    done, log = run_job(tmp_path, "print('well')")
    assert (done.returncode, done.stderr, log) == (0, "", "well\n")
    done, _ = run_job(tmp_path, "raise IndexError")
    assert done.returncode == 1
    assert "ended from outside" not in done.stderr


def test_nobody_is_left_waiting(tmp_path):
    done, log = run_job(
        tmp_path, "import subprocess; print(subprocess.check_output(['pgrep', '-P', str(os.getpid()), 'sh']))"
    )
    waiting = int(log.split("'")[1].split("\\n")[0])
    assert done.returncode == 0
    time.sleep(0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(waiting, 0)


def test_an_input_that_was_never_there_has_not_changed():
    assert "ended from outside" in last_words("a.log", {"/nowhere": None})
