"""What each pair of a name and a unit of the rows means in a catalogue; every pair is looked up once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from model.data.reasons import Reason
from model.data.units import IDENTITY, Conversion, conversion, static_conversion
from model.data.variables import Catalogue, Static, Variable
from model.errors import UnitError
from model.records.glasgow import PARTS, total_channel
from model.records.labels import Labels

BIRTH = frozenset({"birth_date", "MEDS_BIRTH", "21112-8"})
"""Names of rows whose time is the birth of the subject."""


@dataclass(frozen=True)
class Meaning:
    """A name in one unit. `channel` and `static` are -1 where it is none; `unit` is empty for none.

    `part` is 0, 1 or 2 for a part of the coma scale, where the catalogue has its total, else -1.

    `fault` is `Reason.KEPT` where the pair can be used.
    """

    name: str
    unit: str
    channel: int = -1
    static: int = -1
    part: int = -1
    is_birth: bool = False
    conversion: Conversion = IDENTITY
    fault: Reason = Reason.KEPT


@dataclass(frozen=True)
class Meanings:
    """The meanings that occur, and which of them each row has."""

    found: tuple[Meaning, ...]
    owners: Int[np.ndarray, " row"]
    first_rows: Int[np.ndarray, " pair"]
    """The first row of each pair."""

    @classmethod
    def of(
        cls,
        names: Labels,
        units: Labels,
        catalogue: Catalogue,
    ) -> "Meanings":
        """Look up every pair."""
        width = len(units.names) + 1
        keys = (names.codes + 1) * width + units.codes + 1
        distinct, first_rows, owners = np.unique(keys, return_index=True, return_inverse=True)
        known_names, known_units = ("", *names.names), ("", *units.names)
        found = []
        for key in distinct.tolist():
            name, unit = known_names[key // width], known_units[key % width]
            found.append(_meaning(name, unit, catalogue))
        return cls(tuple(found), owners, first_rows)

    def reading(self, units: Mapping[int, str], catalogue: Catalogue) -> "Meanings":
        """Return the same with some pairs, by position, read in another unit.

        Raises
        ------
        UnitError
            If the variable has no conversion from it.
        """
        found = list(self.found)
        for position, unit in units.items():
            change = conversion(catalogue[found[position].channel], unit)
            found[position] = replace(found[position], conversion=change, fault=Reason.KEPT)
        return Meanings(tuple(found), self.owners, self.first_rows)

    @cached_property
    def counts(self) -> Int[np.ndarray, " pair"]:
        """Number of rows of each pair."""
        return np.bincount(self.owners, minlength=len(self.found))

    @cached_property
    def channels(self) -> Int[np.ndarray, " row"]:
        """Channel of each row, -1 where it is no variable that can be used."""
        return self._of_rows([one.channel for one in self.found], np.int64)

    @cached_property
    def statics(self) -> Int[np.ndarray, " row"]:
        """Position of each row's static, -1 where it is none."""
        return self._of_rows([one.static for one in self.found], np.int64)

    @cached_property
    def parts(self) -> Int[np.ndarray, " row"]:
        """Part of the coma scale of each row, -1 where it is none."""
        return self._of_rows([one.part for one in self.found], np.int64)

    @cached_property
    def is_birth(self) -> np.ndarray:
        """Whether the time of each row is the subject's birth."""
        return self._of_rows([one.is_birth for one in self.found], bool)

    @cached_property
    def faults(self) -> Int[np.ndarray, " row"]:
        """`Reason` of each row's pair."""
        return self._of_rows([one.fault for one in self.found], np.int8)

    def convert(self, numbers: Float[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
        """Return the numbers in canonical units."""
        changes = [one.conversion for one in self.found]
        if all(one.is_identity for one in changes):
            return numbers
        factors = self._of_rows([one.factor for one in changes], float)
        offsets = self._of_rows([one.offset for one in changes], float)
        with np.errstate(over="ignore", invalid="ignore"):
            return numbers * factors + offsets

    def _of_rows(self, values: list, kind: type) -> np.ndarray:  # type: ignore[type-arg]
        return np.array(values, dtype=kind)[self.owners]


def _meaning(name: str, unit: str, catalogue: Catalogue) -> Meaning:
    channel = catalogue.find(name) if name else None
    if channel is not None:
        names = (name, *catalogue[channel].codes)
        meaning = Meaning(name, unit, channel=channel, part=_part(names, catalogue))
        return _converted(meaning, catalogue[channel])
    static = catalogue.find_static(name) if name else None
    if static is not None:
        return _converted(Meaning(name, unit, static=static), catalogue.statics[static])
    if name in BIRTH:
        return Meaning(name, unit, is_birth=True)
    part = _part((name,), catalogue)
    if part >= 0:
        return Meaning(name, unit, part=part)
    is_untrained = bool(name) and catalogue.find_untrained(name) is not None
    fault = Reason.VARIABLE_NOT_TRAINED if is_untrained else Reason.UNKNOWN_VARIABLE
    return Meaning(name, unit, fault=fault)


def _part(names: Iterable[str], catalogue: Catalogue) -> int:
    """Return the part of the coma scale that a variable is, by its name or by one of its codes."""
    found = (PARTS.get(name.removeprefix("LOINC//"), -1) for name in names)
    part = max(found, default=-1)
    return part if part >= 0 and total_channel(catalogue) is not None else -1


def _converted(meaning: Meaning, described: Variable | Static) -> Meaning:
    """Add the conversion, or the fault that there is none."""
    if not meaning.unit:
        return meaning
    try:
        if isinstance(described, Variable):
            change = conversion(described, meaning.unit)
        else:
            change = static_conversion(described, meaning.unit)
    except UnitError:
        return replace(meaning, fault=Reason.UNKNOWN_UNIT)
    return replace(meaning, conversion=change)
