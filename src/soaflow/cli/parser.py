"""What the command line accepts, with its help; it imports nothing that is slow.

>>> build_parser().parse_args(["repack", "in.h5", "out.h5"]).destination
PosixPath('out.h5')
"""

import argparse
from pathlib import Path

from soaflow import __version__
from soaflow.profiles import BALANCED, PROFILES
from soaflow.targets import CPU_TARGETS

_DESCRIPTION = """\
From a PyTorch model and structure-of-arrays event data to proven inference artifacts.
The workflow runs the whole pipeline (make run); these verbs serve people at a terminal."""

_EPILOG = """\
examples:
  soaflow layout particles.yaml --rows 1000
  soaflow inspect results/events/toy/0.h5
  soaflow infer results/artifacts/SimpleNet.float32.pt results/events/toy/0.h5 predictions.h5
  soaflow compare reference.h5 predictions.h5 --absolute 1e-5 --relative 1e-4

exit codes: 0 fine, 1 a verdict failed or an artifact does not fit, 2 bad use or bad input"""

_LAYOUT = """\
Print each item's offset, bytes and stride in the blob of a collection, and the blob's size, in
the byte order of CMSSW's SoATemplate."""

_LAYOUT_EPILOG = """\
FILE is a YAML or JSON list of items, as the configuration lists them:
  - {name: pt, dtype: float32, unit: GeV}
  - {name: image, dtype: float32, kind: eigen, shape: [9, 9]}
  - {name: scale, dtype: float64, kind: scalar}

example:
  soaflow layout particles.yaml --rows 1000 --alignment 128"""

_INSPECT = """\
Print what is in an events file, a predictions file, an artifact or program (from the passport
beside it, after a check of its SHA-256), a proof or a verdict. Of a .pt file without passport, such
as weights, it lists the members. It never loads a model's code."""

_INSPECT_EPILOG = """\
examples:
  soaflow inspect results/events/toy/0.h5
  soaflow inspect results/artifacts/SimpleNet.float32.native.balanced.pt2 --json"""

_REPACK = """\
Rewrite an events or predictions file that another HDF5 tool has chunked, compressed or moved, so
that it can be mapped again."""

_REPACK_EPILOG = """\
example:
  soaflow repack from_h5repack.h5 events.h5"""

_INFER = """\
Run an artifact on an events file, single-threaded and without copying its input, and write its
predictions, with the job's proof beside them (OUT with .proof.json for its ending)."""

_INFER_EPILOG = """\
example:
  soaflow infer results/artifacts/SimpleNet.float32.pt results/events/toy/0.h5 out.h5 --batch-size 64"""

_VERIFY = """\
Say whether a program or artifact may be loaded here: whether it is the file that its passport
describes, whether its archive is sane, and whether it fits this CPU, C library and torch. One line
for each check. None of the file's code is loaded."""

_VERIFY_EPILOG = """\
exit codes: 0 everything fits, 1 something does not, 2 there is no such file

examples:
  soaflow verify results/artifacts/SimpleNet.float32.native.balanced.pt2"""

_REBUILD = """\
Build an AOT artifact from a program file alone, on this machine and with the installed torch. It
is checked as the workflow checks it, and gets a passport of its own."""

_REBUILD_EPILOG = """\
examples:
  soaflow rebuild SimpleNet.float32.pt2 --target x86-64-v3
  soaflow rebuild SimpleNet.float32.pt2 --target native --profile throughput --output mine.pt2"""

_PACK = """\
Pack AOT artifacts of one program for several levels of x86-64 into one fat artifact. A loader
picks the best one that its CPU supports and loads only that one."""

_PACK_EPILOG = """\
example:
  soaflow pack SimpleNet.fat.pt2 SimpleNet.float32.x86-64-v*.balanced.pt2"""

_COMPARE = """\
Compare the predictions in B with the reference in A, item by item, and judge them. A value
passes when |b - a| <= absolute + relative * |a|. Either file may come from anywhere, as long as it
has the items by name: an HDF5 file of any kind, a NumPy .npz or .npy, or a ROOT file with one tree of
flat branches; with --blob, B is the bytes of a CMSSW SoA buffer."""

_COMPARE_EPILOG = """\
Without --absolute and --relative the tolerances follow each item's dtype in B: for float32 an
absolute one of 1e-5 and a relative one of 1e-4, for float64 1e-9 and 1e-9, for integers and
bools 0 and 0. If one of the two is given, the other is 0. With --eager the factor is 2 and the floor
0 where they are not given.

examples:
  soaflow compare reference.h5 predictions.h5 --absolute 1e-3 --json verdict.json
  soaflow compare reference.h5 golden.npz
  soaflow compare reference.h5 cmssw.bin --blob --layout predictions.h5
  soaflow compare reference.h5 golden.npz --eager eager.h5 --factor 2 --floor 1e-6

exit codes: 0 the verdict passed, 1 it failed, 2 bad use or bad input"""

