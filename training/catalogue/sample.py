"""The values that a source holds under each name, in one unit, sorted by subject and time."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.reasons import Reason
from model.data.units import IDENTITY, Conversion, conversion
from model.data.variables import Catalogue, Variable, folded
from model.errors import UnitError
from model.records.clocks import on_line, time_faults
from model.records.labels import Labels
from model.records.meanings import Meaning, Meanings
from model.records.row_columns import RowColumns
from model.records.rows import TimeKind, meant_kind

LEAST_SUBJECTS = 5
"""Nothing is said about values that fewer subjects have."""
RARE = "(rare)"
"""Stands for units that fewer subjects have: such a text may be anything."""
_NO_UNIT = "1"


@dataclass(frozen=True)
class Moments:
    """Of every subject of the source: how many distinct times it has, and the first of them."""

    counts: Int[np.ndarray, " subject"]
    firsts: Float[np.ndarray, " subject"]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The rows of one variable or static, known or not, sorted by subject and time.

    `channel` and `static` are positions in the known catalogue, -1 where it is none. `names` are the
    names that the source uses, the most frequent first; `units` likewise, with their rows, empty
    text for none and `RARE` for what few subjects have. `unit` is the one that `values` are in;
    `unconverted` are units without a way to it, and their values are NaN, as those of words. `hours`
    is NaN where a row has no usable time; `is_timeless` says where it has none at all.
    """

    channel: int
    static: int
    names: tuple[str, ...]
    unit: str
    units: tuple[tuple[str, int], ...]
    unconverted: tuple[str, ...]
    is_converted: bool
    moments: Moments
    subjects: Int[np.ndarray, " row"]
    hours: Float[np.ndarray, " row"]
    is_timeless: Bool[np.ndarray, " row"]
    values: Float[np.ndarray, " row"]
    comparators: Int[np.ndarray, " row"]
    texts: Labels

    def __len__(self) -> int:
        return len(self.values)

    @property
    def name(self) -> str:
        """The most frequent name."""
        return self.names[0]

    @property
    def is_known(self) -> bool:
        """Whether the known catalogue has a variable or static of this name."""
        return self.channel >= 0 or self.static >= 0

    @property
    def is_number(self) -> Bool[np.ndarray, " row"]:
        """Where there is a number that can be used, measured or a limit."""
        return np.isfinite(self.values)

    @property
    def measured(self) -> Float[np.ndarray, " measured"]:
        """The values that were measured, limits left out."""
        return self.values[self.is_number & (self.comparators == 0)]

    @property
    def num_subjects(self) -> int:
        """Subjects with a value, be it a word."""
        has_value = self.is_number | (self.texts.codes >= 0)
        return len(np.unique(self.subjects[has_value]))

    @property
    def num_measured_subjects(self) -> int:
        """Subjects with a measured number."""
        return len(np.unique(self.subjects[self.is_number & (self.comparators == 0)]))

    @property
    def text_share(self) -> float:
        """Share of the values that are words and no number."""
        is_word = (self.texts.codes >= 0) & ~self.is_number
        return float(is_word.sum() / max(len(self), 1))

    @property
    def interval_hours(self) -> float | None:
        """The median time between two entries of a subject; None where hardly any has two."""
        is_timed = np.isfinite(self.hours)
        subjects, hours = self.subjects[is_timed], self.hours[is_timed]
        gaps = np.diff(hours)
        own = (np.diff(subjects) == 0) & (gaps > 0)
        if len(np.unique(subjects[1:][own])) < LEAST_SUBJECTS:
            return None
        return float(np.median(gaps[own]))

    def num_subjects_where(self, chosen: Bool[np.ndarray, " row"]) -> int:
        """Return how many subjects have such a row."""
        return len(np.unique(self.subjects[chosen]))


