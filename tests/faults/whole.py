"""What must hold of results at every moment: each file is absent, or whole and as it should be."""

import json
import re
from pathlib import Path

from soaflow.passport import read_passport

PASSPORT = re.compile(r"^(programs|artifacts)/.*\.json$")

MEASURED = re.compile(r"\.proof\.json$|^(speed|starts|profiles)/.*\.json$|^report/performance/.*\.json$")
"""Files of times, of which no two runs give the same."""

DRAWN_FROM_MEASURED = re.compile(r"^report/(performance|speed|latency|starts|profiles)/.*\.svg$")

NOT_RESULTS = ("logs", "benchmarks")

NOT_OURS = re.compile(r"torchinductor_\w+|\.ses|snakemake\w{8}")
"""What torch, onnxruntime and a killed Snakemake leave in the folder for temporary files."""


def files_of(results):
    """Every file below a folder of results that is one, by its path; hidden ones too."""
    return {
        str(path.relative_to(results)): path
        for path in sorted(results.rglob("*"))
        if path.is_file() and path.relative_to(results).parts[0] not in NOT_RESULTS
    }


def leftovers(folder):
    """Hidden files among the results, and what jobs put into the folder for temporary files."""
    hidden = [name for name in files_of(folder / "results") if Path(name).name.startswith(".")]
    scratch = (folder / "scratch").iterdir()
    return hidden + [str(path) for path in scratch if not NOT_OURS.fullmatch(path.name)]


def content(name, path):
    """What must be the same of a file in every run: all of it, but of passports and measurements of time."""
    if name == "provenance.json":
        return provenance_without_stamps_and_records(path)
    if PASSPORT.search(name):
        return read_passport(path.with_name(path.name.removesuffix(".json"))).digest()
    if MEASURED.search(name):
        return sorted(json.loads(path.read_text()))
    if DRAWN_FROM_MEASURED.search(name):
        assert path.read_text().rstrip().endswith("</svg>"), name
        return None
    return path.read_bytes()


def provenance_without_stamps_and_records(path):
    """All that provenance says but what is left of time stamps and of Snakemake's records.

    A file that was put back has another stamp, and a half-written record proves nothing: it says so.
    """
    told = json.loads(path.read_text())
    for file in told["files"].values():
        del file["as_made"]
    for job in told["jobs"]:
        del job["unproven"]
    return told


def wrong_files(folder, undisturbed, *, complete):
    """Files that are not what the undisturbed run gave, and if all must be there, those that are missing."""
    here, there = files_of(folder / "results"), files_of(undisturbed / "results")
    found = [f"{name} is missing" for name in there.keys() - here.keys()] if complete else []
    for name, path in here.items():
        if Path(name).name.startswith("."):
            continue
        try:
            if name not in there:
                found.append(f"{name} is unknown")
            elif content(name, path) != content(name, there[name]):
                found.append(f"{name} differs")
        except FileNotFoundError:
            continue  # a living writer's; it is looked at again
        except Exception as error:
            found.append(f"{name} is not whole: {error}")
    return found