_BISECT = """\
Find the first operation of PROGRAM whose output in CANDIDATE is farther from float64 than it may
be: --factor times what the program itself is, run eagerly, plus rounding. CANDIDATE is another
program of the same inputs and outputs, or an artifact (.pt, .pt2, .onnx) for the CPU. Two programs
are walked through side by side; of an artifact whose outputs diverge, first parts are built as it was,
about log2 of the number of operations, each as slow as an export."""

_BISECT_EPILOG = """\
examples:
  soaflow bisect Net.float32.pt2 Net.other.pt2 results/events/toy/0.h5
  soaflow bisect Net.float32.pt2 Net.float32.native.balanced.pt2 results/events/toy/0.h5 --rows 1000

exit codes: 0 no operation diverges, 1 one does, 2 bad use or bad input"""

_JUDGE = """\
Judge a verdict again at other limits. It needs the verdict alone, not the predictions: the figures
in it tell whether any value is over a tolerance. --absolute, --relative, --factor and --floor are for
all its outputs alike; --config takes tolerances, yardstick and waivers as a run with it would, for
predictions from elsewhere those of --variant."""

_JUDGE_EPILOG = """\
If one of the two tolerances is given, the other is 0; if just one of the yardstick's two numbers is
given, the factor is 2 and the floor 0. What is not given stays as it is.

examples:
  soaflow judge results/verdicts/toy/SimpleNet.jit.json --absolute 1e-3 --relative 1e-4
  soaflow judge results/verdicts/toy/SimpleNet.jit.json --config config/config.yaml

exit codes: 0 it passes or is waived, 1 it fails, 2 bad use or bad input"""

_WHY = """\
Print what FILE was made from, back to the sources: each file with its SHA-256, the rule that made it,
the configuration that reached it and the code that ran, and whether the file is still the one that
was recorded when the run ended. Call it in the folder of the run."""

_WHY_EPILOG = """\
examples:
  soaflow why results/verdicts/toy/SimpleNet.jit.json
  soaflow why results/artifacts/SimpleNet.float32.pt --json

exit codes: 0 everything is as recorded, 1 something is not, 2 bad use or bad input"""

_REPRODUCED = """\
Compare everything that should be the same in two runs: events and predictions row by row, whatever their
shards, weights, programs, artifacts, figures and verdicts. What differs is listed, with the reason
where it is to be expected."""

_REPRODUCED_EPILOG = """\
examples:
  soaflow reproduced results ../elsewhere/results
  soaflow reproduced results ../elsewhere/results --kinds events weights

exit codes: 0 nothing differs but what is expected to, 1 something does, 2 bad use or bad input"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs; the parsed `verb` names the module that runs it."""
    parser = argparse.ArgumentParser(
        prog="soaflow",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"soaflow {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")

    layout = _add(verbs, "layout", "where the items of a collection lie in its blob", _LAYOUT, _LAYOUT_EPILOG)
    layout.add_argument("file", type=Path, metavar="FILE", help="YAML or JSON list of items")
    layout.add_argument("--rows", type=int, required=True, metavar="N", help="number of rows, 0 or more")
    layout.add_argument(
        "--alignment", type=int, default=128, metavar="A", help="bytes (default: %(default)s)"
    )
    layout.add_argument("--json", action="store_true", help="print JSON")

    inspect = _add(verbs, "inspect", "what is in a file, without loading code", _INSPECT, _INSPECT_EPILOG)
    inspect.add_argument("file", type=Path, metavar="FILE", help=".h5, .pt, .pt2 or .json")
    inspect.add_argument("--json", action="store_true", help="print JSON")

    repack = _add(verbs, "repack", "make a file mappable again", _REPACK, _REPACK_EPILOG)
    repack.add_argument("source", type=Path, metavar="IN", help="file to read")
    repack.add_argument("destination", type=Path, metavar="OUT", help="file to write; it may be IN")

    infer = _add(verbs, "infer", "run an artifact on an events file", _INFER, _INFER_EPILOG)
    infer.add_argument(
        "artifact", type=Path, metavar="ARTIFACT", help=".pt or .pt2 with its passport beside it"
    )
    infer.add_argument("events", type=Path, metavar="EVENTS", help="events file")
    infer.add_argument("predictions", type=Path, metavar="OUT", help="predictions file to write")
    infer.add_argument(
        "--batch-size", type=int, default=0, metavar="N", help="rows of one call; 0 for all (default: 0)"
    )
    infer.add_argument(
        "--device",
        choices=("cpu", "cuda"),
        help="of a TorchScript artifact (default: cpu); an AOT one runs where it was built for",
    )
    infer.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="CHECK",
        help="load although cpu, torch or c_library, as soaflow verify names them, does not fit; repeatable",
    )

    verify = _add(verbs, "verify", "say whether an artifact fits here", _VERIFY, _VERIFY_EPILOG)
    verify.add_argument(
        "artifact", type=Path, metavar="ARTIFACT", help=".pt or .pt2 with its passport beside it"
    )
    verify.add_argument("--json", action="store_true", help="print JSON")

    rebuild = _add(verbs, "rebuild", "build an artifact from a program alone", _REBUILD, _REBUILD_EPILOG)
    rebuild.add_argument("program", type=Path, metavar="PROGRAM", help="program (.pt2)")
    rebuild.add_argument(
        "--target",
        required=True,
        metavar="T",
        help=f"{', '.join(CPU_TARGETS)}, or cuda with its architecture, such as cuda-sm_90",
    )
    rebuild.add_argument("--profile", choices=tuple(PROFILES), default=BALANCED, help="default: %(default)s")
    rebuild.add_argument(
        "--output",
        type=Path,
        metavar="OUT",
        help="artifact to write (default: MODEL.DTYPE.TARGET.PROFILE.pt2 here)",
    )

    pack = _add(verbs, "pack", "pack artifacts for several CPUs into one", _PACK, _PACK_EPILOG)
    pack.add_argument("output", type=Path, metavar="OUT", help="fat artifact to write")
    pack.add_argument(
        "artifacts", type=Path, nargs="+", metavar="ARTIFACT", help="AOT artifact of one target"
    )

    _add_verbs_of_verdicts(verbs)
    _add_verbs_of_runs(verbs)
    return parser


