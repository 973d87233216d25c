"""A process that has done the slow imports, and forks a job whenever it is asked to.

It reads requests from its standard input, a line of JSON each, and answers each with a line: `start` with the
number of the job's process, `poll` with its exit code or null. One line before all says that it is ready.
"""

import importlib
import json
import os
import runpy
import sys

SLOW = (
    "snakemake.iocontainers",
    "soaflow.report.style",
    "soaflow.events.nanoaod",
    "soaflow.infer.job",
    "soaflow.export.program",
    "soaflow.schema",
    "sklearn.metrics",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "torch.onnx",
)


def start(program, folder, screen):
    """Fork a process that runs a program as Python would, and return its number."""
    pid = os.fork()
    if pid:
        return pid
    os.chdir(folder)
    descriptor = os.open(screen, os.O_WRONLY)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    code = 0
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as error:
        code = error.code or 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        code = 1
    sys.stdout.flush()
    os._exit(code)


def poll(pid):
    """Return the exit code of a job, negative for a signal, or None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def serve():
    """Import what is slow, and answer until there are no more requests."""
    for module in SLOW:
        importlib.import_module(module)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        answer = {"start": start, "poll": poll}[verb](*arguments)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
