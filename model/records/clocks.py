"""The clock of every series: from times as they were written to hours, and back again.

Hours are kept as they are. Dates become hours from the first observation of the series, exact to
the microsecond, so that two spellings of one instant are one time.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from model.data.reasons import Reason, is_kept
from model.records.rows import TimeKind
from model.records.times import MICROSECONDS_PER_HOUR, Times

MAX_HOURS: Final = 1e6
FIRST_YEAR: Final = 1800
LAST_YEAR: Final = 2300
"""Dates may be shifted anywhere from the first of `FIRST_YEAR` to the end of `LAST_YEAR`."""

RELATIVE_ANCHOR: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Where the clock of a source without dates begins, in a table that holds dates."""

_FIRST, _END = (
    int(np.datetime64(f"{year}-01-01", "us").astype(np.int64))
    for year in (FIRST_YEAR, LAST_YEAR + 1)
)
EXPECTED: Final = {
    TimeKind.HOURS: "hours as a number",
    TimeKind.INSTANT: "ISO 8601 with an offset from UTC, such as 2026-03-01T10:05:00+01:00",
    TimeKind.LOCAL: "a date and time without an offset, such as 2026-03-01 10:05",
}


@dataclass(frozen=True)
class Clocks:
    """Where the clock of each series begins, in microseconds since 1970; zero for hours."""

    kind: TimeKind
    origins: Int[np.ndarray, " series"]

    def hours(self, series: Int[np.ndarray, " time"], times: Times) -> Float[np.ndarray, " time"]:
        """Return hours on the clock of each time's series; NaN where there is no usable time."""
        return np.where(is_kept(time_faults(times, self.kind)), self.read(series, times), np.nan)

    def read(self, series: Int[np.ndarray, " time"], times: Times) -> Float[np.ndarray, " time"]:
        """Return hours on the clock of each time's series; of a time that is not usable any number."""
        if self.kind is TimeKind.HOURS:
            return times.hours
        return (times.microseconds - self.origins[series]) / MICROSECONDS_PER_HOUR

    def microseconds(
        self, series: Int[np.ndarray, " time"], hours: Float[np.ndarray, " time"]
    ) -> Int[np.ndarray, " time"]:
        """Return microseconds since 1970, or since zero hours."""
        since = np.rint(hours * MICROSECONDS_PER_HOUR).astype(np.int64)
        return self.origins[series] + since

    def select(self, series: Int[np.ndarray, " chosen"]) -> "Clocks":
        """Return the clocks of some series."""
        return Clocks(self.kind, self.origins[series])


def time_faults(times: Times, kind: TimeKind) -> Int[np.ndarray, " row"]:
    """Return `Reason.KEPT` for every usable time of a source whose times are of `kind`, else why not.

    Examples
    --------
    >>> from model.records.times import read_moments
    >>> times = read_moments([0.5, "2026-03-01"])
    >>> [Reason(one).code for one in time_faults(times, TimeKind.HOURS)]
    ['kept', 'date_without_time']
    """
    found = _faults_of_kinds(kind)[times.kinds]
    if kind is TimeKind.HOURS:
        is_out = ~(np.abs(times.hours) <= MAX_HOURS)
    else:
        is_out = (times.microseconds < _FIRST) | (times.microseconds >= _END)
    if is_out.any():
        found[is_out & is_kept(found)] = Reason.TIME_OUT_OF_RANGE
    return found


@cache
def _faults_of_kinds(kind: TimeKind) -> Int[np.ndarray, " kind"]:
    """Return what is wrong with a time of each kind, where most times are of `kind`."""
    found = np.full(len(TimeKind), Reason.MIXED_TIME_KINDS, dtype=np.int8)
    if kind is not TimeKind.HOURS:
        found[[TimeKind.INSTANT, TimeKind.LOCAL]] = Reason.TIME_WITHOUT_OFFSET
    found[TimeKind.MISSING] = Reason.MISSING_TIME
    found[TimeKind.INVALID] = Reason.INVALID_TIME
    found[TimeKind.DATE] = Reason.DATE_WITHOUT_TIME
    found[kind] = Reason.KEPT
    return found


def on_line(times: Times, kind: TimeKind) -> Float[np.ndarray, " row"]:
    """Return the hours of all times on one line, from 1970 or from zero hours, to compare them."""
    if kind is TimeKind.HOURS:
        return times.hours
    return times.microseconds / MICROSECONDS_PER_HOUR
