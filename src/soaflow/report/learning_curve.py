"""The loss of training and validation rows by epoch."""

from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from soaflow.errors import StorageError
from soaflow.report.documents import described_by, read_table
from soaflow.report.style import FAINT, PALETTE, headline, nothing_to_show, picture

COLUMNS = ("epoch", "training_loss", "validation_loss", "best", "epochs")


def plot_learning_curve(curve: Path | str, plot: Path | str, *, model: str) -> None:
    """Draw the learning curve of a model.

    Parameters
    ----------
    curve
        Tab-separated with the columns `COLUMNS`; an empty validation loss where there are no
        validation rows, one row of epoch 0 where there are no epochs, and in each row how many there are.
    plot
        The picture to write.
    model
        Its name.

    Raises
    ------
    StorageError
        If the curve cannot be read, or has been cut.
    OutputError
        If the picture cannot be written.
    """
    lines = read_table(curve, COLUMNS)
    rows = [line for line in lines if line["epoch"] != "0"]
    with described_by([curve]):
        whole = [int(line["epochs"]) for line in lines] == [len(rows)] * max(len(rows), 1)
        epochs = np.array([int(row["epoch"]) for row in rows])
        losses = {
            "training": np.array([float(row["training_loss"]) for row in rows]),
            "validation": np.array([float(row["validation_loss"] or "nan") for row in rows]),
        }
        best = [index for index, row in enumerate(rows) if row["best"] == "1"]
    if not whole:
        raise StorageError(f"{curve} has been cut: train again")
    with picture(plot, 7, 5) as figure:
        axes = figure.subplots()
        headline(axes, model, "learning curve")
        if not rows:
            nothing_to_show(axes, "no epochs: there were no rows to train on")
            return
        for (name, loss), colour, marker in zip(losses.items(), PALETTE, "os", strict=False):
            if np.isfinite(loss).any():
                axes.plot(epochs, loss, color=colour, marker=marker, markersize=4.5, label=f"{name} rows")
        if best:
            chosen = losses["validation" if np.isfinite(losses["validation"][best[0]]) else "training"][
                best[0]
            ]
            label = f"best: epoch {epochs[best[0]]}, loss {chosen:.4g}"
            axes.axvline(epochs[best[0]], color=FAINT, linestyle=":", linewidth=1.4, label=label)
        shown = np.concatenate(list(losses.values()))
        shown = shown[np.isfinite(shown)]
        if len(shown) and shown.min() > 0 and shown.max() > 5 * shown.min():
            axes.set_yscale("log")
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.xaxis.set_minor_locator(MaxNLocator(1))
        axes.set_xlabel("epoch")
        axes.set_ylabel("mean loss per row")
        axes.legend(loc="best")
