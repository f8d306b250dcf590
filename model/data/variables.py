"""What a variable and a static are, and how a catalogue finds them by name or LOINC code.

The catalogue that the project ships stands in `model.data.catalogue`; an artifact carries its own
copy, because weights mean nothing without the channels that they were fitted on.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Float

from model.errors import UnknownVariableError


class Kind(StrEnum):
    """How a variable behaves between two entries."""

    LEVEL = "level"
    """Continuous, has a value at every time: heart rate, sodium."""
    AMOUNT = "amount"
    """Collected since the previous entry: urine. A value belongs to an entry, not to an instant."""
    STATE = "state"
    """Charted only while it holds: mechanical ventilation. Read as input, never estimated."""
    ORDINAL = "ordinal"
    """A score with ordered integer values: Glasgow coma scale."""


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A clinical quantity.

    `plausible_range` (canonical unit, inclusive) is used twice: a measured value outside it is
    dropped with a report line, and no answer ever leaves it. It is not a reference range for
    healthy people. `log_offset` is None for an untransformed variable, else the model sees
    log(value + log_offset). `resolution` is the step to which values are recorded, in the canonical
    unit: a recorded value stands for all values within half a step. It is None where records share
    no single step.
    """

    name: str
    description: str
    unit: str
    loinc: str
    plausible_range: tuple[float, float]
    range_source: str
    also_loinc: tuple[str, ...] = ()
    kind: Kind = Kind.LEVEL
    log_offset: float | None = None
    resolution: float | None = None

    def __post_init__(self) -> None:
        low, high = self.plausible_range
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(
                f"`plausible_range` of {self.name} must be finite and ordered, got {(low, high)}"
            )
        if self.log_offset is not None and low + self.log_offset <= 0:
            raise ValueError(
                f"`log_offset` of {self.name} must keep log(value + offset) finite over its range"
            )
        if self.resolution is not None and not 0 < self.resolution <= high - low:
            raise ValueError(
                f"`resolution` of {self.name} must be positive and no wider than the plausible "
                f"range, got {self.resolution}"
            )
        if self.kind is Kind.ORDINAL and self.resolution is None:
            raise ValueError(f"{self.name} is ordinal and needs a `resolution`, the score's step")

    @property
    def is_queryable(self) -> bool:
        """Whether the model gives estimates of it."""
        return self.kind is not Kind.STATE


@dataclass(frozen=True, kw_only=True)
class Static:
    """A descriptor of the subject that does not change during a series.

    `categories` is empty for a number; otherwise the stored value is the index of the category.
    """

    name: str
    description: str
    unit: str
    plausible_range: tuple[float, float]
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Catalogue:
    """Variables in channel order, and statics. The position of a variable is its channel.

    `untrained` are variables that the data name but that no model was trained on. They are no
    channels: nothing is answered of them, and their observations are not used.
    """

    variables: tuple[Variable, ...]
    statics: tuple[Static, ...]
    untrained: tuple[Variable, ...] = ()

    def __len__(self) -> int:
        return len(self.variables)

    def __iter__(self) -> Iterator[Variable]:
        return iter(self.variables)

    def __getitem__(self, channel: SupportsIndex) -> Variable:
        return self.variables[channel]

    @cached_property
    def channels(self) -> Mapping[str, int]:
        """Channel by name and by LOINC code, the first owner of a code winning."""
        found: dict[str, int] = {}
        for channel, variable in enumerate(self.variables):
            found[variable.name] = channel
        for channel, variable in enumerate(self.variables):
            for code in (variable.loinc, *variable.also_loinc):
                found.setdefault(code, channel)
        return found

    @cached_property
    def plausible_ranges(self) -> Float[np.ndarray, "bound channel"]:
        """The lowest and the highest plausible value of every channel."""
        return np.array([variable.plausible_range for variable in self.variables]).reshape(-1, 2).T

    @cached_property
    def static_positions(self) -> Mapping[str, int]:
        """Position of each static by name."""
        return {static.name: position for position, static in enumerate(self.statics)}

    def channel(self, name: str) -> int:
        """Return the channel of a variable given by name or LOINC code."""
        try:
            return self.channels[name]
        except KeyError:
            names = ", ".join(variable.name for variable in self.variables)
            raise UnknownVariableError(
                f"unknown variable; expected a name or LOINC code of one of: {names}"
            ) from None

    def find_untrained(self, name: str) -> Variable | None:
        """Return the variable that the data name so and no model was trained on, if there is one."""
        channel = self._not_trained.channels.get(name)
        return None if channel is None else self.untrained[channel]

    @cached_property
    def _not_trained(self) -> "Catalogue":
        return Catalogue(self.untrained, ())

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and dictionaries for `variables.json`."""
        return {
            "variables": [asdict(variable) for variable in self.variables],
            "statics": [asdict(static) for static in self.statics],
            "untrained": [asdict(variable) for variable in self.untrained],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Catalogue":
        """Read what `to_json` wrote."""
        variables, untrained = (
            tuple(
                Variable(
                    **{
                        **item,
                        "plausible_range": tuple(item["plausible_range"]),
                        "also_loinc": tuple(item["also_loinc"]),
                        "kind": Kind(item["kind"]),
                    }
                )
                for item in content[part]
            )
            for part in ("variables", "untrained")
        )
        statics = tuple(
            Static(
                **{
                    **item,
                    "plausible_range": tuple(item["plausible_range"]),
                    "categories": tuple(item["categories"]),
                }
            )
            for item in content["statics"]
        )
        return cls(variables, statics, untrained)
