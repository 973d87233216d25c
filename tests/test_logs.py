import os
import subprocess
import sys
from pathlib import Path

import pytest

from soaflow.errors import ConfigError
from soaflow.logs import USER_ERROR_EXIT_CODE, job_log


def run_in_job_log(tmp_path, body):
    log = tmp_path / "logs" / "job.log"
    code = (
        "import os, sys\n"
        "from soaflow.errors import ConfigError\n"
        "from soaflow.logs import job_log\n"
        f"with job_log({str(log)!r}) as screen:\n    {body}\n"
        "print('after')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done, log.read_text()


def test_everything_written_goes_to_the_log(tmp_path):
    body = (
        "print('python'); os.system('echo child'); os.write(2, b'descriptor\\n'); print('bar', file=screen)"
    )
    done, log = run_in_job_log(tmp_path, body)
    assert done.returncode == 0
    assert {"python", "child", "descriptor"} <= set(log.split())
    assert done.stdout == "after\n"
    assert done.stderr == "bar\n"


def test_a_user_error_is_one_sentence_and_code_2(tmp_path):
    done, log = run_in_job_log(tmp_path, "raise ConfigError('key x is wrong')")
    assert done.returncode == USER_ERROR_EXIT_CODE
    assert done.stderr == log == "soaflow: error: key x is wrong\n"


def test_a_bug_keeps_its_traceback_in_the_log_and_names_the_log(tmp_path):
    done, log = run_in_job_log(tmp_path, "[][1]")
    assert done.returncode == 1
    assert "Traceback" in log
    assert "IndexError" in log
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "logs" / "job.log") in done.stderr


def test_descriptors_are_restored_in_process(tmp_path, capfd):
    with pytest.raises(SystemExit), job_log(tmp_path / "log"):
        raise ConfigError("wrong")
    print("visible")
    assert "visible" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("os.system('head -c 9000 /dev/zero'); raise ConfigError('key x is wrong')", "soaflow: error: "),
        ("print('x' * 20000, flush=True)", "soaflow: error: there is no room for "),
        ("os.system('head -c 9000 /dev/zero'); [][1]", "soaflow: IndexError, most likely a bug: see "),
    ],
)
def test_a_log_on_a_full_disk_hides_no_sentence(small_disk, body, sentence):
    with small_disk(4) as disk:
        done, _ = run_in_job_log(disk, body)
    assert done.returncode != 0
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


def test_a_sentence_takes_the_place_of_a_line_of_progress_on_a_terminal(tmp_path):
    ours, theirs = os.openpty()
    code = (
        "from soaflow.errors import ConfigError\n"
        "from soaflow.logs import job_log\n"
        f"with job_log({str(tmp_path / 'job.log')!r}):\n    raise ConfigError('key x is wrong')\n"
    )
    subprocess.run([sys.executable, "-c", code], stderr=theirs, check=False)
    os.close(theirs)
    text = os.read(ours, 1000).decode()
    os.close(ours)
    assert text == "\r\x1b[Ksoaflow: error: key x is wrong\r\n"
    assert (tmp_path / "job.log").read_text() == "soaflow: error: key x is wrong\n"


SCRIPTS = sorted((Path(__file__).parents[1] / "workflow/scripts").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_job_says_what_it_reads(script):
    assert "with job_log(snakemake.log[0], snakemake.input)" in script.read_text()
