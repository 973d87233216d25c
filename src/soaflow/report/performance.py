"""Throughput, memory and start-up of each variant of a model, from what its jobs measured.

Throughput on the CPU is of single batches: a dot for the median and a bar for the central 68 %. Where a job
kept only quantiles of its batches, the median over jobs of each quantile is shown. A last, short batch is
left out unless it is the only one. Throughput on a device, where rows cross beside the batches, and memory
and start-up are those of whole jobs: the median, and a bar from the least to the most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from soaflow.files import write_json
from soaflow.report.documents import described_by, read_documents
from soaflow.report.style import (
    FAINT,
    INK,
    colours,
    headline,
    nothing_to_show,
    picture,
    plain_log_axis,
    short_number,
)

Document = Mapping[str, Any]
_SHOWN = (0.16, 0.5, 0.84)
_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Range:
    """A middle value between a low and a high one."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True)
class VariantPerformance:
    """Figures of one variant over its jobs.

    Parameters
    ----------
    variant
        Its name.
    described
        Device, dtype and batch size, for people.
    jobs, rows
        How many jobs there were, and their rows.
    threads
        The most that one of the jobs had at a time.
    rows_per_second
        Of single batches, and on a device of whole jobs with their copies; None without rows.
    peak_resident_mebibytes
        Of the job's process, libraries included.
    seconds_to_first_result
        From the start of the process to the first written outputs; None without rows.
    """

    variant: str
    described: str
    jobs: int
    rows: int
    threads: int
    rows_per_second: Range | None
    peak_resident_mebibytes: Range
    seconds_to_first_result: Range | None


def measured(proofs: Sequence[Document]) -> list[VariantPerformance]:
    """Return the figures of each variant, in the order in which the variants first appear.

    Parameters
    ----------
    proofs
        Of all jobs of one model, as JSON gives them.
    """
    names = dict.fromkeys(str(proof["variant"]) for proof in proofs)
    return [_of_variant(name, [proof for proof in proofs if proof["variant"] == name]) for name in names]


def plot_performance(
    proofs: Sequence[Path | str], plot: Path | str, figures: Path | str | None = None, *, model: str
) -> None:
    """Draw throughput, peak memory and time to the first result by variant.

    Parameters
    ----------
    proofs
        JSON files beside the predictions of all jobs of the model; the variants are drawn in their order.
    plot
        The picture to write.
    figures
        JSON of the figures to write, if wanted: the fields of `VariantPerformance` by variant, a `Range`
        as `{low, middle, high}` or null.
    model
        Its name.

    Raises
    ------
    StorageError
        If a file is not a proof.
    OutputError
        If a file cannot be written.
    """
    documents = read_documents(proofs)
    with described_by(proofs):
        variants = measured(documents)
    with picture(plot, 13, 1.9 + 0.52 * max(2, len(variants))) as figure:
        throughput, memory, start = figure.subplots(1, 3, sharey=True)
        headline(throughput, model)
        headline(start, "", threads_of(variants))
        _draw(throughput, [v.rows_per_second for v in variants], "throughput [rows/s]", log=True)
        _draw(memory, [v.peak_resident_mebibytes for v in variants], "peak resident memory [MiB]")
        _draw(start, [v.seconds_to_first_result for v in variants], "start to first result [s]")
        for place, variant in enumerate(variants):
            _name_row(throughput, place, variant)
    if figures is not None:
        write_json(figures, {v.variant: _plain(v) for v in variants})


def _of_variant(name: str, proofs: Sequence[Document]) -> VariantPerformance:
    first = proofs[0]
    batch = f"batches of {first['batch_size']}" if first["batch_size"] else "whole shards"
    starts = [
        float(proof["seconds_to_first_result"])
        for proof in proofs
        if proof["seconds_to_first_result"] is not None
    ]
    memory = [proof["peak_resident_bytes"] / _MEBIBYTE for proof in proofs]
    return VariantPerformance(
        variant=name,
        described=f"{first['device']}, {first['dtype']}, {batch}",
        jobs=len(proofs),
        rows=sum(int(proof["rows"]) for proof in proofs),
        threads=max(int(proof["threads_seen"]) for proof in proofs),
        rows_per_second=_throughput([proof for proof in proofs if proof["batches"]]),
        peak_resident_mebibytes=_of_jobs(memory),
        seconds_to_first_result=_of_jobs(starts) if starts else None,
    )


