import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from soaflow.errors import ProvenanceError, StorageError
from soaflow.files import sha256_of_file
from soaflow.lineage.record import Provenance
from soaflow.lineage.recording import OutputRecord

from .conftest import PREDICTIONS, SOURCE, WEIGHTS, Entries, Recorded


def test_every_file_is_tied_to_the_job_that_made_it(entries: Entries, recorded: Recorded) -> None:
    provenance = recorded(entries)
    assert [job.rule for job in provenance.jobs] == ["infer", "train"]
    assert provenance.makers[PREDICTIONS].inputs == (WEIGHTS,)
    assert provenance.files[WEIGHTS].sha256 == sha256_of_file(WEIGHTS)
    assert provenance.files[WEIGHTS].kind == "weights"
    assert provenance.files[SOURCE].kind == "sources"
    assert provenance.makers[WEIGHTS].parameters == {"seed": 7, "options": {"width": 3}}
    assert all(file.as_made for file in provenance.files.values())
    assert all(job.unproven == () for job in provenance.jobs)


def test_code_names_what_it_imports(entries: Entries, recorded: Recorded) -> None:
    provenance = recorded(entries)
    code = provenance.codes[provenance.makers[WEIGHTS].code["code"]]
    assert (code.module, code.distributions) == ("train.py", {"numpy": np.__version__})


def test_the_same_run_gives_the_same_bytes(entries: Entries, recorded: Recorded, tmp_path: Path) -> None:
    recorded(entries).write("first.json")
    for path in (SOURCE, WEIGHTS, PREDICTIONS):
        os.utime(path, (1, 1))
    again = [replace(entry, ended=dict.fromkeys(entry.outputs, 1.0)) for entry in reversed(entries)]
    recorded(again).write("second.json")
    assert Path("first.json").read_bytes() == Path("second.json").read_bytes()
    assert str(tmp_path) not in Path("first.json").read_text()
    assert Provenance.read("first.json") == recorded(again)


def test_a_file_that_changed_after_it_was_read_is_found(entries: Entries, recorded: Recorded) -> None:
    stamp = Path(WEIGHTS).stat().st_mtime
    Path(WEIGHTS).write_text("others")
    os.utime(WEIGHTS, (stamp, stamp))
    with pytest.raises(ProvenanceError, match=f"{WEIGHTS} has changed since {PREDICTIONS} was made from it"):
        recorded(entries)


def test_code_that_changed_after_it_ran_is_found(entries: Entries, recorded: Recorded) -> None:
    infer, train = entries
    ran = replace(infer, parameters=infer.parameters | {"code": train.parameters["code"]})
    with pytest.raises(ProvenanceError, match=r"the code of infer\.py has changed since"):
        recorded([ran, train])


def test_a_parameter_that_is_another_by_now_is_found(entries: Entries, recorded: Recorded) -> None:
    infer, train = entries
    given = frozenset(map(repr, train.parameters.values()))
    assert recorded([infer, replace(train, given=given)])
    with pytest.raises(ProvenanceError, match=f"{WEIGHTS} was made with another 'seed' than"):
        recorded([infer, replace(train, given=given - {"7"})])


def test_records_of_all_outputs_are_joined(entries: Entries, recorded: Recorded) -> None:
    infer, train = entries
    entry = replace(train, outputs=(WEIGHTS, PREDICTIONS, "gone"))
    given = frozenset({"7"})
    joined = entry.with_records(
        {
            WEIGHTS: OutputRecord(ended=1.0, read={SOURCE: "s"}, given=given),
            PREDICTIONS: OutputRecord(ended=2.0, read={"other.root": "o"}, given=given),
        }
    )
    assert joined.ended == {WEIGHTS: 1.0, PREDICTIONS: 2.0}
    assert joined.read == {SOURCE: "s", "other.root": "o"}
    assert joined.given == given
    unknown = infer.with_records({})
    assert (unknown.read, unknown.ended, unknown.given) == ({}, {}, None)
    assert recorded([unknown, train]).makers[PREDICTIONS].unproven == (WEIGHTS,)


def test_a_script_is_looked_for_beside_the_others(
    entries: Entries, recorded: Recorded, tmp_path: Path
) -> None:
    infer, _ = entries
    planned = replace(infer, code={"code": "../afar/infer.py", "model_code": "train.py"})
    assert planned.with_scripts_in(tmp_path).code == {
        "code": str(tmp_path / "infer.py"),
        "model_code": "train.py",
    }
    afar = infer.with_scripts_in(tmp_path / "nowhere")
    assert afar.code == {}
    assert recorded([afar]).makers[PREDICTIONS].parameters["code"] == infer.parameters["code"]


def test_a_link_that_nobody_recorded_is_unproven(unrecorded: Entries, recorded: Recorded) -> None:
    assert recorded(unrecorded).makers[PREDICTIONS].unproven == (WEIGHTS,)


def test_a_result_that_was_touched_is_said(entries: Entries, recorded: Recorded) -> None:
    os.utime(PREDICTIONS, (1, 1))
    provenance = recorded(entries)
    assert not provenance.files[PREDICTIONS].as_made
    assert provenance.files[WEIGHTS].as_made


def test_a_result_that_is_gone_is_said(entries: Entries, recorded: Recorded) -> None:
    Path(WEIGHTS).unlink()
    assert recorded(entries).files[WEIGHTS].sha256 is None


def test_each_file_is_read_once(
    entries: Entries, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def counted(path: str) -> str:
        read.append(path)
        return sha256_of_file(path)

    monkeypatch.setattr("soaflow.lineage.recording.sha256_of_file", counted)
    recorded(entries)
    assert sorted(read) == sorted([SOURCE, WEIGHTS, PREDICTIONS])


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("provenance_version", 2, "not a provenance that this soaflow reads"),
        ("files", {}, "which is not listed"),
        ("codes", {}, "which is not listed"),
        ("day", "today", "unknown key 'day'"),
    ],
)
def test_anything_but_a_whole_provenance_is_refused(
    entries: Entries, recorded: Recorded, key: str, value: object, sentence: str
) -> None:
    recorded(entries).write("provenance.json")
    planted = json.loads(Path("provenance.json").read_text()) | {key: value}
    Path("provenance.json").write_text(json.dumps(planted))
    with pytest.raises(StorageError, match=sentence):
        Provenance.read("provenance.json")


def test_two_jobs_cannot_have_made_one_file(entries: Entries, recorded: Recorded) -> None:
    with pytest.raises(ValueError, match="two jobs made one file"):
        recorded([*entries, replace(entries[0], rule="train")])


def test_a_run_without_jobs_is_refused(recorded: Recorded) -> None:
    with pytest.raises(ProvenanceError, match="run write_provenance as a local rule"):
        recorded([])
