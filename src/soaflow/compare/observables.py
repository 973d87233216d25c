"""What a physicist takes from an output, as the configuration says it: `models.NAME.physics`.

An observable is a score with working points, a class (that of the largest score), or a regression. Which
figures it has is said by its kind and by whether there is a truth; how far each of them may shift is said
by its limits, which reach the judging only, so that changing one measures nothing again.

The module imports neither torch nor NumPy, because every job's start-up parses the configuration.

>>> layout = Layout.of(Item("b", "float32"), Item("c", "float32"))
>>> entry = {"name": "b_tag", "kind": "score", "output": "flavour", "element": [1],
...          "working_points": [{"name": "loose", "threshold": 0.2}]}
>>> observable = Observable.from_config(entry, TensorOutput("flavour", ("b", "c")), layout)
>>> observable.columns, observable.working_points[0].threshold
((Column(item='c', element=()),), 0.2)
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from soaflow.errors import ConfigError
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import Signature, TensorOutput
from soaflow.soa.views import plan_view


class ObservableKind(StrEnum):
    """What is made of an output."""

    SCORE = "score"
    CLASS = "class"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True)
class Column:
    """One value a row of an item: of the events or the predictions.

    Parameters
    ----------
    item
        Of the collection.
    element
        Index in the row's block; empty for a column.
    """

    item: str
    element: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkingPoint:
    """A threshold on a score: a row passes where `score >= threshold`, and a NaN never does.

    Parameters
    ----------
    name
        Such as `"loose"`.
    threshold
        In the unit of the output; finite.
    """

    name: str
    threshold: float


@dataclass(frozen=True, slots=True)
class Truth:
    """What each row truly is.

    Parameters
    ----------
    collection, item
        Of the events; a column.
    equals
        For a score: signal is where the item has this value; None where the item is 1 for signal and 0 for
        background.
    """

    collection: str
    item: str
    equals: int | None = None

    @property
    def described(self) -> str:
        """For people, such as `jets/hadron_flavour = 5`."""
        value = "" if self.equals is None else f" = {self.equals}"
        return f"{self.collection}/{self.item}{value}"


@dataclass(frozen=True, slots=True)
class Limits:
    """How far the figures of an observable may lie from those of the reference; None limits nothing.

    Parameters
    ----------
    flips
        Share of the rows that are decided differently.
    efficiency_shift
        Largest absolute shift of an efficiency: of all rows, of signal, of background, or of a class.
    auc_shift
        Largest absolute shift of the area under the ROC curve.
    resolution_shift, bias_shift
        Largest absolute shift of resolution and bias, which are relative to the truth.

    Raises
    ------
    ConfigError
        If a number is negative or not finite.
    """

    flips: float | None = None
    efficiency_shift: float | None = None
    auc_shift: float | None = None
    resolution_shift: float | None = None
    bias_shift: float | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"the tolerance {name} is {value}: give a number of 0 or more")


_OF_KIND = {
    ObservableKind.SCORE: ("flips", "efficiency_shift"),
    ObservableKind.CLASS: ("flips",),
    ObservableKind.REGRESSION: (),
}
_OF_TRUTH = {
    ObservableKind.SCORE: ("auc_shift",),
    ObservableKind.CLASS: ("efficiency_shift",),
    ObservableKind.REGRESSION: ("resolution_shift", "bias_shift"),
}


@dataclass(frozen=True, slots=True)
class Observable:
    """A score, class or regression that is taken from an output.

    Parameters
    ----------
    name
        Unique in its model.
    kind
        What is made of the columns.
    columns
        Of the predictions: one, or for a class one for each class.
    truth
        None where it is not known.
    working_points
        Of a score; at least one. Empty for the other kinds.

    Raises
    ------
    ConfigError
        If the parts do not fit the kind.
    """

    name: str
    kind: ObservableKind
    columns: tuple[Column, ...]
    truth: Truth | None
    working_points: tuple[WorkingPoint, ...]

    def __post_init__(self) -> None:
        if (self.kind is ObservableKind.SCORE) != bool(self.working_points):
            raise ConfigError(
                f"'{self.name}' is a {self.kind}: give working_points to a score, and to nothing else"
            )
        if self.kind is ObservableKind.REGRESSION and self.truth is None:
            raise ConfigError(f"'{self.name}' is a regression and has no truth: add one")
        if self.truth is not None and self.truth.equals is not None and self.kind is not ObservableKind.SCORE:
            raise ConfigError(f"'{self.name}' is a {self.kind}, whose truth has no key equals: remove it")
        names = [point.name for point in self.working_points]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"'{self.name}' has two working points '{twice[0]}': rename one")
        for point in self.working_points:
            if not math.isfinite(point.threshold):
                raise ConfigError(
                    f"'{self.name}': the threshold of working point '{point.name}' is {point.threshold}: "
                    "give a finite number"
                )

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of the limits that this observable has figures for."""
        return _OF_KIND[self.kind] + (_OF_TRUTH[self.kind] if self.truth else ())

    @classmethod
    def from_config(cls, entry: Mapping[str, Any], output: TensorOutput, layout: Layout) -> Self:
        """Make an observable from the configuration's entry.

        Parameters
        ----------
        entry
            `{name, kind, output, element, truth, working_points}`; the last three may be absent.
        output
            The output that it names.
        layout
            Of the predictions.

        Raises
        ------
        ConfigError
            If the element is not one of the output, or parts do not fit the kind.
        """
        kind, truth = ObservableKind(entry["kind"]), entry.get("truth")
        return cls(
            entry["name"],
            kind,
            _columns(entry, kind, output, layout),
            None if truth is None else Truth(truth["collection"], truth["item"], truth.get("equals")),
            tuple(WorkingPoint(p["name"], float(p["threshold"])) for p in entry.get("working_points", ())),
        )

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Make an observable from its fields as plain values, as `dataclasses.asdict` gives them."""
        truth = mapping["truth"]
        return cls(
            mapping["name"],
            ObservableKind(mapping["kind"]),
            tuple(Column(column["item"], tuple(column["element"])) for column in mapping["columns"]),
            None if truth is None else Truth(**truth),
            tuple(WorkingPoint(**point) for point in mapping["working_points"]),
        )


def _columns(
    entry: Mapping[str, Any], kind: ObservableKind, output: TensorOutput, layout: Layout
) -> tuple[Column, ...]:
    """Return where the values of a row stand in the predictions."""
    sizes = plan_view(layout.place(1), output.items).sizes[1:]
    given = entry.get("element")
    where = f"'{entry['name']}': output '{output.name}' has the shape {list(sizes)} a row"
    if kind is ObservableKind.CLASS:
        if given is not None or len(sizes) != 1 or sizes[0] < 2:
            raise ConfigError(f"{where}: a class needs an output of shape [classes], and no element")
        return tuple(_column(output, layout, (index,)) for index in range(sizes[0]))
    element = (0,) * len(sizes) if given is None and sizes == (1,) else tuple(given or ())
    inside = len(element) == len(sizes) and all(0 <= i < n for i, n in zip(element, sizes, strict=True))
    if not inside:
        raise ConfigError(f"{where}: give an element of {len(sizes)} numbers, each from 0 and inside of it")
    return (_column(output, layout, element),)


def _column(output: TensorOutput, layout: Layout, element: tuple[int, ...]) -> Column:
    """Return the item, and the index in its block, that an element of an output tensor is."""
    first = layout[output.items[0]]
    if first.kind is ItemKind.COLUMN:
        return Column(output.items[element[0]])
    if len(output.items) == 1:
        return Column(first.name, element)
    return Column(output.items[element[0]], element[1:])


def observables_of(
    entries: Sequence[Mapping[str, Any]], signature: Signature
) -> tuple[tuple[Observable, Limits], ...]:
    """Make the observables of a model and their limits from the configuration's list.

    Parameters
    ----------
    entries
        What `models.NAME.physics` holds.
    signature
        Of the model.

    Raises
    ------
    ConfigError
        If an output, element or true item is not there or of the wrong kind, a name stands twice, or there
        is a tolerance of a figure that the observable does not have.
    """
    outputs = {output.name: output for output in signature.outputs}
    made = []
    for entry in entries:
        name = entry["name"]
        if entry["output"] not in outputs:
            raise ConfigError(
                f"'{name}': the model has no output '{entry['output']}': choose one of {', '.join(outputs)}"
            )
        observable = Observable.from_config(entry, outputs[entry["output"]], signature.output_layout)
        if observable.truth is not None:
            _check_truth(observable, observable.truth, signature)
        limits = entry.get("tolerances", {})
        if strange := [key for key in limits if key not in observable.measured]:
            raise ConfigError(
                f"'{name}': there is a tolerance {strange[0]}, and this {observable.kind} "
                f"{'with' if observable.truth else 'without'} truth has {', '.join(observable.measured)}"
            )
        made.append((observable, Limits(**{key: float(value) for key, value in limits.items()})))
    names = [observable.name for observable, _ in made]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"two entries are named '{twice[0]}': rename one")
    return tuple(made)


def _check_truth(observable: Observable, truth: Truth, signature: Signature) -> None:
    where, predicted = f"'{observable.name}': the truth", signature.sliced_collection
    if truth.collection != predicted:
        raise ConfigError(
            f"{where} is in collection '{truth.collection}', and the model predicts for the rows of "
            f"'{predicted}': choose an item of that collection"
        )
    layout = next(spec.layout for spec in signature.inputs if spec.collection == predicted)
    if truth.item not in layout:
        raise ConfigError(
            f"{where}: there is no item '{truth.item}': collection '{predicted}' has "
            f"{', '.join(layout.names)}"
        )
    if fault := _misfit(observable.kind, layout[truth.item]):
        raise ConfigError(f"{where}: item '{truth.item}' is {fault}")


def _misfit(kind: ObservableKind, item: Item) -> str:
    if item.kind is not ItemKind.COLUMN:
        return f"of kind {item.kind}: choose a column"
    if kind is ObservableKind.CLASS and "int" not in item.dtype:
        return f"of {item.dtype}: the truth of a class is a column of integers"
    return ""
