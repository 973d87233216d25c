"""Which branches of a ROOT file fill the items of a collection, and which rows are kept.

The invariant: a collection that `check_collection` accepts names each item once, cuts on its own
items only, and fills missing values with numbers that the item can hold. No NumPy is imported.

>>> pt = BranchItem(Item("pt", "float32"), "Jet_pt")
>>> gen_pt = BranchItem(Item("gen_pt", "float32"), "GenJet_pt", index="Jet_genJetIdx", missing=-1.0)
>>> [member.row_branch for member in (pt, gen_pt)]
['Jet_pt', 'Jet_genJetIdx']
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from soaflow.errors import ConfigError, LayoutError
from soaflow.soa.layout import EVENT_ITEM, Item

_STRUCT_CODES: Mapping[str, str] = {
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}


@dataclass(frozen=True, slots=True)
class BranchItem:
    """An item that a jagged branch fills.

    Parameters
    ----------
    item
        Name, dtype and unit.
    branch
        Name of the branch. Without `index` it has one value a row.
    index
        Name of a branch with one integer a row, which picks the row's value from `branch` in the same
        event; empty if there is none.
    missing
        Value where the index is below 0; None exactly when there is no index.
    """

    item: Item
    branch: str
    index: str = ""
    missing: float | None = None

    @property
    def row_branch(self) -> str:
        """The branch that has one value a row of the collection."""
        return self.index or self.branch


@dataclass(frozen=True, slots=True)
class Cut:
    """A condition that rows of a collection must meet: `minimum <= item <= maximum`.

    Parameters
    ----------
    item
        Name of an item of the collection.
    minimum, maximum
        The bounds, themselves accepted; None where there is no bound. NaN meets no condition.
    """

    item: str
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class NanoaodCollection:
    """One jagged collection of a ROOT file, flattened.

    Parameters
    ----------
    name
        Of the collection.
    items
        In the order of the layout, which ends with the item `event`.
    selection
        All of these must be met by a row that is kept.
    """

    name: str
    items: tuple[BranchItem, ...]
    selection: tuple[Cut, ...] = ()

    def item(self, name: str) -> BranchItem:
        """Return the item of that name, which must be there."""
        return next(item for item in self.items if item.item.name == name)


def collection_from_mapping(key: str, name: str, entry: Mapping[str, Any]) -> NanoaodCollection:
    """Make a collection from its entry of the configuration, whose keys and types are already checked.

    Raises
    ------
    ConfigError
        If an item is none; the sentence starts with `key`.
    """
    try:
        items = tuple(
            BranchItem(
                Item(item["name"], item["dtype"], unit=item.get("unit", "")),
                item["branch"],
                item.get("index", ""),
                item.get("missing"),
            )
            for item in entry["items"]
        )
    except LayoutError as error:
        raise ConfigError(f"{key}.items: {error}") from error
    cuts = (Cut(cut["item"], cut.get("minimum"), cut.get("maximum")) for cut in entry.get("selection", ()))
    return NanoaodCollection(name, items, tuple(cuts))


def check_collection(key: str, collection: NanoaodCollection) -> None:
    """Check that a collection's items and selection fit one another.

    Raises
    ------
    ConfigError
        If they do not; the sentence starts with `key`.
    """
    names = [member.item.name for member in collection.items]
    if not names:
        raise ConfigError(f"{key}.items is empty: give at least one item")
    if EVENT_ITEM in names:
        raise ConfigError(f"{key}.items has 'event', which soaflow adds itself: choose another name")
    for member in collection.items:
        _check_missing(f"{key}.items", member)
    for cut in collection.selection:
        if cut.item not in names:
            raise ConfigError(
                f"{key}.selection names item '{cut.item}', which is not in the collection: "
                f"choose from {', '.join(names)}"
            )
        if cut.minimum is None and cut.maximum is None:
            raise ConfigError(f"{key}.selection of '{cut.item}' has no bound: give minimum, maximum or both")
        if cut.minimum is not None and cut.maximum is not None and cut.minimum > cut.maximum:
            raise ConfigError(f"{key}.selection of '{cut.item}' has a minimum above its maximum")


def _check_missing(key: str, member: BranchItem) -> None:
    label = f"{key}: item '{member.item.name}'"
    if bool(member.index) != (member.missing is not None):
        raise ConfigError(f"{label} has only one of the keys index and missing: give both or neither")
    if member.missing is None:
        return
    whole = float(member.missing).is_integer()
    value = int(member.missing) if whole and "float" not in member.item.dtype else member.missing
    try:
        fits = value in (0, 1) if member.item.dtype == "bool" else True
        # The little-endian formats refuse what is out of range; the native one gives infinity.
        struct.pack("<" + _STRUCT_CODES.get(member.item.dtype, "?"), value)
    except (struct.error, OverflowError):
        fits = False
    if not fits:
        raise ConfigError(f"{label} has missing {member.missing}, which {member.item.dtype} cannot hold")
