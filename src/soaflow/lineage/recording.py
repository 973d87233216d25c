"""From the jobs of a run, as its workflow knows them, to their provenance.

The invariant: a link between two files is called proven only if the SHA-256 that was recorded of an input
when its job ended is that of the file now; a file that is another one by now is refused.
"""

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from soaflow import __version__
from soaflow.cpu import this_cpu
from soaflow.errors import ProvenanceError
from soaflow.files import sha256_of_file
from soaflow.lineage.kinds import SOURCE, kind_of
from soaflow.lineage.record import Environment, Provenance, RecordedCode, RecordedFile, RecordedJob
from soaflow.provenance import code_digest, code_distributions


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """What a workflow recorded of an output when its job ended.

    Parameters
    ----------
    ended
        Time stamp of the output, in seconds.
    read
        SHA-256 (hex) of inputs of the job.
    given
        Parameters of the job, each as `repr` writes it.
    """

    ended: float
    read: Mapping[str, str]
    given: frozenset[str]


@dataclass(frozen=True, slots=True)
class JobEntry:
    """A job that made files, as a workflow knows it.

    Parameters
    ----------
    rule, wildcards
        Of the workflow.
    inputs, outputs
        Paths, relative to the working directory.
    parameters
        What the job was given, as JSON-like values; digests of code are among them.
    code
        By the name of a parameter that is a digest: module or Python file at which that code starts.
    read
        SHA-256 (hex) of inputs, as they were recorded when the job ended.
    ended
        Time stamps of outputs, in seconds, as they were recorded when the job ended.
    given
        Parameters, each as `repr` writes it, as they were recorded when the job ended; None if they were not.
    """

    rule: str
    wildcards: Mapping[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: Mapping[str, Any]
    code: Mapping[str, str]
    read: Mapping[str, str] = field(default_factory=dict)
    ended: Mapping[str, float] = field(default_factory=dict)
    given: frozenset[str] | None = None

    def with_records(self, records: Mapping[str, OutputRecord]) -> "JobEntry":
        """Add what was recorded of outputs, by their paths; some may have no record."""
        return replace(
            self,
            read={path: digest for record in records.values() for path, digest in record.read.items()},
            ended={path: record.ended for path, record in records.items()},
            given=next((record.given for record in records.values()), None),
        )

    def with_scripts_in(self, folder: Path | str) -> "JobEntry":
        """Look for the job's script in a folder; if it is not there, its digest is a parameter like others.

        Scripts of a workflow that is imported from afar lie nowhere here.
        """
        if "code" not in self.code:
            return self
        script = Path(folder, Path(self.code["code"]).name)
        beside = {"code": str(script)} if script.is_file() else {}
        return replace(self, code={k: v for k, v in self.code.items() if k != "code"} | beside)


def record_provenance(
    jobs: Iterable[JobEntry], *, configuration: Mapping[str, Any], snakemake_version: str
) -> Provenance:
    """Hash every file that jobs read or made, once, and tie each to its job.

    Parameters
    ----------
    jobs
        In any order.
    configuration
        The whole one, as JSON-like values.
    snakemake_version
        Of the workflow's engine.

    Raises
    ------
    ProvenanceError
        If there are no jobs, a file is not the one that a job read, or a job was given other parameters or
        ran other code.
    StorageError
        If a file cannot be read.
    """
    entries = sorted(jobs, key=lambda job: job.outputs)
    if not entries:
        raise ProvenanceError("no job is known here that made anything: run write_provenance as a local rule")
    makers = {path: job for job in entries for path in job.outputs}
    paths = sorted({path for job in entries for path in (*job.inputs, *job.outputs)})
    files = {path: _recorded_file(path, makers.get(path)) for path in paths}
    codes: dict[str, RecordedCode] = {}
    for job in entries:
        _check_read(job, files)
        _check_given(job)
        for name, module in job.code.items():
            codes.setdefault(job.parameters[name], _recorded_code(job, name, module))
    return Provenance(
        environment=Environment(
            platform.python_version(), __version__, snakemake_version, this_cpu().describe()
        ),
        configuration_sha256=hashlib.sha256(_canonical(configuration).encode()).hexdigest(),
        files=files,
        codes=dict(sorted(codes.items())),
        jobs=tuple(map(_recorded_job, entries)),
    )


def _recorded_file(path: str, maker: JobEntry | None) -> RecordedFile:
    kind = SOURCE if maker is None else kind_of(path)
    try:
        stamp = Path(path).stat().st_mtime
    except FileNotFoundError:
        return RecordedFile(kind.name, None, kind.measured, as_made=False)
    as_made = maker is None or maker.ended.get(path) == stamp
    return RecordedFile(kind.name, sha256_of_file(path), kind.measured, as_made)


def _check_read(job: JobEntry, files: Mapping[str, RecordedFile]) -> None:
    for path, digest in job.read.items():
        if path in files and files[path].sha256 not in (None, digest):
            raise ProvenanceError(
                f"{path} has changed since {job.outputs[0]} was made from it: remove {job.outputs[0]} and "
                "run Snakemake again"
            )


def _check_given(job: JobEntry) -> None:
    for name, value in job.parameters.items():
        if job.given is not None and repr(value) not in job.given:
            raise ProvenanceError(
                f"{job.outputs[0]} was made with another '{name}' than the configuration and the code give "
                "now: run Snakemake again"
            )


def _recorded_code(job: JobEntry, name: str, module: str) -> RecordedCode:
    """Describe code, if it is still what the job ran: then its distributions are those of now, too."""
    if code_digest(module) != job.parameters[name]:
        raise ProvenanceError(
            f"the code of {module} has changed since {job.outputs[0]} was made: run Snakemake again"
        )
    return RecordedCode(_portable(module), code_distributions(module))


def _portable(module: str) -> str:
    """Name a module without the folder of this run, or, where it lies elsewhere, by its file alone."""
    if not Path(module).is_absolute():
        return module
    path = Path(os.path.normpath(module))
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path.name)


def _recorded_job(job: JobEntry) -> RecordedJob:
    return RecordedJob(
        rule=job.rule,
        wildcards=dict(sorted(job.wildcards.items())),
        inputs=tuple(sorted(set(job.inputs))),
        outputs=tuple(sorted(job.outputs)),
        unproven=tuple(sorted(set(job.inputs) - job.read.keys())),
        parameters=json.loads(_canonical({k: v for k, v in job.parameters.items() if k not in job.code})),
        code={name: str(job.parameters[name]) for name in sorted(job.code)},
    )


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
