"""From a series of a request to what the predictor needs, and a remark on every change.

The order: variables and units, times, `as_of`, cleaning, statics, query, events. The first fault
ends the reading of this series, and of no other. Nothing here knows HTTP or the network.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from model.data.cleaning import Cleaned, Observations, Reason, clean
from model.data.series import Series
from model.data.variables import Catalogue
from service.errors import Fault, SeriesRefusedError
from service.inference.answers import Remark, RemarkCode
from service.inference.observations import Table, canonical_values
from service.inference.query import (
    AskedEvent,
    AskedQuery,
    Reach,
    Record,
    read_events,
    read_query,
)
from service.inference.schemas import ForecastSeries, ImputeSeries, UncertaintySeries
from service.inference.statics import read_statics
from service.inference.times import Hours, start_clock
from service.settings import Settings

# Beyond this many remarks of one code, the rest of the rows share one remark.
_MAX_REMARKS = 100
# What `strict` turns into a refusal: the answer would come from other data than was sent.
_STRICT_CODES = frozenset(
    {
        RemarkCode.IMPLAUSIBLE_VALUE_DROPPED,
        RemarkCode.DUPLICATE_DROPPED,
        RemarkCode.CONFLICT_AVERAGED,
        RemarkCode.STATIC_IGNORED,
    }
)


@dataclass(frozen=True)
class ReadSeries:
    """One series as the predictor takes it, what is asked about it, and what was remarked."""

    subject_id: str
    context: Series
    num_read: int
    as_of: float | str
    as_of_hours: float
    query: AskedQuery | None
    events: tuple[AskedEvent, ...]
    remarks: tuple[Remark, ...]


@dataclass(frozen=True)
class _Context:
    """Rows up to `as_of`, cleaned."""

    record: Record
    cleaned: Cleaned
    remarks: tuple[Remark, ...]


def read_series(
    body: ImputeSeries,
    *,
    at: str,
    subject_id: str,
    catalogue: Catalogue,
    settings: Settings,
    reach: Reach,
    is_strict: bool,
) -> ReadSeries:
    """Read one series; `at` is its path in the request.

    Raises
    ------
    SeriesRefusedError
        If it cannot be answered. The message says why, what was expected, and where.
    """
    return read_table(
        body,
        Table.read(body.observations, at=f"{at}.observations"),
        at=at,
        subject_id=subject_id,
        catalogue=catalogue,
        settings=settings,
        reach=reach,
        is_strict=is_strict,
    )


def read_table(
    body: ImputeSeries,
    table: Table,
    *,
    at: str,
    subject_id: str,
    catalogue: Catalogue,
    settings: Settings,
    reach: Reach,
    is_strict: bool,
) -> ReadSeries:
    """Read one series whose observations are already a table; those of the body are not looked at.

    Raises
    ------
    SeriesRefusedError
        As for `read_series`.
    """
    _check_size(table, settings)
    context = _read_context(body, table, at=at, catalogue=catalogue)
    statics = read_statics(body.static, catalogue, at=f"{at}.static")
    remarks = (*context.remarks, *statics.remarks)
    if is_strict:
        _refuse_changes(remarks, at)
    kept = context.cleaned.observations
    record = context.record
    query = None
    if body.query is not None:
        query = read_query(
            body.query,
            record,
            at=f"{at}.query",
            catalogue=catalogue,
            settings=settings,
            reach=reach,
        )
    events: tuple[AskedEvent, ...] = ()
    if isinstance(body, UncertaintySeries):
        events = read_events(
            body.events, record, at=f"{at}.events", catalogue=catalogue, settings=settings
        )
    return ReadSeries(
        subject_id,
        Series(
            subject_id,
            kept.times_hours,
            kept.channels,
            kept.values,
            statics.values,
            kept.censoring,
        ),
        len(table),
        record.as_of,
        record.as_of_hours,
        query,
        events,
        remarks,
    )


def _check_size(table: Table, settings: Settings) -> None:
    limit = settings.max_observations_per_series
    if len(table) > limit:
        raise SeriesRefusedError(
            Fault.TOO_MANY_OBSERVATIONS,
            f"a series may have {limit} observations; split it",
            path=table.at,
        )
    if not len(table):
        raise SeriesRefusedError(
            Fault.NO_OBSERVATIONS, "a series needs at least one observation", path=table.at
        )


def _read_context(body: ImputeSeries, table: Table, *, at: str, catalogue: Catalogue) -> _Context:
    canonical = canonical_values(table, catalogue)
    clock, hours = start_clock(table.times, lambda row: table.path(row, "time"))
    as_of = body.as_of if isinstance(body, ForecastSeries) else None
    limit = np.inf if as_of is None else clock.hours([as_of], lambda _row: f"{at}.as_of")[0]
    rows = np.flatnonzero(hours <= limit)
    cleaned = clean(
        Observations(
            np.zeros(len(rows), dtype=np.int64),
            hours[rows],
            canonical.channels[rows],
            canonical.values[rows],
        ),
        catalogue,
    )
    kept = cleaned.observations
    if not len(kept):
        raise SeriesRefusedError(
            Fault.NO_OBSERVATIONS,
            "no observation is left: each is implausible, or after `as_of`",
            path=table.at,
        )
    if as_of is None:
        valid = rows[cleaned.reasons == Reason.KEPT]
        as_of = table.times[int(valid[np.argmax(hours[valid])])]
    record = Record(
        clock,
        first_hours=float(kept.times_hours[0]),
        last_hours=float(kept.times_hours[-1]),
        as_of=as_of,
        as_of_hours=float(clock.hours([as_of], lambda _row: f"{at}.as_of")[0]),
        channels=np.flatnonzero(np.bincount(kept.channels)),
    )
    remarks = (
        *canonical.remarks,
        *_after_as_of(table, hours, limit),
        *_dropped(table, catalogue, canonical.channels, rows, cleaned),
    )
    return _Context(record, cleaned, remarks)


def _after_as_of(table: Table, hours: Hours, limit: float) -> Iterator[Remark]:
    later = np.flatnonzero(hours > limit)
    if len(later):
        yield Remark(
            RemarkCode.AFTER_AS_OF,
            table.path(int(later[0])),
            "observations after `as_of` are not used",
            len(later),
        )


def _dropped(
    table: Table, catalogue: Catalogue, channels: np.ndarray, rows: np.ndarray, cleaned: Cleaned
) -> Iterator[Remark]:
    """Remark on every row that was not kept: one by one, then on the rest together."""
    if not cleaned.reasons.any():
        return
    codes = {
        RemarkCode.IMPLAUSIBLE_VALUE_DROPPED: (Reason.IMPLAUSIBLE_VALUE, Reason.INVALID_VALUE),
        RemarkCode.DUPLICATE_DROPPED: (Reason.DUPLICATE,),
        RemarkCode.CONFLICT_AVERAGED: (Reason.CONFLICT_AVERAGED,),
    }
    for code, reasons in codes.items():
        found = rows[np.isin(cleaned.reasons, reasons)]
        for row in found[:_MAX_REMARKS]:
            message = _message(code, catalogue, int(channels[row]))
            yield Remark(code, table.path(int(row)), message)
        rest = found[_MAX_REMARKS:]
        if len(rest):
            yield Remark(
                code,
                table.path(int(rest[0])),
                f"the same holds for {len(rest)} further observations, from this one on",
                len(rest),
            )


def _message(code: RemarkCode, catalogue: Catalogue, channel: int) -> str:
    variable = catalogue[channel]
    low, high = variable.plausible_range
    if code is RemarkCode.IMPLAUSIBLE_VALUE_DROPPED:
        return (
            f"dropped: {variable.name} is plausible from {low:g} to {high:g} {variable.unit} "
            f"({variable.range_source})"
        )
    if code is RemarkCode.DUPLICATE_DROPPED:
        return f"dropped: {variable.name} has the same value at the same time in another row"
    return f"averaged: {variable.name} has another value at the same time in another row"


def _refuse_changes(remarks: Sequence[Remark], at: str) -> None:
    counts: Counter[str] = Counter()
    for remark in remarks:
        if remark.code in _STRICT_CODES:
            counts[remark.code] += remark.count
    if counts:
        first = next(remark for remark in remarks if remark.code in _STRICT_CODES)
        summary = ", ".join(f"{code}: {count}" for code, count in sorted(counts.items()))
        raise SeriesRefusedError(
            Fault.REFUSED_BY_STRICT,
            f"`strict` refuses what would be changed ({summary}); the first place: {first.message}",
            path=first.path or at,
        )
