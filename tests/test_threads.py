"""The one-thread state of a process, seen from a fresh process."""

import os
import subprocess
import sys

from soaflow.threads import SINGLE_THREAD_VARIABLES


def in_fresh_process(code: str, environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def test_one_thread_whatever_the_environment_says() -> None:
    code = """
import torch
from soaflow.threads import run_single_threaded
torch.set_num_threads(2)
run_single_threaded()
print(torch.get_num_threads(), torch.get_num_interop_threads())
"""
    assert in_fresh_process(code, {**os.environ, "OMP_NUM_THREADS": "2"}) == "1 1"


def test_import_is_free_of_torch() -> None:
    code = "import sys, soaflow.threads; print('torch' in sys.modules)"
    assert in_fresh_process(code, dict(os.environ)) == "False"


def test_a_process_works_on_one_thread_and_may_ask_twice() -> None:
    code = """
import os, torch
from soaflow.threads import run_single_threaded
run_single_threaded()
run_single_threaded()
matrix = torch.ones(700, 700)
(matrix @ matrix).exp().sum()
print(torch.get_num_threads(), torch.get_num_interop_threads(), len(os.listdir("/proc/self/task")))
"""
    assert in_fresh_process(code, {**os.environ, **SINGLE_THREAD_VARIABLES}) == "1 1 1"


def test_one_thread_while_a_block_runs() -> None:
    code = """
import torch
from soaflow.threads import on_one_thread
torch.set_num_threads(3)

@on_one_thread()
def fails():
    print(torch.get_num_threads())
    raise ValueError

for _ in range(2):
    try:
        fails()
    except ValueError:
        print(torch.get_num_threads())
"""
    assert in_fresh_process(code, dict(os.environ)).split() == ["1", "3", "1", "3"]
