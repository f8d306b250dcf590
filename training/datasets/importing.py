"""From a raw table to the cleaned MEDS table: names, units, statics, cleaning, and their balance.

The same for every source. What is particular to one source stands in its reader; which observations
are kept is decided in `model.data.cleaning`, as for a series that is posted to the server.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from model.data.cleaning import Drop, Observations, clean
from model.data.units import conversion
from model.data.variables import Catalogue, Static, Variable
from model.errors import UnitError
from training.datasets.codes import NO_MAP, CodeMap, Target, resolve
from training.datasets.import_report import CodeCount, ImportReport, UnitCount
from training.datasets.meds import COLUMNS
from training.datasets.raw_table import MICROSECONDS_PER_HOUR, RawTable
from training.datasets.statics import StaticRows, clean_statics, static_factor

_MAX_LISTED_CODES = 20
_MIN_LISTED_SUBJECTS = 5


@dataclass(frozen=True)
class Imported:
    """The MEDS table (columns `meds.COLUMNS`, sorted) and the account of how it came about."""

    table: pd.DataFrame
    report: ImportReport


@dataclass(frozen=True)
class _Meaning:
    """What each distinct name of the source is: a channel or a static (-1 if not), and its unit."""

    channels: Int[np.ndarray, " name_plus_one"]
    statics: Int[np.ndarray, " name_plus_one"]
    units: tuple[str | None, ...]


@dataclass(frozen=True)
class _Converted:
    values: Float[np.ndarray, " row"]
    known_unit_mask: Bool[np.ndarray, " row"]
    rows_without_unit: int
    conversions: tuple[UnitCount, ...]
    unknown_units: tuple[UnitCount, ...]


@dataclass(frozen=True)
class _Series:
    """Observations that stay: position of the subject, microseconds since 1970, channel, value."""

    subjects: Int[np.ndarray, " kept"]
    microseconds: Int[np.ndarray, " kept"]
    channels: Int[np.ndarray, " kept"]
    values: Float[np.ndarray, " kept"]
    drops: tuple[Drop, ...]


def import_table(
    raw: RawTable, *, catalogue: Catalogue, code_map: CodeMap = NO_MAP, started: float | None = None
) -> Imported:
    """Clean a raw table.

    Parameters
    ----------
    code_map
        Names of the source that the catalogue does not know; see `training.datasets.codes`.
    started
        `time.perf_counter()` when reading began, for the report.

    Raises
    ------
    RuntimeError
        If a row is not accounted for, which is a defect of this program.
    """
    started = time.perf_counter() if started is None else started
    meaning = _meaning(raw.names.names, catalogue, code_map)
    channels, static_codes = meaning.channels[raw.names.codes], meaning.statics[raw.names.codes]
    converted = _convert(raw, meaning, catalogue)
    values, is_convertible = converted.values, converted.known_unit_mask
    subjects = np.searchsorted(raw.subjects, raw.subject_ids)
    is_series = (static_codes < 0) & is_convertible
    series = _clean_series(raw, subjects, channels, values, is_series, catalogue)
    observed_mask = np.zeros(len(raw.subjects), dtype=bool)
    observed_mask[series.subjects] = True
    is_static = (static_codes >= 0) & is_convertible
    static_rows = StaticRows(subjects, static_codes, values).take(np.flatnonzero(is_static))
    statics, static_drops = clean_statics(static_rows, observed_mask, catalogue)
    unit_drops = [Drop("unknown_unit", c.variable, c.rows) for c in converted.unknown_units]
    report = ImportReport(
        source=raw.source,
        files=raw.num_files,
        subjects_read=len(raw.subjects),
        subjects_kept=int(observed_mask.sum()),
        subjects_without_observations=tuple(raw.subjects[~observed_mask].tolist()),
        rows_read=raw.rows_read,
        kept_observations=len(series.values),
        kept_statics=len(statics.values),
        identifier_rows=raw.identifier_rows,
        rows_without_unit=converted.rows_without_unit,
        drops=_join([*raw.drops, *unit_drops, *static_drops, *series.drops]),
        conversions=converted.conversions,
        unknown_units=converted.unknown_units,
        unmapped_codes=_unmapped(raw, subjects, (channels < 0) & (static_codes < 0)),
        seconds=round(time.perf_counter() - started, 3),
    )
    if not report.is_balanced:
        raise RuntimeError(
            "internal error: the rows of the import do not balance; please report it"
        )
    return Imported(_table(raw.subjects, statics, series, catalogue), report)


def _meaning(names: Sequence[str], catalogue: Catalogue, code_map: CodeMap) -> _Meaning:
    """Resolve every distinct name once. The last entry is where code -1 looks."""
    targets = [resolve(name, catalogue, code_map) or Target("") for name in names] + [Target("")]
    return _Meaning(
        np.array([catalogue.channels.get(target.name, -1) for target in targets]),
        np.array([catalogue.static_positions.get(target.name, -1) for target in targets]),
        tuple(target.unit for target in targets),
    )


def _convert(raw: RawTable, meaning: _Meaning, catalogue: Catalogue) -> _Converted:
    """Convert by distinct (name, unit) pair. Rows of unknown names stay as they are."""
    width = len(raw.units.names) + 1
    keys = (raw.names.codes.astype(np.int64) + 1) * width + raw.units.codes + 1
    counts = np.bincount(keys, minlength=(len(raw.names.names) + 1) * width)
    factors, offsets = np.ones(len(counts)), np.zeros(len(counts))
    known = np.ones(len(counts), dtype=bool)
    conversions, unknown, without_unit = [], [], 0
    for key in np.flatnonzero(counts):
        name, unit_code = key // width - 1, key % width - 1
        channel, static = meaning.channels[name], meaning.statics[name]
        if channel < 0 and static < 0:
            continue
        unit = meaning.units[name] if unit_code < 0 else raw.units.names[unit_code]
        if unit is None:
            without_unit += int(counts[key])
            continue
        label = catalogue[channel].name if channel >= 0 else catalogue.statics[static].name
        count = UnitCount(label, unit[:40], int(counts[key]))
        try:
            factors[key], offsets[key] = _factor_and_offset(channel, static, unit, catalogue)
        except UnitError:
            known[key] = False
            unknown.append(count)
            continue
        if factors[key] != 1.0 or offsets[key] != 0.0:
            conversions.append(count)
    is_converted = (factors != 1.0) | (offsets != 0.0)
    values = raw.values
    if is_converted.any():
        values = np.where(is_converted[keys], values * factors[keys] + offsets[keys], values)
    return _Converted(values, known[keys], without_unit, _sum(conversions), _sum(unknown))


def _factor_and_offset(
    channel: int, static: int, unit: str, catalogue: Catalogue
) -> tuple[float, float]:
    if channel < 0:
        return static_factor(catalogue.statics[static], unit), 0.0
    found = conversion(catalogue[channel], unit)
    return found.factor, found.offset


def _sum(counts: Sequence[UnitCount]) -> tuple[UnitCount, ...]:
    """Join counts of the same variable and unit, which several names of a source may have."""
    totals: dict[tuple[str, str], int] = {}
    for count in counts:
        key = (count.variable, count.unit)
        totals[key] = totals.get(key, 0) + count.rows
    return tuple(UnitCount(*key, rows) for key, rows in sorted(totals.items()))


def _clean_series(
    raw: RawTable,
    subjects: Int[np.ndarray, " row"],
    channels: Int[np.ndarray, " row"],
    values: Float[np.ndarray, " row"],
    chosen: Bool[np.ndarray, " row"],
    catalogue: Catalogue,
) -> _Series:
    """Clean with the clock of each subject at its first time, where float64 hours are exact."""
    moments, is_valid = raw.microseconds()
    rows = np.flatnonzero(chosen)
    owners, moments, is_valid = subjects[rows], moments[rows], is_valid[rows]
    origins = np.full(len(raw.subjects), np.iinfo(np.int64).max)
    np.minimum.at(origins, owners[is_valid], moments[is_valid])
    since = np.where(is_valid, moments - np.where(is_valid, origins[owners], 0), 0)
    hours = np.where(is_valid, since / MICROSECONDS_PER_HOUR, np.nan)
    cleaned = clean(Observations(owners, hours, channels[rows], values[rows]), catalogue)
    kept = cleaned.observations
    elapsed = np.rint(kept.times_hours * MICROSECONDS_PER_HOUR).astype(np.int64)
    return _Series(
        kept.series_indices,
        origins[kept.series_indices] + elapsed,
        kept.channels,
        kept.values,
        cleaned.report.drops,
    )


def _unmapped(
    raw: RawTable, subjects: Int[np.ndarray, " row"], unknown_mask: Bool[np.ndarray, " row"]
) -> tuple[CodeCount, ...]:
    """List the most frequent unknown codes that at least five subjects have (or all there are).

    Text that one patient alone has may be anything, also something that must not be repeated.
    """
    rows = np.flatnonzero(unknown_mask & (raw.names.codes >= 0))
    codes = raw.names.codes[rows]
    counts = np.bincount(codes, minlength=len(raw.names.names))
    num_subjects = max(len(raw.subjects), 1)
    pairs = np.unique(codes.astype(np.int64) * num_subjects + subjects[rows])
    carriers = np.bincount(pairs // num_subjects, minlength=len(counts))
    least = min(_MIN_LISTED_SUBJECTS, num_subjects)
    listed = [int(code) for code in np.flatnonzero(carriers >= least)]
    listed.sort(key=lambda code: (-counts[code], raw.names.names[code]))
    return tuple(
        CodeCount(raw.names.names[code][:80], int(counts[code]))
        for code in listed[:_MAX_LISTED_CODES]
    )


def _join(drops: Sequence[Drop]) -> tuple[Drop, ...]:
    """Add up drops with the same reason and variable."""
    totals: dict[tuple[str, str], int] = {}
    for drop in drops:
        key = (drop.reason, drop.variable)
        totals[key] = totals.get(key, 0) + drop.rows
    return tuple(Drop(*key, rows) for key, rows in sorted(totals.items()) if rows)


def _table(
    subject_ids: Int[np.ndarray, " subject"],
    statics: StaticRows,
    series: _Series,
    catalogue: Catalogue,
) -> pd.DataFrame:
    """Lay out one table: by subject, the statics first, then by time and channel."""
    subjects = np.concatenate([statics.subjects, series.subjects])
    nat = np.full(len(statics.subjects), np.iinfo(np.int64).min)
    moments = np.concatenate([nat, series.microseconds])
    codes = np.concatenate([statics.positions + len(catalogue), series.channels])
    values = np.concatenate([statics.values, series.values]).astype(np.float32)
    # Both parts are in order already; a stable sort by subject puts each subject's statics first.
    order = np.argsort(subjects, kind="stable")
    described: list[Variable | Static] = [*catalogue.variables, *catalogue.statics]
    names = pd.array([item.name for item in described], dtype="str")
    units = pd.array([item.unit for item in described], dtype="str")
    columns = (
        subject_ids[subjects[order]],
        moments[order].view("datetime64[us]"),
        names.take(codes[order]),
        values[order],
        units.take(codes[order]),
    )
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
