"""The learning curve's file."""

import pytest

from soaflow.errors import OutputError, StorageError
from soaflow.train.curve import Epoch, read_curve, write_curve

CURVE = [Epoch(1, 0.1 + 0.2, 1 / 3, best=False), Epoch(2, 1e-300, None, best=True)]


def test_reading_gives_back_what_was_written(tmp_path) -> None:
    write_curve(tmp_path / "deep" / "curve.tsv", CURVE)
    assert read_curve(tmp_path / "deep" / "curve.tsv") == CURVE


def test_text(tmp_path) -> None:
    write_curve(tmp_path / "curve.tsv", [Epoch(1, 0.5, 0.25, best=True), Epoch(2, 0.5, None, best=False)])
    assert (tmp_path / "curve.tsv").read_bytes() == (
        b"epoch\ttraining_loss\tvalidation_loss\tbest\tepochs\n1\t0.5\t0.25\t1\t2\n2\t0.5\t\t0\t2\n"
    )


def test_no_epochs(tmp_path) -> None:
    write_curve(tmp_path / "curve.tsv", [])
    assert read_curve(tmp_path / "curve.tsv") == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "a\tb\n",
        "epoch\ttraining_loss\tvalidation_loss\tbest\n1\t1.5\t2.5\t1\n",
        "epoch\ttraining_loss\tvalidation_loss\tbest\tepochs\n1\t2\n",
        "epoch\ttraining_loss\tvalidation_loss\tbest\tepochs\n1\tx\t2\t0\t1\n",
        "epoch\ttraining_loss\tvalidation_loss\tbest\tepochs\n1\t1.5\t2.5\t0\tx\n",
    ],
)
def test_another_file_is_refused(tmp_path, text) -> None:
    (tmp_path / "curve.tsv").write_text(text)
    with pytest.raises(StorageError, match=r"curve\.tsv cannot be read as a learning curve"):
        read_curve(tmp_path / "curve.tsv")


@pytest.mark.parametrize("epochs", [CURVE, CURVE[:1], []])
def test_a_cut_at_any_byte_is_refused(tmp_path, epochs) -> None:
    write_curve(tmp_path / "whole.tsv", epochs)
    whole = (tmp_path / "whole.tsv").read_bytes()
    for size in range(len(whole)):
        (tmp_path / "curve.tsv").write_bytes(whole[:size])
        with pytest.raises(StorageError, match=r"curve\.tsv cannot be read as a learning curve"):
            read_curve(tmp_path / "curve.tsv")


def test_missing_file_and_unwritable_folder(tmp_path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        read_curve(tmp_path / "curve.tsv")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_curve(tmp_path / "file" / "curve.tsv", CURVE)