def samples_of(rows: RowColumns, known: Catalogue) -> Iterator[Sample]:
    """Sort the rows of a source by what they are about.

    Rows that name nothing, births, and parts of the coma scale that are only added up are no
    sample.

    Parameters
    ----------
    known
        Says which names are one variable, and in which unit its values are wanted.
    """
    meanings = Meanings.of(rows.names, rows.units, known)
    counts = meanings.counts.tolist()
    groups = _groups(meanings.found, counts, _carriers(meanings, rows), known)
    group_of_pair = np.full(len(meanings.found), -1)
    changes: list[Conversion | None] = [None] * len(meanings.found)
    for number, group in enumerate(groups):
        group_of_pair[list(group.pairs)] = number
        for pair in group.pairs:
            changes[pair] = group.change(meanings.found[pair])
    values = _converted(rows.numbers, meanings.owners, changes)
    hours = _hours(rows)
    moments = _moments(rows.subjects, hours, rows.num_subjects)
    group_of_row = group_of_pair[meanings.owners]
    order = np.lexsort((hours, rows.subjects, group_of_row))
    bounds = np.searchsorted(group_of_row[order], np.arange(len(groups) + 1))
    for number, group in enumerate(groups):
        chosen = order[bounds[number] : bounds[number + 1]]
        own = [changes[pair] for pair in group.pairs]
        yield Sample(
            channel=group.channel,
            static=group.static,
            names=group.names,
            unit=group.unit,
            units=group.units,
            unconverted=group.unconverted,
            is_converted=any(one not in (None, IDENTITY) for one in own),
            moments=moments,
            subjects=rows.subjects[chosen],
            hours=hours[chosen],
            is_timeless=rows.times.kinds[chosen] == TimeKind.MISSING,
            values=values[chosen],
            comparators=rows.comparators[chosen],
            texts=rows.texts.take(chosen),
        )


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Pairs of a name and a unit that are one variable; `target` gives its canonical unit."""

    channel: int
    static: int
    pairs: tuple[int, ...]
    names: tuple[str, ...]
    units: tuple[tuple[str, int], ...]
    target: Variable | None

    @property
    def unit(self) -> str:
        return "" if self.target is None else self.target.unit

    @property
    def unconverted(self) -> tuple[str, ...]:
        if self.target is None:
            return ()
        return tuple(
            unit for unit, _ in self.units if unit != RARE and _change(self.target, unit) is None
        )

    def change(self, meaning: Meaning) -> Conversion | None:
        """Return how values of one of the pairs come into the unit of all; None where they cannot."""
        if self.target is None:
            return meaning.conversion if meaning.fault is Reason.KEPT else None
        return _change(self.target, meaning.unit)


def _carriers(meanings: Meanings, rows: RowColumns) -> list[int]:
    """Return how many subjects have each pair."""
    width = max(rows.num_subjects, 1)
    pairs = np.unique(meanings.owners * width + rows.subjects) // width
    return np.bincount(pairs, minlength=len(meanings.found)).tolist()


def _groups(
    found: Sequence[Meaning], counts: Sequence[int], carriers: Sequence[int], known: Catalogue
) -> list[_Group]:
    members: dict[tuple[int, int, str], list[int]] = {}
    for pair, one in enumerate(found):
        is_variable = one.channel >= 0 or one.static >= 0
        if one.is_birth or (one.part >= 0 and not is_variable) or not one.name:
            continue
        key = (one.channel, one.static, "" if is_variable else folded(one.name))
        members.setdefault(key, []).append(pair)
    groups = []
    for (channel, static, _), pairs in members.items():
        names: Counter[str] = Counter()
        units: Counter[str] = Counter()
        for pair in pairs:
            names[found[pair].name] += counts[pair]
            is_rare = found[pair].unit and carriers[pair] < LEAST_SUBJECTS
            units[RARE if is_rare else found[pair].unit] += counts[pair]
        written = tuple(sorted(units.items(), key=lambda one: (-one[1], one[0])))
        spellings = tuple(sorted(names, key=lambda name: (-names[name], name)))
        target = None
        if channel >= 0:
            target = known[channel]
        elif static < 0:
            unit = next((unit for unit, _ in written if unit not in ("", RARE)), _NO_UNIT)
            target = Variable(name=spellings[0], unit=unit, plausible_range=(0.0, 1.0))
        groups.append(
            _Group(
                channel=channel,
                static=static,
                pairs=tuple(pairs),
                names=spellings,
                units=written,
                target=target,
            )
        )
    return groups


def _change(target: Variable, unit: str) -> Conversion | None:
    try:
        return conversion(target, unit or None)
    except UnitError:
        return None


def _converted(
    numbers: Float[np.ndarray, " row"],
    pairs: Int[np.ndarray, " row"],
    changes: Sequence[Conversion | None],
) -> Float[np.ndarray, " row"]:
    factors = np.array([np.nan if one is None else one.factor for one in changes])
    offsets = np.array([np.nan if one is None else one.offset for one in changes])
    with np.errstate(over="ignore", invalid="ignore"):
        return numbers * factors[pairs] + offsets[pairs]


def _hours(rows: RowColumns) -> Float[np.ndarray, " row"]:
    """Return all times on one line; NaN where there is none."""
    kind = meant_kind(np.bincount(rows.times.kinds, minlength=len(TimeKind)))
    is_timed = time_faults(rows.times, kind) == Reason.KEPT
    return np.where(is_timed, on_line(rows.times, kind), np.nan)


def _moments(
    subjects: Int[np.ndarray, " row"], hours: Float[np.ndarray, " row"], num_subjects: int
) -> Moments:
    is_timed = np.isfinite(hours)
    owners, times = subjects[is_timed], hours[is_timed]
    order = np.lexsort((times, owners))
    owners, times = owners[order], times[order]
    is_new = np.ones(len(times), dtype=bool)
    is_new[1:] = (np.diff(owners) != 0) | (np.diff(times) != 0)
    firsts = np.full(num_subjects, np.inf)
    np.minimum.at(firsts, owners, times)
    return Moments(np.bincount(owners[is_new], minlength=num_subjects), firsts)
