"""How far a row's prediction may depend on the rows beside it, as the runs themselves have measured it.

The invariant: what a run measured as the same bits in every batch is never said to depend on them. The
reference, of which nothing is measured, is said to depend on them as its model does when it is run eagerly,
by as much less as its numbers are finer.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from soaflow.files import read_json
from soaflow.infer.variants import REFERENCE, Backend
from soaflow.invariance import Invariance, read_invariance

Dependence = dict[tuple[str, str], float]
"""Largest absolute difference between batches, by predictions (`dataset/model.variant`) and item."""


def batch_dependence(results: Path | str) -> Dependence:
    """Read from a run's results which predictions depend on their batch, and how far.

    Variants that load one file and compute alike are measured as one, and what is found is said of all.

    Raises
    ------
    StorageError
        If a file of figures is damaged.
    """
    results = Path(results)
    proofs = {
        (path.parts[-3], path.name.removesuffix(".proof.json")): read_json(path)
        for path in results.glob("predictions/*/*/*.proof.json")
    }
    found: Dependence = {}
    for path in sorted(results.glob("invariance/*/*.json")):
        measured = read_invariance(path)
        proof = proofs.get((measured.dataset, f"{measured.model}.{measured.variant}"))
        for (dataset, name), other in proofs.items() if proof else ():
            if dataset == measured.dataset and _alike(measured.model, name, proof, other):
                for item, largest in _largest(measured):
                    key = (f"{dataset}/{name}", item)
                    found[key] = max(found.get(key, 0.0), largest * _finer(proof, other))
    return {key: largest for key, largest in found.items() if largest > 0}


def _alike(model: str, name: str, proof: Any, other: Any) -> bool:
    """Tell whether what was measured of one variant of a model holds for another: only batches differ."""
    if name == f"{model}.{REFERENCE.name}":
        return bool(proof["backend"] == Backend.EAGER)
    keys = ("model_sha256", "backend", "dtype", "device")
    return name.startswith(f"{model}.") and all(proof[key] == other[key] for key in keys)


def _finer(proof: Any, other: Any) -> float:
    """Return how much finer the numbers of another variant are than those of a variant."""
    if other["dtype"] == proof["dtype"]:
        return 1.0
    return float(np.finfo(other["dtype"]).eps / np.finfo(proof["dtype"]).eps)


def _largest(measured: Invariance) -> Iterable[tuple[str, float]]:
    for batches in measured.batches:
        for output in batches.outputs:
            yield output.item, output.sameness.largest_absolute
