"""From a posted series to what the predictor needs, and a remark on every change.

`model.records` says what each observation and static means. Here is what a request adds: `as_of`,
the query, events, and the path of every fault. The first fault ends the reading of this series, and
of no other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from model.data.reasons import Reason, is_kept
from model.data.series import Series
from model.data.variables import Catalogue
from model.records.clocks import on_line, time_faults
from model.records.reading import ReadingRules, Records, read_records
from model.records.rows import TimeKind, meant_kind
from model.records.times import Times, read_moments
from service.inference.answers import Remark, RemarkCode
from service.inference.errors import Fault, SeriesRefusedError
from service.inference.observations import PostedRows, Table
from service.inference.query import (
    AskedEvent,
    AskedQuery,
    Reach,
    Record,
    read_events,
    read_query,
)
from service.inference.remarks import refuse_changes, refuse_nothing_left, remarks_of
from service.inference.schemas import ForecastSeries, ImputeSeries, UncertaintySeries
from service.settings import Settings


@dataclass(frozen=True)
class ReadSeries:
    """One series as the predictor takes it, what is asked about it, and what was remarked.

    `pieces` are the parts of a long record, in order; mostly there is one. `as_of_hours` is on the
    clock of the last piece.
    """

    subject_id: str
    pieces: tuple[Series, ...]
    num_read: int
    as_of: float | str
    as_of_hours: float
    query: AskedQuery | None
    events: tuple[AskedEvent, ...]
    remarks: tuple[Remark, ...]

    @property
    def num_observations(self) -> int:
        """Observations that are used."""
        return sum(map(len, self.pieces))


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
    times = read_moments(table.times)
    kind = _meant_kind(times, table)
    as_of = body.as_of if isinstance(body, ForecastSeries) else None
    chosen = _up_to(as_of, times, kind, at=at)
    posted = PostedRows.of(table, times, chosen, body.static)
    rules = ReadingRules(time_kind=kind)
    records = read_records(posted.rows, [subject_id], catalogue, rules)
    refuse_nothing_left(records, posted, table, catalogue, at=at)
    remarks = (
        *_after_as_of(table, times, kind, chosen),
        *remarks_of(records, posted, table, catalogue, at=at),
    )
    if is_strict:
        refuse_changes(remarks, at=at)
    record = _record(records, posted, table, as_of)
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
        tuple(records.cohort),
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


def _meant_kind(times: Times, table: Table) -> TimeKind:
    """Return the kind of most times; a clock without an offset is refused, because it is no instant."""
    kind = meant_kind(np.bincount(times.kinds, minlength=len(TimeKind)))
    if kind is TimeKind.LOCAL:
        first = int(np.flatnonzero(times.kinds == TimeKind.LOCAL)[0])
        raise SeriesRefusedError(
            Fault.TIME_WITHOUT_OFFSET,
            "the time has no offset from UTC; end it with Z or an offset such as +01:00",
            path=table.path(first, "time"),
        )
    return kind


def _up_to(
    as_of: float | str | None, times: Times, kind: TimeKind, *, at: str
) -> Int[np.ndarray, " chosen"]:
    """Return the observations that are not after `as_of`."""
    if as_of is None:
        return np.arange(len(times))
    limit = read_moments([as_of])
    fault = Reason(int(time_faults(limit, kind)[0]))
    if fault is not Reason.KEPT:
        raise SeriesRefusedError(
            Fault(fault.code),
            "`as_of` must be written as the times of the series are",
            path=f"{at}.as_of",
        )
    is_later = (times.kinds == kind) & (on_line(times, kind) > on_line(limit, kind)[0])
    return np.flatnonzero(~is_later)


def _after_as_of(
    table: Table, times: Times, kind: TimeKind, chosen: Int[np.ndarray, " chosen"]
) -> Iterator[Remark]:
    if len(chosen) < len(times):
        later = np.setdiff1d(np.arange(len(times)), chosen)
        yield Remark(
            RemarkCode.AFTER_AS_OF,
            table.path(int(later[0])),
            "observations after `as_of` are not used",
            len(later),
        )


def _record(
    records: Records, posted: PostedRows, table: Table, as_of: float | str | None
) -> Record:
    cohort = records.cohort
    last = len(cohort) - 1
    if as_of is None:
        kept = np.flatnonzero(is_kept(records.fates[: len(posted.observations)]))
        moments = on_line(records.times, records.clocks.kind)[kept]
        as_of = table.times[int(posted.observations[kept[np.argmax(moments)]])]
    as_of_hours = records.clocks.hours(np.array([last]), read_moments([as_of]))
    channels = np.flatnonzero(np.bincount(cohort.channels))
    return Record(records, as_of, float(as_of_hours[0]), channels)