def _name_row(axes: Axes, place: int, variant: VariantPerformance) -> None:
    """Write left of the frame a row's variant and, under it, what that is."""
    edge = axes.get_yaxis_transform()
    beside: dict[str, Any] = {"xycoords": edge, "textcoords": "offset points", "ha": "right"}
    axes.annotate(
        *(variant.variant, (0, place)), xytext=(-10, 1), va="bottom", size="small", weight="bold", **beside
    )
    axes.annotate(
        *(variant.described, (0, place)), xytext=(-10, -1), va="top", size="x-small", color=FAINT, **beside
    )


def threads_of(variants: Sequence[VariantPerformance]) -> str:
    """Say how many threads the jobs were seen to have, and of which variant if not all had one."""
    if not variants:
        return ""
    most = max(variants, key=lambda variant: variant.threads)
    if most.threads == 1:
        return "one thread seen in each job"
    return f"up to {most.threads} threads seen in a job of {most.variant}"


def _of_jobs(values: Sequence[float]) -> Range:
    return Range(min(values), float(np.median(values)), max(values))


def _throughput(proofs: Sequence[Document]) -> Range | None:
    if not proofs:
        return None
    if proofs[0]["device"] != "cpu":
        return _of_jobs([float(proof["rows_per_second"]) for proof in proofs])
    if all(proof["batch_seconds"] for proof in proofs):
        return Range(*np.quantile(np.concatenate([_batch_rates(proof) for proof in proofs]), _SHOWN).tolist())
    rates = []
    for proof in proofs:
        quantiles = dict(zip(proof["quantiles"], proof["batch_seconds_quantiles"], strict=True))
        # A slow batch is a low rate: the quantiles of rates are those of times, mirrored.
        rates.append([proof["batch_size"] / quantiles[shown] for shown in reversed(_SHOWN)])
    return Range(*np.median(rates, axis=0).tolist())


def _batch_rates(proof: Document) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return rows per second of each full batch, or of the only one."""
    rows = int(proof["rows"])
    size = min(int(proof["batch_size"]) or rows, rows)
    seconds = np.array(proof["batch_seconds"], float)
    rates: np.ndarray[Any, np.dtype[np.float64]] = size / np.maximum(seconds[: rows // size], 1e-9)
    return rates


def _draw(
    axes: Axes,
    ranges: Sequence[Range | None],
    label: str,
    *,
    log: bool = False,
) -> None:
    known = [found for found in ranges if found is not None]
    if not known:
        nothing_to_show(axes, "no rows")
        return
    low, high = min(found.low for found in known), max(found.high for found in known)
    places = range(len(ranges))
    for place, found, colour in zip(places, ranges, colours(len(ranges)), strict=True):
        axes.axhline(place, color=FAINT, linewidth=0.6, alpha=0.35, zorder=0)
        if found is None:
            axes.text(0.5, place, "no rows", transform=axes.get_yaxis_transform(), color=FAINT, ha="center")
            continue
        axes.hlines(place, found.low, found.high, color=colour, alpha=0.45, linewidth=9)
        axes.plot(found.middle, place, "o", color=colour, markersize=8)
        axes.annotate(
            *(
                f"{found.middle:.3g}" if found.middle < 1000 else short_number(found.middle),
                (found.middle, place),
            ),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            size="x-small",
            color=INK,
        )
    if log and high > 4 * low:
        axes.set_xscale("log")
        plain_log_axis(axes.xaxis)
        axes.xaxis.set_major_formatter(lambda value, _: short_number(value))
        axes.set_xlim(low / 1.7, high * 1.7)
    else:
        axes.set_xlim(0, high * 1.18 or 1.0)
        axes.xaxis.set_major_formatter(lambda value, _: short_number(value))
    axes.set_yticks([])
    axes.tick_params(axis="y", which="both", length=0)
    axes.set_ylim(len(ranges) - 0.4, -0.6)
    axes.set_xlabel(label)


def _plain(variant: VariantPerformance) -> dict[str, Any]:
    ranges = {
        name: getattr(variant, name)
        for name in ("rows_per_second", "peak_resident_mebibytes", "seconds_to_first_result")
    }
    return {
        "jobs": variant.jobs,
        "rows": variant.rows,
        "threads": variant.threads,
        "described": variant.described,
        **{
            name: None if found is None else {"low": found.low, "middle": found.middle, "high": found.high}
            for name, found in ranges.items()
        },
    }
