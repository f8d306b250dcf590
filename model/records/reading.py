"""From rows to series: the one place that says which row is used, and why each other one is not.

The order: revisions, names and units, descriptors, times, values, suspicion, plausibility and
merging (`model.data.cleaning`), silences. A row has the first reason that holds. Nothing here raises
for a row, and nothing depends on the order of the rows or on other subjects, but for the kind of
time that most rows have and what is suspected of a whole column.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from model.data.cleaning import Drop, Observations, clean
from model.data.reasons import Reason, is_kept
from model.data.series import Cohort
from model.data.variables import Catalogue, Kind
from model.records.clocks import Clocks, on_line, time_faults
from model.records.glasgow import PartRows, Totals, add_up, total_channel, without_charted
from model.records.meanings import Meanings
from model.records.pieces import Pieces, aged, cut_at_silences
from model.records.remarks import Remark
from model.records.row_columns import RowColumns
from model.records.rows import TimeKind, meant_kind
from model.records.statics import (
    HOURS_PER_YEAR,
    StaticRows,
    age_position,
    read_statics,
)
from model.records.suspicion import Suspicion, suspect_units
from model.records.times import MICROSECONDS_PER_HOUR, Times
from model.records.unit_remarks import remarks_of

_NOT_TESTABLE = re.compile(
    r"\bett\b|intubat|trach|not testable|untestable|unable to|cannot be|\bnt\b", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class ReadingRules:
    """What a user adds to the catalogue.

    `accepted_units` are units by the name of a variable: its rows without a unit, or in a suspected
    one, are read in it. Where these rows are a part of a source, `time_kind` is the kind of time of
    the whole of it, and `suspected` the pairs of a name and a unit that are suspected in the whole.
    """

    accepted_units: Mapping[str, str] = field(default_factory=dict)
    time_kind: TimeKind | None = None
    suspected: frozenset[tuple[str, str]] | None = None


DEFAULT_RULES: Final = ReadingRules()


@dataclass(frozen=True)
class Records:
    """Series that are ready for a model, and an account of every row.

    `cohort` holds the pieces of every subject's record, in the order of subject and time;
    `piece_subjects` is the number of each piece's subject. `fates` is the `Reason` of every row,
    `channels` its channel (-1 for none), `static_positions` likewise.
    """

    cohort: Cohort
    clocks: Clocks
    piece_subjects: Int[np.ndarray, " piece"]
    fates: Int[np.ndarray, " row"]
    channels: Int[np.ndarray, " row"]
    static_positions: Int[np.ndarray, " row"]
    times: Times
    meanings: Meanings
    remarks: tuple[Remark, ...]

    def drops(self, catalogue: Catalogue) -> tuple[Drop, ...]:
        """Count the rows that were not used, by reason and variable (empty for no known one)."""
        names = ["", *(one.name for one in catalogue), *(one.name for one in catalogue.statics)]
        described = np.where(
            self.channels >= 0, self.channels + 1, self.static_positions + 1 + len(catalogue)
        )
        described[(self.channels < 0) & (self.static_positions < 0)] = 0
        keys = self.fates.astype(np.int64) * len(names) + described
        counts = np.bincount(keys)
        return tuple(
            Drop(Reason(key // len(names)).code, names[key % len(names)], int(counts[key]))
            for key in np.flatnonzero(counts).tolist()
            if key // len(names) != Reason.KEPT
        )

    @property
    def num_observations(self) -> int:
        """Observations that are left, after merging."""
        return len(self.cohort.values)


def read_records(
    rows: RowColumns,
    subject_ids: Iterable[str],
    catalogue: Catalogue,
    rules: ReadingRules = DEFAULT_RULES,
) -> Records:
    """Read the rows of some subjects.

    Parameters
    ----------
    subject_ids
        Identifier of each of `rows.num_subjects`.

    Raises
    ------
    UnitError
        If an accepted unit is none of its variable.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from model.data.catalogue import shipped_catalogue
    >>> from model.records.rows import row_batch
    >>> columns = {"subject_id": ["a"], "variable": ["HR"], "value": [92.0]}
    >>> columns |= {"hours": [0.5], "time_kind": [TimeKind.HOURS]}
    >>> batch = row_batch({name: pa.array(column) for name, column in columns.items()}).batch
    >>> found = read_records(RowColumns.of(batch, np.zeros(1, int), 1), ["a"], shipped_catalogue())
    >>> found.cohort.values.tolist()
    [92.0]
    """
    fates = np.zeros(len(rows), dtype=np.int8)
    if rows.revisions is not None:
        fates = rows.revisions.fates(rows.subjects)
        fates[rows.repeated() & is_kept(fates)] = Reason.DUPLICATE
    meanings = Meanings.of(rows.names, rows.units, catalogue)
    channels = meanings.channels
    _mark(fates, meanings.faults)
    kind = rules.time_kind or meant_kind(
        np.bincount(rows.times.kinds[channels >= 0], minlength=len(TimeKind))
    )
    is_observation = meanings.is_observation
    _mark(fates, time_faults(rows.times, kind) * is_observation)
    _mark_values(fates, rows, meanings, catalogue)
    origins, births = _origins(rows, fates, meanings, kind)
    born_ages = _born_ages(births, origins, kind)
    values = meanings.convert(rows.numbers)
    statics, static_rows = _statics(rows, meanings, values, fates, born_ages, catalogue)
    is_measured = (channels >= 0) & is_kept(fates) & (rows.comparators == 0)
    ranges = _ranges(rows.subjects, channels, statics, catalogue)
    suspicions = suspect_units(meanings, rows.numbers, is_measured, catalogue, ranges)
    meanings, accepted = _accept(meanings, suspicions, rules, catalogue)
    if accepted:
        values = meanings.convert(rows.numbers)
    for one in suspicions:
        if one.pair not in accepted:
            fates[one.rows] = Reason.UNIT_SUSPECTED
    hours = on_line(rows.times, kind) if kind is TimeKind.HOURS else _since(rows, origins)
    totals = _totals(rows, meanings, hours, values, fates, catalogue)
    chosen = np.flatnonzero((channels >= 0) & is_kept(fates))
    observations = _observations(rows, chosen, hours, channels, values, totals, catalogue)
    ranges = _ranges(observations.series_indices, observations.channels, statics, catalogue)
    cleaned = clean(observations, catalogue, ranges)
    fates[chosen] = cleaned.reasons[: len(chosen)]
    _mark_lone_descriptors(fates, rows, static_rows, cleaned.observations)
    cohort, clocks, pieces = _series(
        cleaned.observations, origins, kind, statics, tuple(subject_ids), catalogue
    )
    return Records(
        cohort,
        clocks,
        pieces.subjects,
        fates,
        channels,
        meanings.statics,
        rows.times,
        meanings,
        remarks_of(
            rows, meanings, fates, suspicions, accepted, cleaned.observations, kind, catalogue
        ),
    )


def _mark(fates: Int[np.ndarray, " row"], faults: Int[np.ndarray, " row"]) -> None:
    """Write faults into the rows that have no fate yet."""
    if faults.any():
        is_open = is_kept(fates)
        fates[is_open] = faults[is_open]


def _mark_values(
    fates: Int[np.ndarray, " row"], rows: RowColumns, meanings: Meanings, catalogue: Catalogue
) -> None:
    """Write what is wrong with the values of observations that have no fate yet."""
    has_text = rows.texts.codes >= 0
    is_odd = has_text | ~np.isfinite(rows.numbers)
    own = np.flatnonzero(is_odd & meanings.is_observation & is_kept(fates))
    if not len(own):
        return
    has_text, is_missing = has_text[own], np.isnan(rows.numbers[own])
    faults = np.zeros(len(own), dtype=np.int8)
    if has_text.any():
        # A part of the coma scale that is no variable of its own has channel -1.
        is_score = np.array([one.kind is Kind.ORDINAL for one in catalogue] + [True])
        untestable = rows.texts.where(lambda text: _NOT_TESTABLE.search(text) is not None)
        faults[has_text & is_missing] = Reason.VALUE_IS_TEXT
        faults[untestable[own] & is_score[meanings.channels[own]]] = Reason.NOT_TESTABLE
    faults[is_missing & ~has_text] = Reason.MISSING_VALUE
    faults[np.isinf(rows.numbers[own])] = Reason.INVALID_VALUE
    fates[own] = faults


def _mark_lone_descriptors(
    fates: Int[np.ndarray, " row"],
    rows: RowColumns,
    static_rows: Int[np.ndarray, " static_row"],
    kept: Observations,
) -> None:
    """Write into the descriptors of subjects without any observation that these have none."""
    if not len(static_rows):
        return
    observed = np.zeros(rows.num_subjects, dtype=bool)
    observed[kept.series_indices] = True
    without = static_rows[~observed[rows.subjects[static_rows]]]
    fates[without[is_kept(fates[without])]] = Reason.SUBJECT_WITHOUT_OBSERVATIONS


def _accept(
    meanings: Meanings, suspicions: list[Suspicion], rules: ReadingRules, catalogue: Catalogue
) -> tuple[Meanings, dict[int, str]]:
    """Read pairs that the user has accepted in the unit that was named; return these by position."""
    if not rules.accepted_units:
        return meanings, {}
    here = {one.pair for one in suspicions}
    by_channel = {catalogue.channel(name): unit for name, unit in rules.accepted_units.items()}
    accepted = {}
    for pair, one in enumerate(meanings.found):
        is_suspected = pair in here
        if rules.suspected is not None:
            is_suspected = (one.name, one.unit) in rules.suspected
        if one.channel in by_channel and (is_suspected or not one.unit):
            accepted[pair] = by_channel[one.channel]
    return (meanings.reading(accepted, catalogue) if accepted else meanings), accepted


def _statics(
    rows: RowColumns,
    meanings: Meanings,
    values: Float[np.ndarray, " row"],
    fates: Int[np.ndarray, " row"],
    born_ages: Float[np.ndarray, " subject"],
    catalogue: Catalogue,
) -> tuple[Float[np.ndarray, "subject static"], Int[np.ndarray, " static_row"]]:
    positions = meanings.statics
    chosen = np.flatnonzero((positions >= 0) & is_kept(fates))
    found = read_statics(
        StaticRows(
            rows.subjects[chosen],
            positions[chosen],
            values[chosen],
            rows.comparators[chosen],
            rows.texts.take(chosen),
        ),
        born_ages,
        catalogue,
    )
    fates[chosen] = found.fates
    return found.values, chosen


_NEVER: Final = np.iinfo(np.int64).max


def _origins(
    rows: RowColumns,
    fates: Int[np.ndarray, " row"],
    meanings: Meanings,
    kind: TimeKind,
) -> tuple[Int[np.ndarray, " subject"], Int[np.ndarray, " subject"]]:
    """Return the first usable time and the birth of each subject, microseconds; `_NEVER` for none."""
    births = np.full(rows.num_subjects, _NEVER)
    if kind is TimeKind.HOURS:
        origins = np.zeros(rows.num_subjects, dtype=np.int64)
    else:
        origins = np.full(rows.num_subjects, _NEVER)
        usable = meanings.is_observation & is_kept(fates)
        np.minimum.at(origins, rows.subjects[usable], rows.times.microseconds[usable])
    if meanings.has_births:
        own = np.flatnonzero(meanings.is_birth)
        dated = (TimeKind.DATE, TimeKind.LOCAL, TimeKind.INSTANT)
        is_dated = np.isin(rows.times.kinds[own], dated)
        born, undated = own[is_dated], own[~is_dated]
        np.minimum.at(births, rows.subjects[born], rows.times.microseconds[born])
        fates[undated[is_kept(fates[undated])]] = Reason.MISSING_TIME
    return origins, births


def _since(rows: RowColumns, origins: Int[np.ndarray, " subject"]) -> Float[np.ndarray, " row"]:
    own = origins[rows.subjects]
    since = np.where(own == _NEVER, 0, rows.times.microseconds - np.where(own == _NEVER, 0, own))
    return since / MICROSECONDS_PER_HOUR


def _totals(
    rows: RowColumns,
    meanings: Meanings,
    hours: Float[np.ndarray, " row"],
    values: Float[np.ndarray, " row"],
    fates: Int[np.ndarray, " row"],
    catalogue: Catalogue,
) -> Totals | None:
    """Add up the parts of the coma scale; parts that are no variables get their fate."""
    if not meanings.has_parts:
        return None
    parts = meanings.parts
    own = np.flatnonzero((parts >= 0) & is_kept(fates))
    if not len(own):
        return None
    totals = add_up(PartRows(rows.subjects[own], hours[own], parts[own], values[own]))
    is_part_alone = meanings.channels[own] < 0
    fates[own[is_part_alone]] = totals.fates[is_part_alone]
    charted = (meanings.channels == total_channel(catalogue)) & is_kept(fates)
    return without_charted(totals, rows.subjects[charted], hours[charted])


def _observations(
    rows: RowColumns,
    chosen: Int[np.ndarray, " usable"],
    hours: Float[np.ndarray, " row"],
    channels: Int[np.ndarray, " row"],
    values: Float[np.ndarray, " row"],
    totals: Totals | None,
    catalogue: Catalogue,
) -> Observations:
    """Return the usable rows, and after them the totals that were added up."""
    columns = [rows.subjects, hours, channels, values, rows.comparators]
    own = [column[chosen] for column in columns]
    if totals is not None:
        size = len(totals.values)
        total = np.full(size, total_channel(catalogue))
        added = [totals.subjects, totals.hours, total, totals.values, np.zeros(size, dtype=np.int8)]
        own = [np.concatenate(pair) for pair in zip(own, added, strict=True)]
    return Observations(*own)


def _born_ages(
    births: Int[np.ndarray, " subject"], origins: Int[np.ndarray, " subject"], kind: TimeKind
) -> Float[np.ndarray, " subject"]:
    """Return the age in years at the first observation where the birth is known, else NaN."""
    is_known = (births != _NEVER) & (origins != _NEVER) & (kind is not TimeKind.HOURS)
    lived = np.where(is_known, origins, 0) - np.where(is_known, births, 0)
    return np.where(is_known, lived / MICROSECONDS_PER_HOUR / HOURS_PER_YEAR, np.nan)


def _ranges(
    subjects: Int[np.ndarray, " row"],
    channels: Int[np.ndarray, " row"],
    statics: Float[np.ndarray, "subject static"],
    catalogue: Catalogue,
) -> Float[np.ndarray, "bound row"] | None:
    """Return the plausible range of each row by the age of its subject; None for the catalogue's."""
    position = age_position(catalogue)
    if position is None:
        return None
    ages = statics[:, position]
    is_banded = ages < catalogue.oldest_banded_years
    if not is_banded.any():
        return None
    ranges = catalogue.plausible_ranges[:, channels]
    rows = np.flatnonzero(is_banded[subjects])
    places = np.cumsum(is_banded) - 1
    banded = catalogue.plausible_ranges_at(ages[is_banded])
    ranges[:, rows] = banded[:, places[subjects[rows]], channels[rows]]
    return ranges


