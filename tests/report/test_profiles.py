import copy
import json

import pytest

from soaflow.errors import StorageError
from soaflow.report.profiles import plot_profiles


def times(median, *, stable=True):
    return {"median": median, "low": 0.9 * median, "high": 1.2 * median, "calls": 9, "stable": stable}


FIGURES = {
    "model": "Net",
    "dtype": "float32",
    "target": "native",
    "cpu": "Test CPU (x86-64-v4)",
    "artifacts_sha256": {"latency": "0" * 64, "throughput": "1" * 64},
    "calls": {
        "16": {"latency": times(2e-5), "throughput": times(3e-5)},
        "1": {"latency": times(1e-5), "throughput": times(7e-5, stable=False)},
        "4096": {"latency": times(2e-3), "throughput": times(1e-3, stable=False)},
    },
    "shard_rows": 4096,
    "shard": {
        "0": {"latency": times(3e-3), "throughput": times(1e-3)},
        "64": {"latency": times(2e-3), "throughput": times(4e-3)},
    },
    "recommended": {
        "1": {"profile": "latency"},
        "16": {"profile": "latency"},
        "4096": {"profile": "throughput"},
        "shard": {"profile": "throughput", "chunk": 0},
    },
}


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw figures; return the texts of the picture, and the panels."""

    def draw(figures):
        path = tmp_path / "figures.json"
        path.write_text(json.dumps(figures))
        kept = []
        import soaflow.report.profiles as module  # noqa: PLC0415

        write = module._write_recommendation

        def keep(axes, document):
            write(axes, document)
            kept.append(axes.figure)

        monkeypatch.setattr(module, "_write_recommendation", keep)
        plot_profiles(path, tmp_path / "plot.svg")
        (figure,) = kept
        return figure.axes

    return draw


def test_what_is_recommended_is_written_with_its_time_and_the_next_best(drawn, tmp_path):
    left, middle, right = drawn(FIGURES)
    texts = [text.get_text() for text in right.texts]
    rows = [texts[place : place + 4] for place in range(0, 20, 4)]
    assert rows == [
        ["rows of a call", "profile", "time", "next best"],
        ["1", "latency", "10 µs", "7.00 x"],
        ["16", "latency", "20 µs", "1.50 x"],
        ["4096", "throughput", "1 ms *", "2.00 x"],
        ["shard in one", "throughput", "1 ms", "3.00 x"],
    ]
    assert "* not stable: the rounds drift" in texts
    assert [label.get_text() for label in left.get_xticklabels()] == ["1", "16", "4096"]
    assert [label.get_text() for label in middle.get_xticklabels()] == ["64", "all"]
    assert (tmp_path / "plot.svg").stat().st_size


def test_the_lines_are_the_times(drawn):
    left, middle, _ = drawn(FIGURES)
    drawn_lines = [list(line.get_ydata()) for line in left.lines if len(line.get_xdata()) == 3]
    for expected in ([1.0, 1.0, 2.0], [7.0, 1.5, 1.0]):
        assert any(values == pytest.approx(expected) for values in drawn_lines)
    rates = {line.get_label(): list(line.get_ydata()) for line in middle.lines}
    assert rates["throughput"] == pytest.approx([4096 / 4e-3 / 1e6, 4096 / 1e-3 / 1e6])


def test_a_stable_measurement_has_no_note(drawn):
    figures = copy.deepcopy(FIGURES)
    figures["calls"]["4096"]["throughput"]["stable"] = True
    *_, right = drawn(figures)
    assert not [text for text in right.texts if "stable" in text.get_text()]


@pytest.mark.parametrize("key", ["calls", "recommended", "shard_rows", "model"])
def test_other_files_are_refused(tmp_path, key):
    path = tmp_path / "figures.json"
    path.write_text(json.dumps({name: value for name, value in FIGURES.items() if name != key}))
    with pytest.raises(StorageError, match=r"figures\.json"):
        plot_profiles(path, tmp_path / "plot.svg")
    assert not (tmp_path / "plot.svg").exists()
