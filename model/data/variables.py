"""What a variable and a static are, and how a catalogue finds them by name, code or alias.

A catalogue belongs to the data: a dataset carries one, an artifact keeps its own copy, because
weights mean nothing without the channels that they were fitted on. The table that the project ships
is a default (`model.data.catalogue`).
"""

import math
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple, SupportsIndex

import numpy as np
from jaxtyping import Float, Int

from model.errors import UnknownVariableError

_LOINC = "LOINC//"
_SEPARATORS = re.compile(r"[\s_.\-]+")


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


class FieldFault(NamedTuple):
    """What is wrong with one field of a variable or static."""

    field: str
    expected: str


class InvalidFieldsError(ValueError):
    """Raised for a variable or static whose fields contradict each other; it lists all faults."""

    def __init__(self, name: str, faults: tuple[FieldFault, ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"`{field}` of {name} {rule}" for field, rule in faults))


class AgeRange(NamedTuple):
    """The plausible range of subjects aged `low_years` (inclusive) to `high_years` (exclusive)."""

    low_years: float
    high_years: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A clinical quantity.

    Attributes
    ----------
    unit
        The canonical unit, UCUM. All numbers below are in it.
    codes
        A bare code is LOINC (`8867-4`); one of another system is written `SYSTEM//code`.
    aliases
        Further names that tables use. `Catalogue.find` knows them.
    plausible_range
        Inclusive, in the canonical unit. It is used twice: a measured value outside it is dropped
        with a report line, and no answer ever leaves it. It is not a reference range for healthy
        people.
    log_offset
        None for an untransformed variable, else the model sees log(value + log_offset).
    resolution
        The step to which values are recorded: a recorded value stands for all values within half a
        step. None where records share no single step.
    molar_mass
        In g/mol. With it mass and substance concentrations convert.
    valence
        Charges of one molecule or ion. With it equivalents convert.
    conversions
        (unit, factor, offset) of units that no dimension explains: canonical = value * factor +
        offset. They win over what the dimension says.
    age_ranges
        Where the plausible range of adults is wrong; see `plausible_range_at`.
    typical
        Lower quartile, median and upper quartile of recorded values. Suspicion compares with them.
    """

    name: str
    unit: str
    plausible_range: tuple[float, float]
    description: str = ""
    codes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    range_source: str = ""
    kind: Kind = Kind.LEVEL
    log_offset: float | None = None
    resolution: float | None = None
    molar_mass: float | None = None
    valence: int | None = None
    conversions: tuple[tuple[str, float, float], ...] = ()
    age_ranges: tuple[AgeRange, ...] = ()
    typical: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        faults = (
            *_range_faults(self.plausible_range),
            *self._scale_faults(),
            *self._extra_faults(),
        )
        if faults:
            raise InvalidFieldsError(self.name, faults)

    def _scale_faults(self) -> Iterator[FieldFault]:
        low, high = self.widest_range
        if self.log_offset is not None and not low + self.log_offset > 0:
            yield FieldFault("log_offset", "must keep log(value + offset) finite over its range")
        if self.resolution is not None and not 0 < self.resolution <= high - low:
            yield FieldFault("resolution", "must be positive and no wider than the plausible range")
        if self.kind is Kind.ORDINAL and self.resolution is None:
            yield FieldFault("resolution", "must be given: the variable is ordinal")

    def _extra_faults(self) -> Iterator[FieldFault]:
        if self.molar_mass is not None and not 0 < self.molar_mass < math.inf:
            yield FieldFault("molar_mass", "must be a positive number, in g/mol")
        if self.valence is not None and self.valence < 1:
            yield FieldFault("valence", "must be a whole number of charges, 1 or more")
        for _, factor, offset in self.conversions:
            if not (0 < factor < math.inf and math.isfinite(offset)):
                yield FieldFault("conversions", "must have a positive factor and a finite offset")
        yield from _age_faults(self.age_ranges)
        if self.typical is not None:
            low, median, high = self.typical
            if not self.plausible_range[0] <= low <= median <= high <= self.plausible_range[1]:
                yield FieldFault("typical", "must be ordered and inside the plausible range")

    @property
    def loinc(self) -> str:
        """The first LOINC code, or nothing."""
        return next((code for code in self.codes if "//" not in code), "")

    @property
    def is_queryable(self) -> bool:
        """Whether the model gives estimates of it."""
        return self.kind is not Kind.STATE

    @property
    def widest_range(self) -> tuple[float, float]:
        """The range that holds the plausible values of every age."""
        lows, highs = zip(
            self.plausible_range, *(band[2:] for band in self.age_ranges), strict=True
        )
        return min(lows), max(highs)

    def plausible_range_at(self, age_years: float | None) -> tuple[float, float]:
        """Return the plausible range of a subject of this age.

        A subject whose age is not known gets `plausible_range`, which is the adults'. The widest
        range would be kinder to newborns, but it lets an adult's mistyped weight of 3 kg pass in
        silence, while a value that is dropped is counted and named in the report.
        """
        return _range_at(self.plausible_range, self.age_ranges, age_years)


@dataclass(frozen=True, kw_only=True)
class Static:
    """A descriptor of the subject that does not change during a series.

    `categories` is empty for a number; otherwise the stored value is the index of the category.
    `category_aliases` holds, for each category, other words for it, such as `f` for `female`.
    """

    name: str
    unit: str
    plausible_range: tuple[float, float]
    description: str = ""
    categories: tuple[str, ...] = ()
    category_aliases: tuple[tuple[str, ...], ...] = ()
    codes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    age_ranges: tuple[AgeRange, ...] = ()

    def __post_init__(self) -> None:
        faults = [*_range_faults(self.plausible_range), *_age_faults(self.age_ranges)]
        if self.category_aliases and len(self.category_aliases) != len(self.categories):
            faults.append(FieldFault("category_aliases", "must have one entry for each category"))
        words = [folded(word) for word in self._words]
        if len(set(words)) != len(words):
            faults.append(FieldFault("categories", "must be distinct, also in their other words"))
        if faults:
            raise InvalidFieldsError(self.name, tuple(faults))

    @property
    def _words(self) -> tuple[str, ...]:
        return (*self.categories, *(word for words in self.category_aliases for word in words))

    def plausible_range_at(self, age_years: float | None) -> tuple[float, float]:
        """Return the plausible range of a subject of this age; adults' where it is not known."""
        return _range_at(self.plausible_range, self.age_ranges, age_years)

    def category(self, word: str) -> int | None:
        """Return the index of a category given by its name or another word for it, in any case."""
        return self._positions_of_words.get(folded(word))

    @cached_property
    def _positions_of_words(self) -> Mapping[str, int]:
        aliases = self.category_aliases or ((),) * len(self.categories)
        return {
            folded(word): position
            for position, (name, others) in enumerate(zip(self.categories, aliases, strict=True))
            for word in (name, *others)
        }


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
        """Channel by name and by code as it is written, the first owner of a code winning."""
        return _positions(self.variables)

    @cached_property
    def plausible_ranges(self) -> Float[np.ndarray, "bound channel"]:
        """The lowest and the highest plausible value of every channel."""
        return np.array([variable.plausible_range for variable in self.variables]).reshape(-1, 2).T

    @cached_property
    def oldest_banded_years(self) -> float:
        """The age from which every range is that of adults; minus infinity if it always is."""
        bands = (band for variable in self.variables for band in variable.age_ranges)
        return max((band.high_years for band in bands), default=-math.inf)

    @cached_property
    def kinds(self) -> Int[np.ndarray, " channel"]:
        """The kind of every channel, as its position in `Kind`."""
        positions = {kind: position for position, kind in enumerate(Kind)}
        return np.array([positions[one.kind] for one in self.variables], dtype=np.int8)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was derived: another process makes it anew, and functions do not travel."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def derived(self) -> dict[Any, Any]:
        """What other modules have made of this catalogue; see `model.data.derived`."""
        return {}

    def plausible_ranges_at(
        self, ages_years: Float[np.ndarray, " subject"]
    ) -> Float[np.ndarray, "bound subject channel"]:
        """Return the plausible ranges of subjects of these ages; NaN is an age not known."""
        ranges = np.repeat(self.plausible_ranges[:, None, :], len(ages_years), axis=1)
        for channel, variable in enumerate(self.variables):
            # The first band that holds an age wins, so it is written last.
            for band in reversed(variable.age_ranges):
                is_inside = (band.low_years <= ages_years) & (ages_years < band.high_years)
                ranges[:, is_inside, channel] = np.array([[band.low], [band.high]])
        return ranges

    @cached_property
    def static_positions(self) -> Mapping[str, int]:
        """Position of each static by name."""
        return {static.name: position for position, static in enumerate(self.statics)}

    @cached_property
    def _folded_channels(self) -> Mapping[str, int | None]:
        return _folded_positions(self.variables)

    @cached_property
    def _static_channels(self) -> Mapping[str, int]:
        return _positions(self.statics)

    @cached_property
    def _folded_statics(self) -> Mapping[str, int | None]:
        return _folded_positions(self.statics)

    def find(self, name: str) -> int | None:
        """Return the channel of a variable, or None.

        Tried in this order: the name; a code, LOINC with or without `LOINC//`; then names and
        aliases without regard to case, spaces, `_`, `-` and `.`, where only one variable answers.

        Examples
        --------
        >>> from model.data.catalogue import shipped_catalogue
        >>> catalogue = shipped_catalogue()
        >>> [catalogue[catalogue.find(name)].name for name in ("hr", "Heart Rate", "LOINC//8867-4")]
        ['HR', 'HR', 'HR']
        """
        found = self.channels.get(name.removeprefix(_LOINC))
        return self._folded_channels.get(folded(name)) if found is None else found

    def find_static(self, name: str) -> int | None:
        """Return the position of a static, or None; by the rules of `find`."""
        found = self._static_channels.get(name.removeprefix(_LOINC))
        return self._folded_statics.get(folded(name)) if found is None else found

    def channel(self, name: str) -> int:
        """Return the channel of a variable given by name, code or alias.

        Raises
        ------
        UnknownVariableError
            If no variable answers to it. The message names all variables.
        """
        found = self.find(name)
        if found is None:
            names = ", ".join(variable.name for variable in self.variables)
            raise UnknownVariableError(
                f"unknown variable; expected a name or LOINC code of one of: {names}"
            )
        return found

    def find_untrained(self, name: str) -> Variable | None:
        """Return the variable that the data name so and no model was trained on, if there is one."""
        channel = self._not_trained.find(name)
        return None if channel is None else self.untrained[channel]

    @cached_property
    def _not_trained(self) -> "Catalogue":
        return Catalogue(self.untrained, ())

    def select(self, names: Iterable[str]) -> "Catalogue":
        """Return a catalogue of these variables and statics, each in the order of `names`.

        Raises
        ------
        UnknownVariableError
            If a name is neither a variable nor a static.
        """
        variables, statics = [], []
        for name in names:
            position = self.find_static(name) if self.find(name) is None else None
            if position is None:
                variables.append(self.variables[self.channel(name)])
            else:
                statics.append(self.statics[position])
        return Catalogue(tuple(variables), tuple(statics))

    def only(self, names: Container[str]) -> "Catalogue":
        """Return a catalogue of the variables and statics of these names, in the order that they have."""
        return Catalogue(
            tuple(one for one in self.variables if one.name in names),
            tuple(one for one in self.statics if one.name in names),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and dictionaries for `variables.json`."""
        return {
            "variables": [asdict(variable) for variable in self.variables],
            "statics": [asdict(static) for static in self.statics],
            "untrained": [asdict(variable) for variable in self.untrained],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Catalogue":
        """Read what `to_json` wrote; a field that is absent has its default."""
        return cls(
            tuple(_variable_from_json(item) for item in content["variables"]),
            tuple(_static_from_json(item) for item in content["statics"]),
            tuple(_variable_from_json(item) for item in content.get("untrained", ())),
        )


def folded(name: str) -> str:
    """Return a name without regard to case and to the separators that tables put into names."""
    return _SEPARATORS.sub("", name.casefold())


def _range_faults(bounds: tuple[float, float]) -> Iterator[FieldFault]:
    low, high = bounds
    if not -math.inf < low < high < math.inf:
        yield FieldFault("plausible_range", f"must be finite and ordered, got {(low, high)}")


def _age_faults(bands: tuple[AgeRange, ...]) -> Iterator[FieldFault]:
    for band in bands:
        if not 0 <= band.low_years < band.high_years:
            yield FieldFault("age_ranges", "must have ordered ages, in years")
        if not -math.inf < band.low < band.high < math.inf:
            yield FieldFault("age_ranges", "must have ordered, finite ranges")


def _range_at(
    adult: tuple[float, float], bands: tuple[AgeRange, ...], age_years: float | None
) -> tuple[float, float]:
    if age_years is not None:
        for band in bands:
            if band.low_years <= age_years < band.high_years:
                return band.low, band.high
    return adult


def _positions(items: Iterable[Variable | Static]) -> dict[str, int]:
    items = tuple(items)
    found = {item.name: position for position, item in enumerate(items)}
    for position, item in enumerate(items):
        for code in item.codes:
            found.setdefault(code, position)
    return found


def _folded_positions(items: Iterable[Variable | Static]) -> dict[str, int | None]:
    """Position by folded name or alias; None where two answer to it, unless it is one's name."""
    items = tuple(items)
    names: dict[str, int | None] = {}
    others: dict[str, int | None] = {}
    for position, item in enumerate(items):
        key = folded(item.name)
        names[key] = None if key in names else position
        for key in {folded(alias) for alias in item.aliases}:
            others[key] = None if key in others else position
    return others | names


def _variable_from_json(item: Mapping[str, Any]) -> Variable:
    fields = dict(item)
    # Artifacts of the first schema name one LOINC code and the others beside it.
    first, others = fields.pop("loinc", ""), fields.pop("also_loinc", ())
    typical = fields.get("typical")
    fields |= {
        "plausible_range": tuple(item["plausible_range"]),
        "codes": tuple(item.get("codes", [code for code in (first, *others) if code])),
        "aliases": tuple(item.get("aliases", ())),
        "kind": Kind(item.get("kind", Kind.LEVEL)),
        "conversions": tuple(tuple(one) for one in item.get("conversions", ())),
        "age_ranges": tuple(AgeRange(*one) for one in item.get("age_ranges", ())),
        "typical": None if typical is None else tuple(typical),
    }
    return Variable(**fields)


def _static_from_json(item: Mapping[str, Any]) -> Static:
    lists = {name: tuple(item.get(name, ())) for name in ("categories", "codes", "aliases")}
    words = tuple(tuple(one) for one in item.get("category_aliases", ()))
    bands = tuple(AgeRange(*one) for one in item.get("age_ranges", ()))
    fields = {**item, **lists, "category_aliases": words, "age_ranges": bands}
    return Static(**fields | {"plausible_range": tuple(item["plausible_range"])})
