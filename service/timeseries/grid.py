"""Regular times: value i stands at start + i steps. Inside, hours from the start.

A step of seconds to weeks has a length. Months, quarters and years follow the calendar from the
start, not from each other: the 31st of January, then the 28th of February, then the 31st of March.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from jaxtyping import Float

from model.records.clocks import FIRST_YEAR, LAST_YEAR, MAX_HOURS
from service.inference.errors import Fault, SeriesRefusedError
from service.timeseries.schemas import Frequency, TimeSeriesInput

DEFAULT_START = datetime(2000, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_LENGTHS: dict[Frequency, timedelta] = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": _HOUR,
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_MONTHS: dict[Frequency, int] = {"month": 1, "quarter": 3, "year": 12}
_SHORT: dict[Frequency, Frequency] = {
    "S": "second",
    "T": "minute",
    "H": "hour",
    "D": "day",
    "W": "week",
    "M": "month",
    "Q": "quarter",
    "Y": "year",
}
_LONGEST_MONTH = timedelta(days=31)


@dataclass(frozen=True)
class Grid:
    """A start and a step. Exactly one of `length` and `months` says how long a step is."""

    start: datetime
    length: timedelta | None
    months: int

    @property
    def longest_step_hours(self) -> float:
        """Upper bound of a step."""
        return (self.length or self.months * _LONGEST_MONTH) / _HOUR

    def hours(self, first: int, stop: int) -> Float[np.ndarray, " step"]:
        """Return the hours from the start to the grid times `first` to `stop` - 1."""
        if self.length is not None:
            return np.arange(first, stop, dtype=float) * (self.length / _HOUR)
        return np.array(
            [(self.instant(step) - self.start) / _HOUR for step in range(first, stop)], dtype=float
        )

    def instant(self, step: int) -> datetime:
        """Return the grid time `step`."""
        if self.length is not None:
            return self.start + step * self.length
        months = self.start.year * 12 + self.start.month - 1 + step * self.months
        year, month = months // 12, months % 12 + 1
        day = min(self.start.day, monthrange(year, month)[1])
        return self.start.replace(year=year, month=month, day=day)


def read_grid(body: TimeSeriesInput, *, num_steps: int, at: str) -> Grid:
    """Read start and step of an input, checked for `num_steps` times.

    Raises
    ------
    SeriesRefusedError
        If the start cannot be read, or the grid reaches too far.
    """
    step = _SHORT.get(body.frequency, body.frequency)
    start = DEFAULT_START
    if body.start_timestamp is not None:
        start = _start(body.start_timestamp, f"{at}.start_timestamp")
    grid = Grid(start, _LENGTHS.get(step), _MONTHS.get(step, 0))
    if num_steps * grid.longest_step_hours > MAX_HOURS:
        raise SeriesRefusedError(
            Fault.TIME_OUT_OF_RANGE,
            f"series and horizon together may reach {MAX_HOURS:.0f} hours from the start",
            path=f"{at}.series",
        )
    return grid


def spelled(instant: datetime) -> str:
    """Return ISO 8601 as a client writes it: Z for UTC, no offset where none was given."""
    return instant.isoformat().replace("+00:00", "Z")


def _start(text: str, path: str) -> datetime:
    try:
        start = datetime.fromisoformat(text)
    except ValueError:
        raise SeriesRefusedError(
            Fault.INVALID_TIME, "expected ISO 8601, such as 2026-03-01T10:00:00Z", path=path
        ) from None
    if not FIRST_YEAR <= start.year <= LAST_YEAR:
        raise SeriesRefusedError(
            Fault.TIME_OUT_OF_RANGE,
            f"the start must lie between the years {FIRST_YEAR} and {LAST_YEAR}",
            path=path,
        )
    return start
