"""What a dataset is: its source, its size and the layouts of its collections.

The invariant: a dataset knows the layouts of its files without reading or generating an event, so
models can be checked against it when the workflow is planned. This module imports no NumPy.

>>> toy = ToyDataset("toy", seed=1, events=2000, shards=2, collections=("tracks", "hits"))
>>> {name: layout.names for name, layout in toy.layouts().items()}["hits"]
('x', 'y', 'z', 'track', 'event', 'scale')
>>> toy.layouts()["events"].names
('number', 'tracks_count', 'hits_count')
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from soaflow.errors import ConfigError, LayoutError
from soaflow.soa.layout import DEFAULT_ALIGNMENT, Item, ItemKind, Layout

EVENTS_COLLECTION = "events"
"""The collection with one row an event, which every file of events has."""

EVENT_ITEM = "event"
"""The last column of the jagged collections: row of the event in the same file, int32."""

MOST_EVENTS_A_SHARD = 2**31 - 1
"""What an int32 `event` item can point to."""

TOY_ITEMS: Mapping[str, tuple[Item, ...]] = {
    "particles": (
        Item("pt", "float32", unit="GeV"),
        Item("eta", "float32"),
        Item("phi", "float32", unit="rad"),
        Item("gen_pt", "float32", unit="GeV"),
        Item("particle_class", "int32"),
        Item("mask", "uint8", ItemKind.EIGEN, (3,)),
        Item(EVENT_ITEM, "int32"),
    ),
    "images": (
        Item("r", "float32", ItemKind.EIGEN, (9, 9), "GeV"),
        Item("g", "float32", ItemKind.EIGEN, (9, 9), "GeV"),
        Item("b", "float32", ItemKind.EIGEN, (9, 9), "GeV"),
        Item("image_class", "int32"),
        Item(EVENT_ITEM, "int32"),
    ),
    "tracks": (
        Item("pt", "float32", unit="GeV"),
        Item("eta", "float32"),
        Item("phi", "float32", unit="rad"),
        Item("gen_pt", "float32", unit="GeV"),
        Item("gen_pt_squashed", "float32"),
        Item(EVENT_ITEM, "int32"),
    ),
    "hits": (
        Item("x", "float32", unit="cm"),
        Item("y", "float32", unit="cm"),
        Item("z", "float32", unit="cm"),
        Item("track", "int32"),
        Item(EVENT_ITEM, "int32"),
        Item("scale", "float32", ItemKind.SCALAR, unit="1/cm"),
    ),
}
"""Items of each collection that the toy can generate."""

EVENT_IDENTITY: Mapping[str, tuple[str, Item]] = {
    "run": ("run", Item("run", "uint32")),
    "luminosity_block": ("luminosityBlock", Item("luminosity_block", "uint32")),
    "event": ("event", Item("event", "uint64")),
}
"""Branch and item of the three numbers by which CMS names an event."""


@dataclass(frozen=True, slots=True)
class ToyDataset:
    """Generated events.

    Parameters
    ----------
    name
        Of the dataset.
    seed
        Key of all random streams, from 0 to 2**64 - 1.
    events
        Number of events over all shards; 0 is valid.
    shards
        Number of files.
    collections
        Keys of `TOY_ITEMS`, in the order of the files; `hits` needs `tracks`.
    alignment
        Of the layouts, in bytes.

    Raises
    ------
    ConfigError
        If a field is out of its range or does not fit the others.
    """

    name: str
    seed: int
    events: int
    shards: int
    collections: tuple[str, ...]
    alignment: int = DEFAULT_ALIGNMENT

    source: ClassVar[str] = "toy"
    origin: ClassVar[str] = "soaflow's toy generator"

    def __post_init__(self) -> None:
        _check_shards(self.shards)
        if not 0 <= self.seed < 2**64:
            raise ConfigError(f"seed {self.seed} is out of range: give 0 to 2**64 - 1")
        if self.events < 0:
            raise ConfigError(f"events is {self.events}: give 0 or more")
        if -(-self.events // self.shards) > MOST_EVENTS_A_SHARD:
            raise ConfigError(
                f"events is {self.events} in {self.shards} shards, and a shard holds at most "
                f"{MOST_EVENTS_A_SHARD} events: give more shards"
            )
        for collection in self.collections:
            if collection not in TOY_ITEMS:
                raise ConfigError(
                    f"collections has '{collection}', which the toy does not generate: "
                    f"choose from {', '.join(TOY_ITEMS)}"
                )
            if self.collections.count(collection) > 1:
                raise ConfigError(f"collections names '{collection}' twice: name it once")
        if "hits" in self.collections and "tracks" not in self.collections:
            raise ConfigError("collections has 'hits' without 'tracks': add 'tracks'")
        _check_layouts(self)

    def layouts(self) -> dict[str, Layout]:
        """Return the layout of each collection, `events` first."""
        items = {EVENTS_COLLECTION: (Item("number", "int64"), *_count_items(self.collections))}
        items |= {collection: TOY_ITEMS[collection] for collection in self.collections}
        return {name: Layout(members, self.alignment) for name, members in items.items()}


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


@dataclass(frozen=True, slots=True)
class NanoaodDataset:
    """Events of ROOT files in the NanoAOD format.

    Parameters
    ----------
    name
        Of the dataset.
    shards
        Number of files to write; they share the entries evenly.
    files
        Paths of the ROOT files, whose entries follow one another.
    origin
        Where the files come from, for people.
    tree
        Name of the TTree.
    collections
        What to read, in the order of the files to write.
    alignment
        Of the layouts, in bytes.

    Raises
    ------
    ConfigError
        If a field is out of its range or does not fit the others.
    """

    name: str
    shards: int
    files: tuple[str, ...]
    origin: str
    tree: str
    collections: tuple[NanoaodCollection, ...]
    alignment: int = DEFAULT_ALIGNMENT

    source: ClassVar[str] = "nanoaod"

    def __post_init__(self) -> None:
        _check_shards(self.shards)
        if not self.files:
            raise ConfigError("files is empty: name at least one ROOT file")
        if twice := [file for file in self.files if self.files.count(file) > 1]:
            raise ConfigError(f"files names {twice[0]} twice: name it once")
        for collection in self.collections:
            if collection.name == EVENTS_COLLECTION:
                raise ConfigError("collections.events is made by soaflow: choose another name")
            _check_collection(f"collections.{collection.name}", collection)
        _check_layouts(self)

    def layouts(self) -> dict[str, Layout]:
        """Return the layout of each collection, `events` first."""
        names = [collection.name for collection in self.collections]
        identity = [item for _, item in EVENT_IDENTITY.values()]
        items = {EVENTS_COLLECTION: (*identity, *_count_items(names))}
        for collection in self.collections:
            members = [member.item for member in collection.items]
            items[collection.name] = (*members, Item(EVENT_ITEM, "int32"))
        return {name: Layout(members, self.alignment) for name, members in items.items()}


Dataset = ToyDataset | NanoaodDataset


def dataset_from_mapping(
    name: str, entry: Mapping[str, Any], *, seed: int, alignment: int = DEFAULT_ALIGNMENT
) -> Dataset:
    """Make a dataset from its entry of the configuration, whose keys and types are already checked.

    Parameters
    ----------
    name
        Key of the entry.
    entry
        With `source`, and the keys of that source.
    seed
        The configuration's seed.
    alignment
        The configuration's alignment in bytes.

    Raises
    ------
    ConfigError
        If values do not fit one another; the sentence names the key within the entry.
    """
    if entry["source"] == ToyDataset.source:
        collections = tuple(entry["collections"])
        return ToyDataset(name, seed, entry["events"], entry.get("shards", 1), collections, alignment)
    if entry["source"] == NanoaodDataset.source:
        return NanoaodDataset(
            name=name,
            shards=entry.get("shards", 1),
            files=tuple(entry["files"]),
            origin=entry["origin"],
            tree=entry.get("tree", "Events"),
            collections=tuple(
                _collection_from_mapping(f"collections.{collection}", collection, members)
                for collection, members in entry["collections"].items()
            ),
            alignment=alignment,
        )
    raise ConfigError(f"source is {entry['source']!r}: choose toy or nanoaod")


def _collection_from_mapping(key: str, name: str, entry: Mapping[str, Any]) -> NanoaodCollection:
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


def _count_items(collections: tuple[str, ...] | list[str]) -> list[Item]:
    return [Item(f"{collection}_count", "int32") for collection in collections]


def _check_shards(shards: int) -> None:
    if shards < 1:
        raise ConfigError(f"shards is {shards}: give 1 or more")


def _check_layouts(dataset: Dataset) -> None:
    try:
        dataset.layouts()
    except LayoutError as error:
        raise ConfigError(str(error)) from error


def _check_collection(key: str, collection: NanoaodCollection) -> None:
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
        struct.pack(_STRUCT_CODES.get(member.item.dtype, "?"), value)
    except (struct.error, OverflowError):
        fits = False
    if not fits:
        raise ConfigError(f"{label} has missing {member.missing}, which {member.item.dtype} cannot hold")
