from pathlib import Path

import pytest

from soaflow.errors import StorageError
from soaflow.report.learning_curve import plot_learning_curve

HEADING = "epoch\ttraining_loss\tvalidation_loss\tbest\tepochs\n"


@pytest.mark.parametrize(
    "rows",
    [
        "0\t\t\t0\t0\n",
        "1\t3.5\t3.75\t1\t1\n",
        "1\t0.0\t\t1\t1\n",
        "1\t100\t90\t0\t3\n2\t10\t9\t1\t3\n3\t1\t12\t0\t3\n",
        "1\t-1.0\t-2.0\t0\t2\n2\t-1.5\t-2.5\t1\t2\n",
    ],
    ids=["no epochs", "one epoch", "no validation", "three epochs", "negative losses"],
)
def test_drawn_twice_with_equal_bytes(rows: str, tmp_path: Path) -> None:
    curve = tmp_path / "curve.tsv"
    curve.write_text(HEADING + rows)
    for name in ("one.svg", "two.svg"):
        plot_learning_curve(curve, tmp_path / name, model="Net")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_other_losses_give_another_picture(tmp_path: Path) -> None:
    curve = tmp_path / "curve.tsv"
    pictures = set()
    for loss in ("1.0", "2.0"):
        curve.write_text(f"{HEADING}1\t3.0\t3.0\t0\t2\n2\t2.5\t{loss}\t1\t2\n")
        plot_learning_curve(curve, tmp_path / "plot.svg", model="Net")
        pictures.add((tmp_path / "plot.svg").read_bytes())
    assert len(pictures) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("epoch\tloss\n1\t2\n", r"curve\.tsv has the columns epoch, loss, not epoch, training_loss"),
        ("", r"curve\.tsv has the columns none"),
        (HEADING + "one\t2\t3\t1\t1\n", r"one of .*curve\.tsv lacks a key or has a wrong value"),
        (HEADING + "1\ttwo\t3\t1\t1\n", r"one of .*curve\.tsv lacks a key or has a wrong value"),
        (HEADING + "1\t\t3\t1\t1\n", r"one of .*curve\.tsv lacks a key or has a wrong value"),
        (HEADING, r"curve\.tsv has been cut"),
        (HEADING + "1\t2\t3\t1\t2\n", r"curve\.tsv has been cut"),
        (HEADING + "1\n", r"curve\.tsv has another number of cells in line 2"),
    ],
)
def test_other_files_are_refused(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "curve.tsv").write_text(text)
    with pytest.raises(StorageError, match=sentence):
        plot_learning_curve(tmp_path / "curve.tsv", tmp_path / "plot.svg", model="Net")
    with pytest.raises(StorageError, match=r"none\.tsv cannot be read"):
        plot_learning_curve(tmp_path / "none.tsv", tmp_path / "plot.svg", model="Net")
    assert not (tmp_path / "plot.svg").exists()
