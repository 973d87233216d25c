"""The learning curve's file: tab-separated, one row an epoch.

The columns are epoch (from 1), training_loss, validation_loss (empty without validation rows), best
(1 for the epoch whose weights were kept, else 0) and epochs (how many there are, so that a file that is cut
between two lines is seen). Without epochs there is one row, of epoch 0. A loss is written so that reading
gives it back.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from soaflow.errors import StorageError
from soaflow.files import replacing

COLUMNS = ("epoch", "training_loss", "validation_loss", "best", "epochs")


@dataclass(frozen=True, slots=True)
class Epoch:
    """One row of a learning curve.

    Parameters
    ----------
    epoch
        From 1.
    training_loss
        Mean over the training rows, each as its batch was trained on.
    validation_loss
        Mean over the validation rows after the epoch; None if there are none.
    best
        Whether the weights after this epoch were kept.
    """

    epoch: int
    training_loss: float
    validation_loss: float | None
    best: bool


def write_curve(path: Path | str, epochs: Sequence[Epoch]) -> None:
    """Write a learning curve, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in epochs:
            writer.writerow((row.epoch, row.training_loss, row.validation_loss, int(row.best), len(epochs)))
        if not epochs:
            writer.writerow((0, None, None, 0, 0))


def read_curve(path: Path | str) -> list[Epoch]:
    """Read a learning curve.

    Raises
    ------
    StorageError
        If the file is missing, is not a learning curve or has been cut.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        heading, *rows = csv.reader(text.splitlines(), delimiter="\t")
        counts = [int(count) for *_, count in rows]
        epochs = [
            Epoch(int(epoch), float(training), float(validation) if validation else None, best == "1")
            for epoch, training, validation, best, _ in rows
            if epoch != "0"
        ]
    except (OSError, ValueError, csv.Error) as error:
        raise StorageError(f"{path} cannot be read as a learning curve: {error}; train again") from error
    if tuple(heading) != COLUMNS:
        found = ", ".join(heading) or "none"
        raise StorageError(f"{path} cannot be read as a learning curve: its columns are {found}; train again")
    if not text.endswith("\n") or counts != [len(epochs)] * max(len(epochs), 1):
        raise StorageError(f"{path} cannot be read as a learning curve: it has been cut; train again")
    return epochs
