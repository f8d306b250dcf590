"""What each pair of a name and a unit of the rows means in a catalogue; every pair is looked up once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.derived import once_per_catalogue
from model.data.reasons import Reason
from model.data.units import IDENTITY, Conversion, conversion, static_conversion
from model.data.variables import Catalogue, Static, Variable
from model.errors import UnitError
from model.records.glasgow import PARTS, total_channel
from model.records.labels import Labels

BIRTH = frozenset({"birth_date", "MEDS_BIRTH", "21112-8"})
"""Names of rows whose time is the birth of the subject."""

_MAX_KEPT: Final = 4096
"""More pairs than this are no data of one hospital; they are looked up every time."""
_MAX_COUNTED: Final = 1 << 20
"""With more possible keys than this, and than rows, sorting the keys is cheaper than a table of all."""


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

    @property
    def is_usable(self) -> bool:
        """Whether it is a variable or a static, in a unit that can be read."""
        return self.fault is Reason.KEPT and (self.channel >= 0 or self.static >= 0)


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
        distinct, first_rows, owners = _distinct(keys, (len(names.names) + 1) * width)
        known_names, known_units = ("", *names.names), ("", *units.names)
        book = _book(catalogue)
        found = []
        for key in distinct.tolist():
            pair = known_names[key // width], known_units[key % width]
            meaning = book.get(pair) or _meaning(*pair, catalogue)
            if meaning.is_usable and len(book) < _MAX_KEPT:
                book[pair] = meaning
            found.append(meaning)
        return cls(tuple(found), owners, first_rows)

    def reading(self, units: Mapping[int, str], catalogue: Catalogue) -> "Meanings":
        """Return the same with some pairs, by position, read in another unit.

        Raises
        ------
        UnitError
            If the variable has no conversion from it.
        """
        if not units:
            return self
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
    def is_observation(self) -> Bool[np.ndarray, " row"]:
        """Whether each row is of a variable that can be used, or of a part of one."""
        return self._of_rows([one.channel >= 0 or one.part >= 0 for one in self.found], bool)

    @cached_property
    def has_parts(self) -> bool:
        """Whether a row is a part of the coma scale."""
        return any(one.part >= 0 for one in self.found)

    @cached_property
    def has_births(self) -> bool:
        """Whether the time of a row is the subject's birth."""
        return any(one.is_birth for one in self.found)

    @cached_property
    def statics(self) -> Int[np.ndarray, " row"]:
        """Position of each row's static, -1 where it is none."""
        return self._of_rows([one.static for one in self.found], np.int64)

    @cached_property
    def parts(self) -> Int[np.ndarray, " row"]:
        """Part of the coma scale of each row, -1 where it is none."""
        return self._of_rows([one.part for one in self.found], np.int64)

    @cached_property
    def is_birth(self) -> Bool[np.ndarray, " row"]:
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


@once_per_catalogue
def _book(catalogue: Catalogue) -> dict[tuple[str, str], Meaning]:
    """Hold the pairs that were looked up and can be used; most requests bring the same."""
    del catalogue
    return {}


def _distinct(
    keys: Int[np.ndarray, " row"], num_keys: int
) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"], Int[np.ndarray, " row"]]:
    """Return the keys that occur, in order, the first row of each, and which of them each row has."""
    if num_keys > max(_MAX_COUNTED, len(keys)):
        return np.unique(keys, return_index=True, return_inverse=True)
    first_rows = np.full(num_keys, -1)
    # Of several rows the last one that is written stays.
    first_rows[keys[::-1]] = np.arange(len(keys) - 1, -1, -1)
    distinct = np.flatnonzero(first_rows >= 0)
    places = np.empty(num_keys, dtype=np.int64)
    places[distinct] = np.arange(len(distinct))
    return distinct, first_rows[distinct], places[keys]


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
