"""Times of one series: hours, or ISO 8601 with an offset, never both; inside, hours as float.

Hours are kept as they are. Instants become hours from the earliest instant among the observations,
exact to the microsecond, so that two spellings of one instant are one time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from service.inference.errors import Fault, SeriesRefusedError

MAX_HOURS = 1e5
MAX_SPAN_HOURS = 400 * 24.0
FIRST_YEAR, LAST_YEAR = 1900, 2200
_HOUR = timedelta(hours=1)

Hours = np.ndarray[tuple[int], np.dtype[np.float64]]
Where = Callable[[int], str]
"""Path of the time at an index, for messages."""


@dataclass(frozen=True)
class Clock:
    """How the times of one series are told. `origin` is None where they are hours."""

    origin: datetime | None

    def hours(self, moments: Sequence[float | str], where: Where) -> Hours:
        """Return the hours of times that belong to the same series.

        Raises
        ------
        SeriesRefusedError
            For a time of the other kind, one that cannot be read, or one out of range.
        """
        if self.origin is None:
            return _as_hours(moments, where)
        instants = _as_instants(moments, where)
        return np.array([(instant - self.origin) / _HOUR for instant in instants], dtype=float)


def start_clock(moments: Sequence[float | str], where: Where) -> tuple[Clock, Hours]:
    """Learn the kind of time from the observations of a series, and return their hours.

    Raises
    ------
    SeriesRefusedError
        As for `Clock.hours`; also if the observations span more than `MAX_SPAN_HOURS`.
    """
    origin = min(_as_instants(moments, where)) if isinstance(moments[0], str) else None
    clock = Clock(origin)
    hours = clock.hours(moments, where)
    if np.ptp(hours) > MAX_SPAN_HOURS:
        raise SeriesRefusedError(
            Fault.SPAN_TOO_LONG,
            f"the observations of a series may span {MAX_SPAN_HOURS / 24:.0f} days; split it",
            path=where(int(np.argmax(hours))),
        )
    return clock, hours


def _as_hours(moments: Sequence[float | str], where: Where) -> Hours:
    if str in set(map(type, moments)):
        raise _mixed(moments, str, where)
    hours = np.array(moments, dtype=float)
    beyond = np.flatnonzero(np.abs(hours) > MAX_HOURS)
    if len(beyond):
        raise SeriesRefusedError(
            Fault.TIME_OUT_OF_RANGE,
            f"times in hours must lie between {-MAX_HOURS:.0f} and {MAX_HOURS:.0f}",
            path=where(int(beyond[0])),
        )
    return hours


def _as_instants(moments: Sequence[float | str], where: Where) -> list[datetime]:
    instants = []
    for index, moment in enumerate(moments):
        if not isinstance(moment, str):
            raise _mixed(moments, float, where)
        instants.append(_instant(moment, where(index)))
    return instants


def _instant(text: str, path: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise SeriesRefusedError(
            Fault.INVALID_TIME,
            "expected hours as a number, or ISO 8601 with an offset: 2026-03-01T10:05:00+01:00",
            path=path,
        ) from None
    if instant.tzinfo is None:
        raise SeriesRefusedError(
            Fault.TIME_WITHOUT_OFFSET,
            "the time has no offset from UTC; end it with Z or an offset such as +01:00",
            path=path,
        )
    if not FIRST_YEAR <= instant.year < LAST_YEAR:
        raise SeriesRefusedError(
            Fault.TIME_OUT_OF_RANGE,
            f"times must lie between the years {FIRST_YEAR} and {LAST_YEAR}",
            path=path,
        )
    return instant.astimezone(UTC)


def _mixed(moments: Sequence[float | str], kind: type, where: Where) -> SeriesRefusedError:
    index = next(
        index for index, moment in enumerate(moments) if isinstance(moment, str) == (kind is str)
    )
    return SeriesRefusedError(
        Fault.MIXED_TIME_KINDS,
        "hours and ISO 8601 times must not stand in one series",
        path=where(index),
    )
