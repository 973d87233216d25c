"""The chain of a file back to its sources, held against what lies on the disk now.

The invariant: each file behind the first is told in full once, after a file that was made from it; whether it
is the recorded one is told from its bytes, not from its time stamp.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from soaflow.errors import ConfigError, ProvenanceError
from soaflow.files import sha256_of_file
from soaflow.lineage.record import Provenance, RecordedFile, RecordedJob
from soaflow.provenance import code_digest


class State(StrEnum):
    """What became of something since it was recorded."""

    SAME = "as recorded"
    CHANGED = "CHANGED SINCE"
    GONE = "NOT THERE"


@dataclass(frozen=True, slots=True)
class Link:
    """A file in a chain.

    Parameters
    ----------
    path
        As recorded.
    depth
        Number of files between it and the one that is asked about, and that one; 0 for that one.
    file
        As recorded.
    state
        Of its bytes.
    proven
        Whether it was recorded what the job read that made the file before it in the chain.
    job
        That made it; None for a source, and where it is told above.
    code
        State of the code that the job ran, by what the code is to it.
    told_above
        Whether the job and what is behind it were told before, for this file or for another that it made.
    """

    path: str
    depth: int
    file: RecordedFile
    state: State
    proven: bool = True
    job: RecordedJob | None = None
    code: dict[str, State] = field(default_factory=dict)
    told_above: bool = False

    @property
    def holds(self) -> bool:
        """Whether the file is the recorded one, and so is the code that made it, as far as it lies here."""
        return self.state is State.SAME and State.CHANGED not in self.code.values()


def chain(provenance: Provenance, path: str) -> Iterator[Link]:
    """Yield a file and everything that it was made from, depth first, and look at each now.

    Parameters
    ----------
    provenance
        Of the run, whose folder is the working directory.
    path
        As recorded.

    Raises
    ------
    ProvenanceError
        If the run neither made nor read such a file.
    StorageError
        If a file cannot be read.
    """
    if path not in provenance.files:
        raise ProvenanceError(
            f"{path} is not in the provenance: name a file that the run made or read, as it is called from "
            "the folder of the run"
        )
    yield from _Walk(provenance).links(path, 0, proven=True)


class _Walk:
    """What was told so far."""

    def __init__(self, provenance: Provenance) -> None:
        self.provenance = provenance
        self.told: set[tuple[str, ...]] = set()
        self.states: dict[str, State] = {}
        self.codes: dict[str, State] = {}

    def links(self, path: str, depth: int, *, proven: bool) -> Iterator[Link]:
        file, job = self.provenance.files[path], self.provenance.makers.get(path)
        if path not in self.states:
            self.states[path] = _state_of_file(path, file)
        state = self.states[path]
        if job is None or job.outputs in self.told:
            yield Link(path, depth, file, state, proven, told_above=job is not None)
            return
        self.told.add(job.outputs)
        code = {name: self._state_of_code(digest) for name, digest in job.code.items()}
        yield Link(path, depth, file, state, proven, job, code)
        for source in job.inputs:
            yield from self.links(source, depth + 1, proven=source not in job.unproven)

    def _state_of_code(self, digest: str) -> State:
        if digest not in self.codes:
            try:
                now = code_digest(self.provenance.codes[digest].module)
            except ConfigError:
                self.codes[digest] = State.GONE
            else:
                self.codes[digest] = State.SAME if now == digest else State.CHANGED
        return self.codes[digest]


def _state_of_file(path: str, file: RecordedFile) -> State:
    if not Path(path).exists():
        return State.GONE
    return State.SAME if sha256_of_file(path) == file.sha256 else State.CHANGED