def _series(
    kept: Observations,
    origins: Int[np.ndarray, " subject"],
    kind: TimeKind,
    statics: Float[np.ndarray, "subject static"],
    subject_ids: tuple[str, ...],
    catalogue: Catalogue,
) -> tuple[Cohort, Clocks, Pieces]:
    """Cut the records at their silences, and give every piece its own clock and age."""
    pieces = cut_at_silences(kept.series_indices, kept.times_hours)
    firsts = kept.times_hours[pieces.offsets[:-1]]
    if kind is TimeKind.HOURS:
        clocks = Clocks(kind, np.zeros(len(pieces), dtype=np.int64))
        hours = kept.times_hours
    else:
        since = np.rint(kept.times_hours * MICROSECONDS_PER_HOUR).astype(np.int64)
        clocks = Clocks(kind, origins[pieces.subjects] + since[pieces.offsets[:-1]])
        hours = (since - since[pieces.offsets[:-1]][pieces.owners]) / MICROSECONDS_PER_HOUR
    own = aged(statics[pieces.subjects], pieces.subjects, firsts, catalogue)
    cohort = Cohort(
        tuple(subject_ids[subject] for subject in pieces.subjects.tolist()),
        pieces.offsets,
        hours,
        kept.channels,
        kept.values,
        own,
        kept.censoring,
    )
    return cohort, clocks, pieces
