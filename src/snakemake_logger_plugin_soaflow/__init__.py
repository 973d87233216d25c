"""What Snakemake says while the workflow runs: `snakemake --logger soaflow`, which profiles/default sets.

On a terminal it is one line, with a bar, what runs now and how long the rest may take; above it stand
failures with their logs, and warnings. Elsewhere, and in dry runs, it is Snakemake's own lines, with an
estimate beside each count of the jobs that are done. Snakemake's log below `.snakemake/log` has everything.
"""

import sys
import threading
import time
from collections import Counter
from logging import LogRecord
from typing import Any, TextIO

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_soaflow.run import Run

SECONDS_BETWEEN_LOOKS = 1.0

_IN_THE_LINE = {
    LogEvent.RUN_INFO,
    LogEvent.JOB_INFO,
    LogEvent.GROUP_INFO,
    LogEvent.JOB_STARTED,
    LogEvent.JOB_FINISHED,
    LogEvent.PROGRESS,
    LogEvent.RESOURCES_INFO,
}
_ROUTINE = ("Select jobs to execute...",)


class LogHandler(LogHandlerBase):
    """Shows the progress of a run, as Snakemake's interface for loggers asks for it."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        settings = self.common_settings
        self._stream: TextIO = sys.stdout if settings.stdout else sys.stderr
        talkative = settings.dryrun or settings.verbose or settings.debug_dag or settings.printshellcmds
        self._calm = self._stream.isatty() and not talkative
        self._run: Run | None = None
        self._bar: Any = None
        self._ended = threading.Event()

    def emit(self, record: LogRecord) -> None:
        """Show a record of Snakemake's."""
        try:
            event = getattr(record, "event", None)
            self._count(event, record)
            if not self._calm:
                self._write(self._with_estimate(event, self.format(record)))
            elif event not in _IN_THE_LINE and record.getMessage() not in _ROUTINE:
                self._write(self.format(record))
            self._draw()
        except Exception:  # a logger that fails must not end the run
            self.handleError(record)

    def close(self) -> None:
        """Leave the last state of the line on the screen."""
        self._ended.set()
        if self._bar is not None:
            self._bar.set_postfix_str(self._failures(), refresh=False)
            self._bar.close()
        super().close()

    def _count(self, event: LogEvent | None, record: Any) -> None:
        now = time.monotonic()
        if event == LogEvent.RUN_INFO and self._run is None:
            jobs = Counter(record.stats)
            total = jobs.pop("total")
            self._run = Run(jobs)
            self._open_line(total)
        elif self._run is None:
            return
        elif event == LogEvent.JOB_INFO:
            self._run.start(record.jobid, record.rule_name, record.rule_msg or record.rule_name, now)
        elif event == LogEvent.JOB_FINISHED:
            self._run.finish(record.job_id, now)
        elif event == LogEvent.JOB_ERROR:
            self._run.fail(record.jobid)
        elif event == LogEvent.PROGRESS and self._bar is not None:
            self._bar.n = record.done

    def _with_estimate(self, event: LogEvent | None, text: str) -> str:
        left = self._run.left(time.monotonic()) if self._run and event == LogEvent.PROGRESS else None
        return text if left is None else f"{text}, {left}"

    def _write(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        elif text:
            print(text, file=self._stream, flush=True)

    def _open_line(self, total: int) -> None:
        if not self._calm:
            return
        from tqdm import tqdm  # noqa: PLC0415  most starts have no terminal and do without it

        self._bar = tqdm(
            total=total,
            file=self._stream,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f} % |{bar:20}| {n_fmt} of {total_fmt} jobs, {elapsed}{postfix}",
        )
        threading.Thread(target=self._keep_up_to_date, daemon=True).start()

    def _keep_up_to_date(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_LOOKS):
            self.acquire()
            try:
                self._draw()
            finally:
                self.release()

    def _draw(self) -> None:
        if self._bar is None or self._run is None or self._ended.is_set():
            return
        left = self._run.left(time.monotonic())
        told = ", ".join(filter(None, (self._failures(), str(left) if left else "")))
        running = " | ".join(self._run.running)
        self._bar.set_postfix_str(f"{told}: {running}" if told and running else told or running)

    def _failures(self) -> str:
        return f"{self._run.failures} failed" if self._run and self._run.failures else ""
