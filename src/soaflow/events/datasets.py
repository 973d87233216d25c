"""What a dataset is: its source, its size and the layouts of its collections.

The invariant: a dataset knows the layouts of its files without reading or generating an event, so
models can be checked against it when the workflow is planned. This module imports no NumPy.

>>> toy = ToyDataset("toy", seed=1, events=2000, shards=2, collections=("tracks", "hits"))
>>> {name: layout.names for name, layout in toy.layouts().items()}["hits"]
('x', 'y', 'z', 'track', 'event', 'scale')
>>> toy.layouts()["events"].names
('number', 'tracks_count', 'hits_count')
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from soaflow.errors import ConfigError, LayoutError
from soaflow.events.branches import NanoaodCollection, check_collection, collection_from_mapping
from soaflow.soa.layout import DEFAULT_ALIGNMENT, EVENT_ITEM, EVENTS_COLLECTION, Item, ItemKind, Layout

MOST_ROWS_POINTED_TO = 2**31 - 1
"""Of a collection whose rows an int32 item names: `events` by `event`, `tracks` by `track`."""

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
        if -(-self.events // self.shards) > MOST_ROWS_POINTED_TO:
            raise ConfigError(
                f"events is {self.events} in {self.shards} shards, and a shard holds at most "
                f"{MOST_ROWS_POINTED_TO} events: give more shards"
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
            check_collection(f"collections.{collection.name}", collection)
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
    name: str, entry: Mapping[str, Any], *, seed: int | None, alignment: int = DEFAULT_ALIGNMENT
) -> Dataset:
    """Make a dataset from its entry of the configuration, whose keys and types are already checked.

    Parameters
    ----------
    name
        Key of the entry.
    entry
        With `source`, and the keys of that source.
    seed
        Of what is drawn; may be None for a dataset that is read.
    alignment
        The configuration's alignment in bytes.

    Raises
    ------
    ConfigError
        If values do not fit one another; the sentence names the key within the entry.
    """
    if entry["source"] == ToyDataset.source:
        assert seed is not None
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
                collection_from_mapping(f"collections.{collection}", collection, members)
                for collection, members in entry["collections"].items()
            ),
            alignment=alignment,
        )
    raise ConfigError(f"source is {entry['source']!r}: choose toy or nanoaod")


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
