"""The times of all series of a chunk as hours, each on its own clock, and back again.

The rules and limits are those of `service.inference.times`: hours are kept as they are, dates become
hours from the earliest one of the series.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from service.inference.errors import Fault
from service.inference.times import FIRST_YEAR, LAST_YEAR, MAX_HOURS, MAX_SPAN_HOURS
from service.jobs.reading.refusals import Refusals
from service.jobs.reading.rows import TimeKind

MICROSECONDS_PER_HOUR = 3_600_000_000

_FIRST, _END = (
    int(np.datetime64(f"{year}-01-01", "us").astype(np.int64)) for year in (FIRST_YEAR, LAST_YEAR)
)


@dataclass(frozen=True)
class RowTimes:
    """How the time of each row is told, and the series that it belongs to."""

    series: Int[np.ndarray, " row"]
    kinds: Int[np.ndarray, " row"]
    hours: Float[np.ndarray, " row"]
    microseconds: Int[np.ndarray, " row"]

    def take(self, rows: Bool[np.ndarray, " row"]) -> "RowTimes":
        """Return some of the rows."""
        return RowTimes(
            self.series[rows], self.kinds[rows], self.hours[rows], self.microseconds[rows]
        )


@dataclass(frozen=True)
class Clocks:
    """Where the clock of each series begins, in microseconds since 1970; all zero for hours."""

    kind: TimeKind
    origins: Int[np.ndarray, " series"]

    @classmethod
    def start(cls, kind: TimeKind, times: RowTimes, num_series: int) -> "Clocks":
        """Begin every clock at the earliest time of the series' observations."""
        origins = np.zeros(num_series, dtype=np.int64)
        if kind is not TimeKind.HOURS:
            is_usable = _is_usable(times, kind)
            origins[:] = np.iinfo(np.int64).max
            np.minimum.at(origins, times.series[is_usable], times.microseconds[is_usable])
            origins[origins == np.iinfo(np.int64).max] = 0
        return cls(kind, origins)

    def hours(self, times: RowTimes) -> Float[np.ndarray, " row"]:
        """Return hours on the clock of the row's series; NaN where there is no usable time."""
        if self.kind is TimeKind.HOURS:
            hours = times.hours
        else:
            since = times.microseconds - self.origins[times.series]
            hours = since / MICROSECONDS_PER_HOUR
        return np.where(_is_usable(times, self.kind), hours, np.nan)

    def microseconds(
        self, series: Int[np.ndarray, " time"], hours: Float[np.ndarray, " time"]
    ) -> Int[np.ndarray, " time"]:
        """Return microseconds since 1970, or since zero hours."""
        since = np.rint(hours * MICROSECONDS_PER_HOUR).astype(np.int64)
        return self.origins[series] + since

    def select(self, series: Int[np.ndarray, " chosen"]) -> "Clocks":
        """Return the clocks of some series."""
        return Clocks(self.kind, self.origins[series])


def refuse_times(times: RowTimes, kind: TimeKind, refusals: Refusals) -> None:
    """Refuse the series that have a time of another kind than the job, or none that can be used."""
    other = (times.kinds != kind) & (times.kinds != TimeKind.MISSING)
    is_invalid = times.kinds == TimeKind.INVALID
    is_bare = other & (kind is TimeKind.INSTANT) & (times.kinds == TimeKind.LOCAL)
    refusals.add(
        times.series[is_invalid],
        Fault.INVALID_TIME,
        "a time is neither hours nor an ISO 8601 date: 2026-03-01T10:05:00+01:00",
    )
    refusals.add(
        times.series[is_bare],
        Fault.TIME_WITHOUT_OFFSET,
        "a time has no offset from UTC, and most times of the job have one",
    )
    refusals.add(
        times.series[other & ~is_invalid & ~is_bare],
        Fault.MIXED_TIME_KINDS,
        f"a time is of another kind than most of the job, which are told as {kind.name.lower()}",
    )
    refusals.add(
        times.series[(times.kinds == kind) & ~_is_usable(times, kind)],
        Fault.TIME_OUT_OF_RANGE,
        f"hours must lie between {-MAX_HOURS:.0f} and {MAX_HOURS:.0f}"
        if kind is TimeKind.HOURS
        else f"times must lie between the years {FIRST_YEAR} and {LAST_YEAR}",
    )


def refuse_spans(
    series: Int[np.ndarray, " row"], hours: Float[np.ndarray, " row"], refusals: Refusals
) -> None:
    """Refuse the series whose observations span too long a time."""
    num_series = len(refusals.is_refused)
    first, last = np.full(num_series, np.inf), np.full(num_series, -np.inf)
    known = ~np.isnan(hours)
    np.minimum.at(first, series[known], hours[known])
    np.maximum.at(last, series[known], hours[known])
    refusals.add(
        np.flatnonzero(last - first > MAX_SPAN_HOURS),
        Fault.SPAN_TOO_LONG,
        f"the observations of a series may span {MAX_SPAN_HOURS / 24:.0f} days; split it",
    )


def _is_usable(times: RowTimes, kind: TimeKind) -> Bool[np.ndarray, " row"]:
    if kind is TimeKind.HOURS:
        in_range = np.abs(times.hours) <= MAX_HOURS
    else:
        in_range = (times.microseconds >= _FIRST) & (times.microseconds < _END)
    result: Bool[np.ndarray, " row"] = in_range & (times.kinds == kind)
    return result
