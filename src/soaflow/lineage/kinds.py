"""What kind of file lies where among the results, and whether its bytes are the same in every run.

The invariant: the first folder that holds a kind, and the rest of the path where it holds several, decide
alone, so a file has one kind wherever the results lie and whatever datasets and models are called.

>>> kind_of("results/events/toy/0.h5").name, kind_of("results/predictions/toy/0/Net.jit.proof.json").measured
('events', True)
>>> kind_of("results/predictions/logs/0/Net.jit.h5").name, kind_of("results/predictions/logs/Net.jit.h5").name
('predictions', 'gathered predictions')
>>> kind_of("results/mine.txt").name
'other'
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file.

    Parameters
    ----------
    name
        In the plural, as the table of `make reproduce` has it.
    pattern
        Regular expression that a path matches from the kind's folder on.
    measured
        Whether it holds times, memory or the day of a run, so that its bytes differ from run to run.
    """

    name: str
    pattern: str
    measured: bool = False


SOURCE = Kind("sources", "")
"""What no job of the run has made."""

OTHER = Kind("other", "")
"""What a job has made that is of no kind listed here."""

KINDS = (
    Kind("logs", r"logs/.*", measured=True),
    Kind("benchmarks", r"benchmarks/.*", measured=True),
    Kind("proofs", r"predictions/.*\.proof\.json", measured=True),
    Kind("passports", r"(?:programs|artifacts)/[^/]*\.json", measured=True),
    Kind("origins", r"weights/[^/]*\.origin\.json"),
    Kind("events", r"events/[^/]+/\d+\.h5"),
    Kind("weights", r"weights/[^/]*\.pt"),
    Kind("learning curves", r"training/[^/]*\.tsv"),
    Kind("programs", r"programs/[^/]*\.pt2"),
    Kind("artifacts", r"artifacts/[^/]*\.(?:pt|pt2|onnx)"),
    Kind("gathered predictions", r"predictions/[^/]+/[^/]+\.h5"),
    Kind("predictions", r"predictions/[^/]+/\d+/[^/]+\.h5"),
    Kind("differences", r"differences/.*\.json"),
    Kind("invariance", r"invariance/.*\.json"),
    Kind("pairs", r"pairs/.*\.json"),
    Kind("decisions", r"decisions/.*\.json"),
    Kind("verdicts", r"verdicts/.*"),
    Kind("speed", r"speed/[^/]*\.json", measured=True),
    Kind("starts", r"starts/[^/]*\.json", measured=True),
    Kind("profiles", r"profiles/[^/]*\.json", measured=True),
    Kind("measured pictures", r"report/(?:performance|speed|latency|starts|profiles|benchmarks)[/.].*", True),
    Kind("pictures", r"report/.*"),
)
"""In this order; the first that fits is the kind."""

_PATTERNS = [(kind, re.compile(kind.pattern)) for kind in KINDS]


def kind_of(path: str) -> Kind:
    """Return the kind of a file that a job has made, by its path."""
    parts = path.split("/")
    ends = ("/".join(parts[begin:]) for begin in range(len(parts)))
    return next((kind for end in ends for kind, pattern in _PATTERNS if pattern.fullmatch(end)), OTHER)
