"""Starts jobs in a process that has done the slow imports, so that many faults can be tried."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


class WarmServer:
    """Forks jobs; see `warm_server.py`.

    Parameters
    ----------
    environment
        Of all jobs.
    scratch
        Folder for their screens.
    """

    def __init__(self, environment, scratch):
        self._scratch = scratch
        self._numbers = itertools.count()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm_server.py"))],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        # Until then it reads the library, which the next copy of the finished run would take away.
        self._process.stdout.readline()

    def ask(self, *request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, program, folder):
        """Start a program in a folder."""
        screen = self._scratch / f"screen.{next(self._numbers)}"
        os.mkfifo(screen)
        descriptor = os.open(screen, os.O_RDONLY | os.O_NONBLOCK)
        pid = self.ask("start", str(program), str(folder), str(screen))
        return WarmProcess(self, pid, descriptor)

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class WarmProcess:
    """A job of the server, with what the attacks use of `subprocess.Popen`."""

    def __init__(self, server, pid, screen):
        self._server, self.pid, self._screen = server, pid, screen
        self.returncode = None

    def poll(self):
        if self.returncode is None:
            self.returncode = self._server.ask("poll", self.pid)
        return self.returncode

    def wait(self, timeout):
        until = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("job", timeout)
            time.sleep(0.002)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout):
        """Wait for the end of the job and of all that write to its screen; return what they wrote."""
        self.wait(timeout)
        os.set_blocking(self._screen, True)
        with os.fdopen(self._screen, encoding="utf-8", errors="replace") as stream:
            return "", stream.read()
