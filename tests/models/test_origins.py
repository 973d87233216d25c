import json

import pytest

from soaflow.errors import ArtifactError
from soaflow.files import sha256_of_file
from soaflow.models.origins import (
    GIVEN,
    INITIAL,
    TRAINED,
    origin_of_export,
    origin_path,
    read_origin,
    write_given_origin,
    write_origin,
)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights/Net.pt"
    path.parent.mkdir()
    path.write_bytes(b"weights of a model")
    return path


@pytest.fixture
def events(tmp_path):
    paths = [tmp_path / f"events/toy/{number}.h5" for number in range(2)]
    paths[0].parent.mkdir(parents=True)
    for number, path in enumerate(paths):
        path.write_bytes(b"events" * (number + 1))
    return paths


def test_it_lies_beside_the_weights(weights):
    write_origin(weights, INITIAL)
    assert [path.name for path in sorted(weights.parent.iterdir())] == ["Net.pt", "Net.pt.origin.json"]
    assert origin_path(weights).name == "Net.pt.origin.json"


def test_trained_weights_name_events_settings_and_code(weights, events):
    write_origin(weights, TRAINED, files=events, training={"epochs": 3}, code_sha256="0" * 64)
    assert read_origin(weights) == {
        "weights_sha256": sha256_of_file(weights),
        "weights": {
            "source": "trained",
            "files": {"toy/0.h5": sha256_of_file(events[0]), "toy/1.h5": sha256_of_file(events[1])},
            "training": {"epochs": 3},
            "code_sha256": "0" * 64,
        },
    }


@pytest.mark.parametrize("source", [GIVEN, INITIAL])
def test_what_is_not_known_is_left_out(weights, source):
    write_origin(weights, source)
    assert read_origin(weights)["weights"] == {"source": source}


def test_the_bytes_do_not_depend_on_the_folder(weights, events, tmp_path):
    write_origin(weights, TRAINED, files=events)
    other = tmp_path / "elsewhere"
    for path in (weights, *events):
        copied = other / path.relative_to(tmp_path)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(path.read_bytes())
    write_origin(
        other / "weights/Net.pt", TRAINED, files=[other / path.relative_to(tmp_path) for path in events]
    )
    assert origin_path(other / "weights/Net.pt").read_bytes() == origin_path(weights).read_bytes()


def test_that_of_other_weights_is_refused(weights):
    write_origin(weights, INITIAL)
    weights.write_bytes(b"weights of a modeL")
    with pytest.raises(
        ArtifactError, match=r"is that of other weights than .*Net\.pt: train the model again"
    ):
        read_origin(weights)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"weights_sha256": "0"}',
        '{"origin": {}}',
        '{"weights_sha256": "0", "origin": 3}',
    ],
)
def test_a_damaged_one_is_refused(weights, text):
    origin_path(weights).write_text(text)
    with pytest.raises(ArtifactError, match=r"Net\.pt\.origin\.json is missing or damaged: train the model"):
        read_origin(weights)


def test_a_missing_one_is_refused(weights):
    with pytest.raises(ArtifactError, match="is missing or damaged: train the model again"):
        read_origin(weights)


def test_any_other_digest_is_refused(weights):
    write_origin(weights, INITIAL)
    entry = json.loads(origin_path(weights).read_text())
    origin_path(weights).write_text(json.dumps({**entry, "weights_sha256": None}))
    with pytest.raises(ArtifactError, match="is that of other weights"):
        read_origin(weights)


@pytest.fixture
def taken(tmp_path, weights):
    """Weights that were taken from given ones."""
    path = tmp_path / "elsewhere/Net.pt"
    path.parent.mkdir()
    path.write_bytes(weights.read_bytes())
    return path


def test_given_weights_name_the_file(weights, taken):
    write_given_origin(taken, weights)
    assert read_origin(taken)["weights"] == {
        "source": "given",
        "files": {"weights/Net.pt": sha256_of_file(weights)},
    }


def test_given_weights_that_soaflow_has_trained_keep_their_origin(weights, taken, events):
    write_origin(weights, TRAINED, files=events, training={"epochs": 3}, code_sha256="0" * 64)
    write_given_origin(taken, weights)
    assert read_origin(taken) == read_origin(weights)
    assert origin_path(taken).read_bytes() == origin_path(weights).read_bytes()


def test_an_origin_of_other_weights_is_not_passed_on(weights, taken):
    write_origin(weights, INITIAL)
    weights.write_bytes(b"others")
    with pytest.raises(ArtifactError, match="is that of other weights"):
        write_given_origin(taken, weights)


def test_an_export_comes_from_a_model_two_codes_and_weights(weights):
    write_origin(weights, INITIAL)
    model = {"class_path": "a:B", "arguments": {}, "seed": 1}
    assert origin_of_export(weights, model, model_code="m", export_code="e") == {
        **model,
        "model_code_sha256": "m",
        "export_code_sha256": "e",
        **read_origin(weights),
    }
