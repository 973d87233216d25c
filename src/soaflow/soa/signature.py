"""What a model is called with and what it returns, in terms of items.

A signature names, for each input tensor, the items it shows and which rows a call sees of them, and
for each output tensor the items of the prediction collection it fills. It is what the configuration
says of a model, what a passport carries, and all that a job needs to build the tensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from soaflow.errors import SoaflowError, TensorSpecError
from soaflow.soa.layout import Item, Layout
from soaflow.soa.views import check_tensor_items

PREDICTION_COLLECTION = "predictions"
"""Name of the one collection of a predictions file."""

BATCH_BEGIN_LAYOUT = Layout.of(Item("batch_begin", "int32"))
"""One row a batch: the first row of the batch. The job makes it; no events file holds it."""


class RowRange(StrEnum):
    """Which rows of its collection a call sees of an input."""

    SLICED = "sliced"
    WHOLE = "whole"
    BATCH_BEGIN = "batch_begin"


@dataclass(frozen=True, slots=True)
class TensorInput:
    """One input tensor.

    Parameters
    ----------
    name
        As the contract lists it.
    collection
        Of the events file; empty for `RowRange.BATCH_BEGIN`.
    layout
        Of that collection.
    items
        Adjacent items of the layout, of one dtype, kind and shape.
    rows
        A slice of the rows for each batch, all rows in each call, or the batch's first row.

    Raises
    ------
    TensorSpecError
        If the items cannot be one tensor.
    """

    name: str
    collection: str
    layout: Layout
    items: tuple[str, ...]
    rows: RowRange = RowRange.SLICED

    def __post_init__(self) -> None:
        check_tensor_items(self.layout, self.items)


@dataclass(frozen=True, slots=True)
class TensorOutput:
    """One output tensor: its name and the adjacent items of the output layout that it fills."""

    name: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """All inputs and outputs of a model, in the order of its call.

    Parameters
    ----------
    inputs
        At least one is sliced, and all sliced inputs come from one collection.
    outputs
        In the order the model returns them.
    output_layout
        Items of all outputs in order: the layout of the prediction collection.

    Raises
    ------
    TensorSpecError
        If the inputs or outputs do not fit together.
    """

    inputs: tuple[TensorInput, ...]
    outputs: tuple[TensorOutput, ...]
    output_layout: Layout

    def __post_init__(self) -> None:
        sliced = {spec.collection for spec in self.inputs if spec.rows is RowRange.SLICED}
        if len(sliced) != 1:
            found = ", ".join(sorted(sliced)) or "none"
            raise TensorSpecError(
                f"the sliced inputs come from {len(sliced)} collections ({found}): slice exactly one "
                "collection and give the others 'rows: whole'"
            )
        for names in ([spec.name for spec in self.inputs], [spec.name for spec in self.outputs]):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise TensorSpecError(f"two tensors are named '{twice[0]}': give each its own name")
        for output in self.outputs:
            check_tensor_items(self.output_layout, output.items)

    @property
    def sliced_collection(self) -> str:
        """Name of the collection whose rows the model predicts for."""
        return next(spec.collection for spec in self.inputs if spec.rows is RowRange.SLICED)

    @property
    def collections(self) -> tuple[str, ...]:
        """Names of the collections that the inputs need, without repetition."""
        return tuple(dict.fromkeys(spec.collection for spec in self.inputs if spec.collection))

    @property
    def has_floating_outputs(self) -> bool:
        """Whether all outputs are floating, so that a store can cut none of their values off."""
        return all(item.floating for item in self.output_layout.items)

    def computed_in(self, dtype: str) -> Self:
        """Return this signature as it is for a model that computes in a dtype: see `with_float64_outputs`."""
        return self.with_float64_outputs() if dtype == "float64" else self

    def with_float64_outputs(self) -> Self:
        """Return this signature with floating outputs stored as float64; other outputs stay as they are.

        What is computed in float64 is written in it, so that no rounding is stored as a result.

        >>> particles = TensorInput("particles", "particles", Layout.of(Item("pt", "float32")), ("pt",))
        >>> output = TensorOutput("energy", ("energy",))
        >>> signature = Signature((particles,), (output,), Layout.of(Item("energy", "float32", unit="GeV")))
        >>> signature.with_float64_outputs().output_layout["energy"].dtype
        'float64'
        """
        items = tuple(
            replace(item, dtype="float64") if item.floating else item for item in self.output_layout.items
        )
        return replace(self, output_layout=replace(self.output_layout, items=items))

    @classmethod
    def from_config(
        cls,
        inputs: list[dict[str, Any]],
        outputs: list[dict[str, Any]],
        layouts: Mapping[str, Layout],
        alignment: int,
    ) -> Self:
        """Make a signature from a model's configuration entries and the layouts of its dataset.

        Raises
        ------
        TensorSpecError, LayoutError
            If a collection or item is not there, or items cannot be one tensor.
        """
        items = [item for output in outputs for item in output["items"]]
        return cls(
            tuple(_input_from_config(entry, layouts) for entry in inputs),
            tuple(TensorOutput(o["name"], tuple(i["name"] for i in o["items"])) for o in outputs),
            Layout.from_mappings(items, alignment),
        )

    def to_mapping(self) -> dict[str, Any]:
        """Return the signature as plain JSON values, layouts included."""
        return {
            "alignment": self.output_layout.alignment,
            "inputs": [
                {
                    "name": spec.name,
                    "collection": spec.collection,
                    "items": list(spec.items),
                    "rows": spec.rows.value,
                    "layout": spec.layout.to_mappings(),
                    "layout_alignment": spec.layout.alignment,
                    "layout_sha256": spec.layout.digest(),
                }
                for spec in self.inputs
            ],
            "outputs": [{"name": spec.name, "items": list(spec.items)} for spec in self.outputs],
            "output_layout": self.output_layout.to_mappings(),
            "output_layout_sha256": self.output_layout.digest(),
        }

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any], source: object = "its passport") -> Self:
        """Make a signature from what `to_mapping` returned.

        Parameters
        ----------
        entry
            JSON values.
        source
            The file that holds them, named in errors.

        Raises
        ------
        TensorSpecError
            If a key is missing or of the wrong type, or items or layouts do not fit together.
        """
        try:
            return cls(
                tuple(
                    TensorInput(
                        _text(spec, "name"),
                        _text(spec, "collection"),
                        Layout.from_mappings(spec["layout"], spec["layout_alignment"]),
                        tuple(spec["items"]),
                        RowRange(spec["rows"]),
                    )
                    for spec in entry["inputs"]
                ),
                tuple(TensorOutput(_text(spec, "name"), tuple(spec["items"])) for spec in entry["outputs"]),
                Layout.from_mappings(entry["output_layout"], entry["alignment"]),
            )
        except KeyError as error:
            reason = f"it has no key {error}"
        except (SoaflowError, TypeError, ValueError) as error:
            reason = str(error)
        raise TensorSpecError(f"the signature in {source} is damaged ({reason}): export the model again")


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry[key]
    if not isinstance(value, str):
        raise TypeError(f"key '{key}' is {value!r}, not a text")
    return value


def _input_from_config(entry: Mapping[str, Any], layouts: Mapping[str, Layout]) -> TensorInput:
    rows = RowRange(entry.get("rows", RowRange.SLICED))
    if rows is RowRange.BATCH_BEGIN:
        return TensorInput(entry["name"], "", BATCH_BEGIN_LAYOUT, BATCH_BEGIN_LAYOUT.names, rows)
    if missing := {"collection", "items"} - set(entry):
        raise TensorSpecError(
            f"input '{entry['name']}' has no key '{min(missing)}': "
            "only inputs with 'rows: batch_begin' need none"
        )
    collection = entry["collection"]
    if collection not in layouts:
        raise TensorSpecError(
            f"input '{entry['name']}' reads collection '{collection}', and the dataset has "
            f"{', '.join(layouts)}: name one of these"
        )
    return TensorInput(entry["name"], collection, layouts[collection], tuple(entry["items"]), rows)
