"""Waivers: failures that are known and accepted, each with a reason and until a day.

The invariant: a waiver changes no figure and no outcome. It says that a run need not fail by what it
covers, until it expires; whoever reads the outcome reads its reason too.

>>> entry = {"model": "Net", "variant": "jit", "criterion": "tolerance", "reason": "known"}
>>> waiver = Waiver.from_mapping(entry | {"expires": "2027-01-31"})
>>> waiver.on(date(2027, 1, 31)).expired, waiver.on(date(2027, 2, 1)).expired
(False, True)
>>> waiver.covers("pt", "tolerance"), waiver.covers("pt", "not finite")
(True, False)
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, Self

from soaflow.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Waiver:
    """A failure that is accepted for some time.

    Parameters
    ----------
    model, variant
        Whose failure it is.
    dataset
        Where; everywhere if None.
    items
        Of which outputs; of all if there are none.
    criterion
        Name of the question that fails; every question if None.
    reason
        Why it is accepted.
    expires
        The last day on which it holds, as `YYYY-MM-DD`.
    expired
        Whether that day has passed, as of the day on which the configuration was read.
    """

    derived: ClassVar[tuple[str, ...]] = ("standing",)

    model: str
    variant: str
    dataset: str | None
    items: tuple[str, ...]
    criterion: str | None
    reason: str
    expires: str
    expired: bool = False

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any], items: Sequence[str] = ()) -> Self:
        """Make a waiver from the configuration's entry.

        Parameters
        ----------
        entry
            With `model`, `variant`, `reason` and `expires`, and perhaps `dataset`, `output` and `criterion`.
        items
            Of the entry's `output`.

        Raises
        ------
        ConfigError
            If the reason is empty or `expires` is not a day.
        """
        if not str(entry["reason"]).strip():
            raise ConfigError("the reason is empty: say why the failure is accepted")
        try:
            day = date.fromisoformat(entry["expires"])
        except ValueError as error:
            raise ConfigError(f"the expiry is '{entry['expires']}': give a day as YYYY-MM-DD") from error
        return cls(
            model=entry["model"],
            variant=entry["variant"],
            dataset=entry.get("dataset"),
            items=tuple(items),
            criterion=entry.get("criterion"),
            reason=entry["reason"],
            expires=day.isoformat(),
        )

    def on(self, today: date) -> Self:
        """Return the waiver as it is on a day."""
        return dataclasses.replace(self, expired=today > date.fromisoformat(self.expires))

    def concerns(self, dataset: str, model: str, variant: str) -> bool:
        """Whether the waiver is for this variant of a model on this dataset."""
        return (self.model, self.variant) == (model, variant) and self.dataset in (None, dataset)

    def covers(self, item: str, criterion: str) -> bool:
        """Whether the waiver is for this question of this output."""
        return (not self.items or item in self.items) and self.criterion in (None, criterion)

    @property
    def standing(self) -> str:
        """Reason and expiry, in a few words."""
        return f"{'waiver expired on' if self.expired else 'waived until'} {self.expires}: {self.reason}"

    @property
    def described(self) -> str:
        """What is waived, for messages."""
        where = "" if self.dataset is None else f" on {self.dataset}"
        outputs = f", output {', '.join(self.items)}" if self.items else ""
        question = "" if self.criterion is None else f", criterion '{self.criterion}'"
        return f"model {self.model}, variant {self.variant}{where}{outputs}{question}"
