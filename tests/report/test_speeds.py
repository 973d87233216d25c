"""What a measurement of speed says, and its pictures."""

import json
import math

import pytest

from soaflow.errors import StorageError
from soaflow.report import latency, starts, throughput
from soaflow.report.latency import plot_latency
from soaflow.report.speed_table import COLUMNS, write_speed_table
from soaflow.report.speeds import read_speeds
from soaflow.report.starts import plot_starts
from soaflow.report.throughput import plot_throughput
from soaflow.timing import CALL_QUANTILES, Times, Window

MACHINE = {"cpu": "Test CPU", "cores": 2, "virtual": False}
LOAD = {"others_cores": 0.0, "stolen_seconds": 0.0, "wall_seconds": 1.0}
PARTS = ["interpreter", "imports", "events", "model", "first call", "second call", "third call"]


def times(seconds, *, stable=True, noise=0.01, calls=400, slowest=9.0):
    windows = tuple(
        Window(calls // 4, seconds * factor, seconds * factor) for factor in (1, 1 + noise, 1, 1 - noise)
    )
    quantiles = [seconds * (slowest if share >= 0.99 else 1 + share / 10) for share in CALL_QUANTILES]
    return Times(windows, tuple(quantiles), 3, True, stable).to_mapping()


@pytest.fixture
def measured(tmp_path):
    """Write a measurement: seconds, or what `times` returned, by rows and then by variant."""

    def write(by_rows, names=None, on_gpu=(), energy=None):
        path = tmp_path / "speed.json"
        entries = [
            {
                "rows": rows,
                "energy": (energy or {}).get(rows, {}),
                "times": {n: s if isinstance(s, dict) else times(s) for n, s in entry.items()},
            }
            for rows, entry in by_rows.items()
        ]
        names = names or list(next(iter(by_rows.values())))
        variants = {name: {"device": "cuda" if name in on_gpu else "cpu"} for name in names}
        document = {
            "variants": variants,
            "model": "Net",
            "in_turn": names,
            "machine": MACHINE,
            "load": LOAD,
            "by_rows": entries,
        }
        path.write_text(json.dumps(document))
        return path

    return write


LINES = {1: {"a": 1.0, "b": 4.0}, 16: {"a": 2.0, "b": 4.0}, 256: {"a": 8.0, "b": 4.0}}
"""Seconds of a call: as fast as each other where one line crosses the other, at 64 rows."""


def test_a_crossover_is_where_the_lines_meet(measured):
    (crossing,) = read_speeds(measured(LINES)).crossovers()
    assert (crossing.before, crossing.after) == ("a", "b")
    assert crossing.rows == pytest.approx(64.0)


def test_noise_makes_no_crossover(measured):
    near = {1: {"a": 1.0, "b": 4.0}, 16: {"a": 2.02, "b": 2.0}, 256: {"a": 4.0, "b": 4.02}}
    assert read_speeds(measured(near)).crossovers() == []
    wide = LINES | {256: {"a": times(8.0, noise=0.9), "b": times(4.0)}}
    assert read_speeds(measured(wide)).crossovers() == []
    unstable = LINES | {256: {"a": times(8.0), "b": times(4.0, stable=False)}}
    assert read_speeds(measured(unstable)).crossovers() == []


def test_a_crossover_lies_between_the_sizes_where_the_lead_changes(measured):
    # At 16 rows nobody leads for sure, and the lines have met before.
    by_rows = {1: {"a": 1.0, "b": 2.0}, 16: {"a": 2.0, "b": 1.98}, 256: {"a": 8.0, "b": 4.0}}
    (crossing,) = read_speeds(measured(by_rows)).crossovers()
    assert 1 < crossing.rows < 16


def test_two_variants_may_overtake_one_another_below_the_fastest(measured):
    by_rows = {rows: entry | {"fastest": 0.1} for rows, entry in LINES.items()}
    speeds = read_speeds(measured(by_rows))
    assert speeds.crossovers() == []
    assert [one.rows for one in speeds.overtakings("a", "b")] == pytest.approx([64.0])


def test_what_is_unstable_is_named(measured):
    by_rows = LINES | {256: {"a": times(8.0, stable=False), "b": times(4.0)}}
    assert read_speeds(measured(by_rows)).notes.splitlines() == [
        "Test CPU; other work kept 0.0 of 2 cores busy",
        "hollow, unstable: a at 256 rows",
    ]
    every = {rows: {"a": times(1.0, stable=False), "b": 1.0} for rows in LINES}
    assert read_speeds(measured(every)).notes.endswith("unstable: a at all rows")


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draw, twice to the same bytes, and return the figure."""

    def draw(module, plot, path, **options):
        figures = []
        picture = module.picture

        def kept(*arguments):
            context = picture(*arguments)
            enter = context.__enter__

            class Kept:
                def __enter__(self):
                    figures.append(enter())
                    return figures[-1]

                def __exit__(self, *error):
                    return context.__exit__(*error)

            return Kept()

        monkeypatch.setattr(module, "picture", kept)
        for name in ("one.svg", "two.svg"):
            plot(path, tmp_path / name, **options)
        monkeypatch.undo()
        assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
        return figures[-1]

    return draw


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def line(axes, name):
    return next(list(one.get_ydata()) for one in axes.lines if one.get_label() == name)


def test_throughput_and_ratio_are_of_the_times(measured, drawn):
    figure = drawn(throughput, plot_throughput, measured(LINES), base="b")
    above, below = figure.axes
    assert line(above, "a") == pytest.approx([1.0, 8.0, 32.0])
    assert line(below, "a") == pytest.approx([4.0, 2.0, 0.5])
    assert line(below, "b") == [1.0] * 3
    assert below.get_ylabel() == "speed relative to b"
    assert "from 64 rows\nb is the fastest" in texts(figure)


def test_an_unstable_point_is_hollow_and_named(measured, drawn):
    path = measured(LINES | {16: {"a": times(2.0, stable=False), "b": times(4.0)}})
    for module, plot, options in ((throughput, plot_throughput, {"base": "b"}), (latency, plot_latency, {})):
        figure = drawn(module, plot, path, **options)
        hollow = [one for axes in figure.axes for one in axes.lines if one.get_markerfacecolor() == "white"]
        assert {float(one.get_xdata()[0]) for one in hollow} == {16.0}
        assert "unstable: a at 16 rows" in figure.get_supxlabel()


def test_rare_slow_calls_are_drawn_where_enough_were_timed(measured, drawn):
    path = measured({1: {"a": times(1.0, slowest=50.0)}, 16: {"a": times(2.0, calls=4)}})
    (panel,) = drawn(latency, plot_latency, path).axes
    (rare,) = [one for one in panel.lines if one.get_marker() == "x"]
    assert list(rare.get_ydata()) == pytest.approx([50.0, math.nan], nan_ok=True)


def test_events_without_rows_are_said(measured, drawn):
    path = measured({}, names=["a", "b"])
    assert "no rows" in texts(drawn(throughput, plot_throughput, path, base="a"))
    assert "no rows" in texts(drawn(latency, plot_latency, path))


def start(seconds, **changes):
    return {
        "seconds": dict(zip(PARTS, seconds, strict=True)),
        "memory": {"third call": {"own_bytes": 100 << 20, "file_bytes": 50 << 20}},
        "peak_resident_bytes": 170 << 20,
        "rows": 64,
        "major_faults": 0,
        "cached": {"model": 1.0, "torch": 0.5},
    } | changes


@pytest.fixture
def started(tmp_path):
    def write(by_variant):
        path = tmp_path / "starts.json"
        document = {"model": "Net", "in_turn": list(by_variant), "parts": PARTS, "starts": by_variant}
        path.write_text(json.dumps(document | {"machine": MACHINE, "load": LOAD}))
        return path

    return write


def test_the_parts_of_a_start_are_stacked(started, drawn):
    some = [start([0.1, 2.0, 0.1, 0.3, 0.5, 0.01, 0.001]), start([0.1, 3.0, 0.1, 0.3, 0.5, 0.01, 0.001])]
    figure = drawn(starts, plot_starts, started({"jit": some, "aot": some[:1]}))
    parts, calls, memory = figure.axes
    widths = [bar.get_width() for bar in parts.containers[1]]
    assert [label.get_text() for label in parts.get_legend().get_texts()] == PARTS[:5]
    assert widths == [2.5, 2.0]
    assert parts.patches[-2].get_x() + parts.patches[-2].get_width() == pytest.approx(3.5)
    assert "  3.5 s" in texts(figure)
    assert min(
        float(one.get_xdata()[0]) for one in calls.lines if len(one.get_xdata()) == 1
    ) == pytest.approx(1.0)
    assert "  170" in [text.get_text() for text in memory.texts]
    assert "no page read from disk" in figure.get_supxlabel()


def test_a_start_from_disk_is_said(started, drawn):
    cold = start([0.1, 2.0, 0.1, 0.3, 0.5, 0.01, 0.001], major_faults=12, cached={"model": 0.0, "torch": 0.0})
    figure = drawn(starts, plot_starts, started({"jit": [cold]}))
    assert "at most 12 pages of a start read from disk" in figure.get_supxlabel()


def test_no_starts_are_said(started, drawn):
    assert "no rows" in texts(drawn(starts, plot_starts, started({"jit": [], "aot": []})))


@pytest.mark.parametrize("key", ["model", "in_turn", "by_rows", "machine", "load"])
def test_other_files_are_refused(measured, tmp_path, key):
    path = measured(LINES)
    document = json.loads(path.read_text())
    del document[key]
    path.write_text(json.dumps(document))
    with pytest.raises(StorageError, match=r"speed\.json"):
        plot_throughput(path, tmp_path / "plot.svg", base="a")
    assert not (tmp_path / "plot.svg").exists()


def test_the_notes_say_from_how_many_rows_the_gpu_wins(measured):
    speeds = read_speeds(measured(LINES, on_gpu=["b"]))
    assert speeds.notes.splitlines()[1] == (
        "the GPU is faster than the CPU from about 64 rows a call, transfers included"
    )
    assert "from any number of rows" in read_speeds(measured({1: {"a": 2.0, "b": 1.0}}, on_gpu=["b"])).notes
    slower = read_speeds(measured({16: {"a": 1.0, "b": 2.0}}, on_gpu=["b"]))
    assert "the CPU is the faster one up to the 16 rows of a call" in slower.notes
    assert "GPU" not in read_speeds(measured(LINES)).notes


def test_the_table_has_time_and_energy_of_every_variant(measured, tmp_path):
    energy = {16: {"b": {"calls": 5, "seconds": 1.0, "cpu_joules": None, "gpu_joules": 160.0}}}
    write_speed_table(measured(LINES, on_gpu=["b"], energy=energy), tmp_path / "speed.tsv")
    head, *lines = (line.split("\t") for line in (tmp_path / "speed.tsv").read_text().splitlines())
    assert tuple(head) == COLUMNS
    assert lines[3] == ["b", "cuda", "16", "4", "4", "1", "", "2"]
    assert lines[0] == ["a", "cpu", "1", "1", "1", "1", "", ""]
    assert len(lines) == 6
