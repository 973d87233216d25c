from dataclasses import replace
from pathlib import Path

import pytest

from soaflow.cli import main
from soaflow.errors import ProvenanceError
from soaflow.lineage.chain import State, chain

from .conftest import PREDICTIONS, SOURCE, WEIGHTS, Entries, Recorded


def test_the_chain_goes_back_to_the_sources(entries: Entries, recorded: Recorded) -> None:
    links = list(chain(recorded(entries), PREDICTIONS))
    assert [(link.path, link.depth) for link in links] == [(PREDICTIONS, 0), (WEIGHTS, 1), (SOURCE, 2)]
    assert all(link.holds and link.proven for link in links)


@pytest.mark.parametrize("changed", [PREDICTIONS, WEIGHTS, SOURCE])
def test_a_changed_byte_is_found_wherever_it_is(entries: Entries, recorded: Recorded, changed: str) -> None:
    provenance = recorded(entries)
    Path(changed).write_text("another")
    states = {link.path: link.state for link in chain(provenance, PREDICTIONS)}
    assert [path for path, state in states.items() if state is State.CHANGED] == [changed]


def test_what_is_gone_and_what_was_not_recorded_is_said(unrecorded: Entries, recorded: Recorded) -> None:
    provenance = recorded(unrecorded)
    Path(SOURCE).unlink()
    _, weights, source = chain(provenance, PREDICTIONS)
    assert source.state is State.GONE
    assert not weights.proven


def test_changed_code_is_found(entries: Entries, recorded: Recorded) -> None:
    provenance = recorded(entries)
    infer, train = (provenance.makers[path].code["code"] for path in (PREDICTIONS, WEIGHTS))
    provenance.codes[train] = replace(provenance.codes[train], module=provenance.codes[infer].module)
    states = [link.code.get("code") for link in chain(provenance, PREDICTIONS)]
    assert states == [State.SAME, State.CHANGED, None]
    provenance = recorded(entries)
    provenance.codes[train] = replace(provenance.codes[train], module="elsewhere.py")
    assert [link.code.get("code") for link in chain(provenance, WEIGHTS)] == [State.GONE, None]


def test_a_file_that_is_no_part_of_the_run(entries: Entries, recorded: Recorded) -> None:
    with pytest.raises(ProvenanceError, match="elsewhere is not in the provenance: name a file"):
        list(chain(recorded(entries), "elsewhere"))


def test_why_tells_it_to_people(
    entries: Entries, recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded(entries).write("results/provenance.json")
    assert main(["why", str(Path(PREDICTIONS).resolve())]) == 0
    said = capsys.readouterr().out
    assert "by train: model Net" in said
    assert "options: width 3" in said
    assert f"sources      {SOURCE}\n" in said
    assert "3 files, none changed" in said
    Path(SOURCE).write_text("another")
    assert main(["why", WEIGHTS]) == 1
    assert "CHANGED SINCE" in capsys.readouterr().out
    assert main(["why", WEIGHTS, "--json"]) == 1
    assert '"state": "CHANGED SINCE"' in capsys.readouterr().out


def test_why_without_a_provenance_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["why", "results/verdicts/passed.txt"]) == 2
    assert "soaflow: error: results/provenance.json cannot be read" in capsys.readouterr().err
