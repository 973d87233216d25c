"""What each file of a run was made from, as one file: `results/provenance.json`.

The invariant: a file is made by one job at most, every file and every code that a job names is listed, and
nothing depends on the time, the host or the folder of the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from soaflow.files import write_json
from soaflow.records import read_record, to_json

PROVENANCE_VERSION = 1


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A file as it was when the provenance was written.

    Parameters
    ----------
    kind
        As `soaflow.lineage.kinds` names it.
    sha256
        Hex; None if it was not there any more.
    measured
        Whether its bytes differ from run to run by what it holds: times, memory, a day.
    as_made
        Whether it had the time stamp with which its job left it, so that nothing wrote to it since; True for
        what no job has made.
    """

    kind: str
    sha256: str | None
    measured: bool
    as_made: bool


@dataclass(frozen=True, slots=True)
class RecordedCode:
    """Code that a job ran.

    Parameters
    ----------
    module
        Module or Python file at which it starts, below the folder of the run.
    distributions
        Versions of the installed distributions that it imports, by name; the digest covers them.
    """

    module: str
    distributions: dict[str, str]


@dataclass(frozen=True, slots=True)
class RecordedJob:
    """A job that made files.

    Parameters
    ----------
    rule, wildcards
        Of the workflow.
    inputs, outputs
        Paths, relative to the folder of the run.
    unproven
        Those inputs of which it was not recorded what the job read, so that they are proven by nothing more
        than the time stamps that Snakemake goes by.
    parameters
        What reached it of the configuration.
    code
        SHA-256 (hex) of the code that it ran, by what the code is to it: its own, its model's.
    """

    rule: str
    wildcards: dict[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    unproven: tuple[str, ...]
    parameters: dict[str, Any]
    code: dict[str, str]

    def __post_init__(self) -> None:
        if not self.outputs:
            raise ValueError(f"a job of {self.rule} has no outputs")
        if stray := set(self.unproven) - set(self.inputs):
            raise ValueError(f"{min(stray)} is unproven and no input of {self.rule}")


@dataclass(frozen=True, slots=True)
class Environment:
    """Where the provenance was written.

    Parameters
    ----------
    python, soaflow, snakemake
        Versions.
    cpu
        Model and level of x86-64.
    """

    python: str
    soaflow: str
    snakemake: str
    cpu: str


@dataclass(frozen=True)
class Provenance:
    """What each file of a run was made from.

    Parameters
    ----------
    environment
        Where it was written. The proof of a prediction and the passport of an artifact name the CPU that they
        were made on.
    configuration_sha256
        Of the whole configuration as canonical JSON.
    files
        By path.
    codes
        By SHA-256.
    jobs
        In the order of their first outputs.

    Raises
    ------
    ValueError
        If two jobs made one file, or a job names a file or code that is not listed.
    """

    derived: ClassVar[tuple[str, ...]] = ("provenance_version",)

    environment: Environment
    configuration_sha256: str
    files: dict[str, RecordedFile]
    codes: dict[str, RecordedCode]
    jobs: tuple[RecordedJob, ...]

    def __post_init__(self) -> None:
        made = [path for job in self.jobs for path in job.outputs]
        if len(made) != len(self.makers):
            raise ValueError("two jobs made one file")
        for path in (*made, *(path for job in self.jobs for path in job.inputs)):
            if path not in self.files:
                raise ValueError(f"a job names {path}, which is not listed")
        for digest in (digest for job in self.jobs for digest in job.code.values()):
            if digest not in self.codes:
                raise ValueError(f"a job names code {digest}, which is not listed")

    @property
    def provenance_version(self) -> int:
        """Version of the file."""
        return PROVENANCE_VERSION

    @cached_property
    def makers(self) -> Mapping[str, RecordedJob]:
        """The job that made each file that one made."""
        return {path: job for job in self.jobs for path in job.outputs}

    def write(self, path: Path | str) -> None:
        """Write it as canonical JSON.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        write_json(path, to_json(self))

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read it back.

        Raises
        ------
        StorageError
            If there is no such file, or it is not a whole provenance of this version.
        """
        return read_record(
            cls,
            path,
            kind="provenance",
            version=PROVENANCE_VERSION,
            remedy="let snakemake write it again, as the target results/provenance.json",
        )