def _add_verbs_of_runs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    why = _add(verbs, "why", "what a file was made from", _WHY, _WHY_EPILOG)
    why.add_argument("file", type=Path, metavar="FILE", help="that a run made or read")
    why.add_argument(
        "--provenance",
        type=Path,
        default=Path("results/provenance.json"),
        metavar="P",
        help="of the run (default: %(default)s)",
    )
    why.add_argument("--json", action="store_true", help="print JSON")

    reproduced = _add(verbs, "reproduced", "whether two runs gave the same", _REPRODUCED, _REPRODUCED_EPILOG)
    reproduced.add_argument("first", type=Path, metavar="FIRST", help="folder results of a run")
    reproduced.add_argument("second", type=Path, metavar="SECOND", help="folder results of another")
    reproduced.add_argument(
        "--kinds", nargs="+", metavar="KIND", help="compare these alone (default: everything)"
    )
    reproduced.add_argument("--json", action="store_true", help="print JSON")


def _add_verbs_of_verdicts(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    compare = _add(verbs, "compare", "judge predictions against a reference", _COMPARE, _COMPARE_EPILOG)
    compare.add_argument("reference", type=Path, metavar="A", help="predictions file of the reference")
    compare.add_argument("candidate", type=Path, metavar="B", help="predictions file to judge")
    compare.add_argument("--json", type=Path, metavar="OUT", help="write the verdict as JSON")
    compare.add_argument("--measurement", type=Path, metavar="OUT", help="write the figures as JSON")
    compare.add_argument("--blob", action="store_true", help="B is the bytes of a blob with the rows of A")
    compare.add_argument(
        "--layout",
        type=Path,
        metavar="FILE",
        help="predictions file, or list of items, that has the blob's layout (default: A)",
    )

    compare.add_argument(
        "--eager",
        type=Path,
        metavar="FILE",
        help="predictions of eager float32: B may be --factor times as far from A as they are, plus --floor",
    )

    bisect = _add(verbs, "bisect", "where a candidate begins to differ", _BISECT, _BISECT_EPILOG)
    bisect.add_argument("program", type=Path, metavar="PROGRAM", help="program (.pt2) that is right")
    bisect.add_argument(
        "candidate", type=Path, metavar="CANDIDATE", help="program or artifact with its passport beside it"
    )
    bisect.add_argument("events", type=Path, metavar="EVENTS", help="events file")
    bisect.add_argument(
        "--rows", type=int, default=0, metavar="N", help="use the first N rows; 0 for all (default: 0)"
    )
    bisect.add_argument(
        "--factor", type=float, default=2.0, metavar="K", help="times the program's own error (default: 2)"
    )
    bisect.add_argument(
        "--made-from",
        type=Path,
        metavar="OTHER",
        help="program that the artifact was made from, if it is not PROGRAM",
    )

    judge = _add(verbs, "judge", "judge a verdict again at other tolerances", _JUDGE, _JUDGE_EPILOG)
    judge.add_argument("verdict", type=Path, metavar="VERDICT", help="verdict as JSON")
    judge.add_argument("--config", type=Path, metavar="FILE", help="configuration to judge by")
    judge.add_argument(
        "--variant", metavar="NAME", help="of the configuration, to judge by (default: the verdict's own)"
    )
    judge.add_argument("--json", type=Path, metavar="OUT", help="write the verdict as JSON")
    for verb in (compare, judge):
        verb.add_argument("--factor", type=float, metavar="K", help="of the yardstick: times eager's error")
        verb.add_argument("--floor", type=float, metavar="X", help="of the yardstick, in the output's unit")
        verb.add_argument("--absolute", type=float, metavar="X", help="tolerance in the output's unit")
        verb.add_argument(
            "--relative", type=float, metavar="X", help="tolerance as a fraction of the reference"
        )


def _add(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    description: str,
    epilog: str,
) -> argparse.ArgumentParser:
    return verbs.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
