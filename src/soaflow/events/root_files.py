"""Reads branches of TTrees a chunk of entries at a time, and says in a sentence what is wrong with a file.

The invariant: one file is open at a time, and no more than `CHUNK_BYTES` of its values are in memory.
Values come as NumPy arrays: those of a jagged branch flattened, with the number of them in each entry.
"""

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import awkward as ak
import numpy as np
import numpy.typing as npt
import uproot

from soaflow.errors import EventSourceError, SoaflowError

CHUNK_BYTES = 16 * 2**20
"""Size of the values that are read at once, about; one entry at least."""

_NO_CACHES: Mapping[str, Any] = {"array_cache": None, "object_cache": None}


@dataclass(frozen=True, slots=True)
class BranchValues:
    """The values of one branch in a chunk of entries.

    Parameters
    ----------
    values
        `[values]`; those of a jagged branch one entry after another.
    counts
        int64 `[entries]`, the number of values in each entry.
    """

    values: npt.NDArray[Any]
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BranchType:
    """What a branch holds.

    Parameters
    ----------
    dtype
        Of its values.
    jagged
        An entry has any number of values; otherwise it has one.
    """

    dtype: np.dtype[Any]
    jagged: bool


class Tree:
    """One open TTree."""

    def __init__(self, path: str, tree: Any) -> None:
        self.path = path
        self._tree = tree
        self._names = frozenset(tree.keys())

    def __contains__(self, branch: object) -> bool:
        return branch in self._names

    def branch_type(self, branch: str) -> BranchType:
        """Return what a branch holds.

        Raises
        ------
        EventSourceError
            If there is no such branch, or its entries are neither numbers nor lists of numbers.
        """
        if branch not in self._names:
            near = difflib.get_close_matches(branch, sorted(self._names), n=3)
            hint = f"the nearest are {', '.join(near)}" if near else "and none of a similar name"
            raise EventSourceError(f"{self.path}: tree '{self._tree.name}' has no branch '{branch}': {hint}")
        with _reading(self.path):
            interpretation = self._tree[branch].interpretation
        jagged = isinstance(interpretation, uproot.AsJagged)
        content = interpretation.content if jagged else interpretation
        if not isinstance(content, uproot.AsDtype) or content.inner_shape:
            raise EventSourceError(
                f"{self.path}: branch '{branch}' holds {self._tree[branch].typename}: "
                "name a branch of numbers or of lists of numbers"
            )
        return BranchType(content.to_dtype.newbyteorder("="), jagged)

    def chunks(
        self, branches: Iterable[str], start: int, stop: int
    ) -> Iterator[tuple[range, dict[str, BranchValues]]]:
        """Read branches in chunks of entries.

        Parameters
        ----------
        branches
            Names of branches that `branch_type` accepts.
        start, stop
            First entry and the one after the last.

        Yields
        ------
        tuple
            The entries, and the values of each branch in them.

        Raises
        ------
        EventSourceError
            If the file is damaged.
        """
        wanted = frozenset(branches)
        if start >= stop or not wanted:
            # Nothing to read, but the entries still are there.
            yield from ((range(start, stop), {}),) if start < stop else ()
            return
        with _reading(self.path):
            step = self._tree.num_entries_for(CHUNK_BYTES, filter_name=wanted.__contains__)
            read = self._tree.iterate(
                filter_name=wanted.__contains__,
                step_size=max(step, 1),
                entry_start=start,
                entry_stop=stop,
                library="ak",
                how=dict,
            )
        begin = start
        while begin < stop:
            with _reading(self.path):
                arrays = next(read)
                values = {name: _branch_values(array) for name, array in arrays.items()}
            entries = len(next(iter(values.values())).counts)
            yield range(begin, begin + entries), values
            begin += entries


class Trees:
    """Opens the tree of one file after another, and keeps the last one open.

    A NanoAOD tree has thousands of branches, so opening it takes a second and 30 MB.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: Tree | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def entries(self, path: str) -> int:
        """Return a tree's number of entries, without reading its branches' descriptions.

        Raises
        ------
        EventSourceError
            If the file is missing, damaged or without the tree.
        """
        with _reading(path), uproot.open({path: None}, **_NO_CACHES) as file:
            self._check(path, file)
            _, _, entries = next(iter(uproot.num_entries({path: self._name})))
        return int(entries)

    def open(self, path: str) -> Tree:
        """Return the tree of a file.

        Raises
        ------
        EventSourceError
            If the file is missing, damaged or without the tree.
        """
        if self._open is None or self._open.path != path:
            self._stack.close()
            with _reading(path):
                file = self._stack.enter_context(uproot.open({path: None}, **_NO_CACHES))
                self._check(path, file)
                self._open = Tree(path, file[self._name])
        return self._open

    def _check(self, path: str, file: Any) -> None:
        size, expected = file.file.source.num_bytes, file.file.fEND
        if size < expected:
            raise EventSourceError(f"{path} is truncated, {size} of {expected} bytes: fetch it again")
        classes = file.classnames(cycle=False)
        if self._name not in classes:
            raise EventSourceError(
                f"{path} has no tree '{self._name}': it has {', '.join(classes) or 'nothing'}"
            )
        if classes[self._name] not in ("TTree", "TNtuple", "TNtupleD"):
            raise EventSourceError(
                f"{path}: '{self._name}' is a {classes[self._name]}, and soaflow reads a TTree: "
                "convert the file or name a tree"
            )


def _branch_values(array: ak.Array) -> BranchValues:
    if array.ndim == 1:
        return BranchValues(ak.to_numpy(array), np.ones(len(array), dtype=np.int64))
    return BranchValues(ak.to_numpy(ak.flatten(array)), ak.to_numpy(ak.num(array)).astype(np.int64))


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
    """Turn whatever uproot raises on a file into one sentence."""
    try:
        yield
    except SoaflowError:
        raise
    except FileNotFoundError as error:
        raise EventSourceError(f"{path} is not there: check the dataset's files") from error
    except PermissionError as error:
        raise EventSourceError(f"{path} cannot be read: permission denied") from error
    except Exception as error:
        # Uproot parses bytes without a common base error: a damaged file raises nearly anything.
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
        raise EventSourceError(
            f"{path} is damaged or not a ROOT file ({type(error).__name__}: {reason}): fetch it again"
        ) from error
