"""The measurement of build profiles: what is called, on which rows, and what follows from the times."""

import dataclasses
import json

import pytest

from soaflow.errors import ArtifactError, StorageError
from soaflow.infer import measure
from soaflow.infer.measure import measure_profiles, recommended
from soaflow.passport import read_passport, write_passport
from soaflow.timing import CALL_QUANTILES, Times, Window


def times(**medians):
    return {name: {"median": median, "stable": True} for name, median in medians.items()}


def times_of(seconds):
    return Times((Window(1, seconds, seconds),), (seconds,) * len(CALL_QUANTILES), 1, True, True)


def test_the_fastest_is_recommended_and_noise_decides_nothing():
    figures = {
        "calls": {
            "1": times(latency=1.0, balanced=2.0, throughput=7.0),
            "256": times(latency=1.04, balanced=1.0, throughput=3.0),
            "4096": times(latency=3.0, balanced=1.2, throughput=1.0),
        },
        "shard": {
            "1024": times(latency=9.0, balanced=5.0, throughput=6.0),
            "0": times(latency=9.0, balanced=7.0, throughput=4.0),
        },
    }
    assert recommended(figures) == {
        "1": {"profile": "latency"},
        "256": {"profile": "latency"},
        "4096": {"profile": "throughput"},
        "shard": {"profile": "throughput", "chunk": 0},
    }


@pytest.fixture
def called(monkeypatch, own_threads):  # noqa: ARG001  wanted for what it does
    """The names and rows of what is timed; nothing is timed for long."""
    seen = []

    def once(candidates, _pace, around):
        for name, call in candidates.items():
            with around(name):
                call()
            seen.append(name)
        return {name: times_of(1.0 + index) for index, name in enumerate(candidates)}

    monkeypatch.setattr(measure, "interleaved", once)
    return seen


@pytest.fixture
def built_otherwise(v3_file, tmp_path):
    """The same artifact with a passport that says it was built with another option."""
    path = tmp_path / v3_file.name
    path.write_bytes(v3_file.read_bytes())
    passport = read_passport(v3_file)
    builds = {
        name: dataclasses.replace(build, options={**build.options, "cpp.march": "another"})
        for name, build in passport.builds.items()
    }
    write_passport(path, dataclasses.replace(passport, builds=builds))
    return path


@pytest.mark.compile
def test_profiles_of_one_library_are_timed_as_one(v3_file, particles, tmp_path, called):
    particles(tmp_path / "events.h5", 50)
    path = tmp_path / "figures.json"
    measure_profiles({"latency": v3_file, "reproducible": v3_file}, tmp_path / "events.h5", path)
    figures = json.loads(path.read_text())
    assert {name.split()[0] for name in called} == {"latency"}
    for measured in (*figures["calls"].values(), *figures["shard"].values()):
        assert measured["latency"] == measured["reproducible"]
    assert {entry["profile"] for entry in figures["recommended"].values()} == {"latency"}


@pytest.mark.compile
def test_every_profile_is_called_in_every_regime(v3_file, built_otherwise, particles, tmp_path, called):
    particles(tmp_path / "events.h5", 50)
    path = tmp_path / "figures.json"
    measure_profiles({"balanced": v3_file, "latency": built_otherwise}, tmp_path / "events.h5", path)
    figures = json.loads(path.read_text())
    assert set(figures["calls"]) == {"1", "16", "256", "4096"}
    assert figures["shard_rows"] in measure.SHARD_ROWS
    assert figures["model"] == "Weighted"
    assert set(figures["artifacts_sha256"]) == {"balanced", "latency"}
    assert called[:8] == ["balanced", "latency"] * 4
    assert {name.split()[0] for name in called[8:]} == {"balanced", "latency"}


@pytest.mark.compile
def test_events_without_rows_and_other_models_are_sentences(v3_file, particles, tmp_path):
    particles(tmp_path / "none.h5", 0)
    with pytest.raises(StorageError, match="has no rows of particles to measure with"):
        measure_profiles({"balanced": v3_file}, tmp_path / "none.h5", tmp_path / "figures.json")
    v3_file_copy = tmp_path / v3_file.name
    v3_file_copy.write_bytes(v3_file.read_bytes())
    with pytest.raises(ArtifactError, match="no passport"):
        measure_profiles({"balanced": v3_file_copy}, tmp_path / "none.h5", tmp_path / "figures.json")
    assert not (tmp_path / "figures.json").exists()
