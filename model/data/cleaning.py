"""Which observations are kept, and why each other one is not.

The same function cleans a training table and a posted series. It never repairs a value: pH 735 is
dropped, not read as 7.35. Every row that goes in is accounted for: kept + dropped by reason = read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Float, Int

from model.data.variables import Catalogue

# Tables hold single precision, in which an FiO2 of 0.21 is a little less than 0.21.
_RELATIVE_TOLERANCE = 1e-6


class Reason(IntEnum):
    """What became of a row. Zero is kept; the order is the order in which the rules are applied."""

    KEPT = 0
    UNKNOWN_VARIABLE = 1
    """The name or code is not in the catalogue, or is empty."""
    INVALID_TIME = 2
    """The time is missing, NaN or infinite."""
    INVALID_VALUE = 3
    """The value is missing, NaN or infinite."""
    UNKNOWN_SENTINEL = 4
    """The source's code for "not known", such as -1."""
    IMPLAUSIBLE_VALUE = 5
    """Outside the plausible range of the variable."""
    DUPLICATE = 6
    """Same series, time, variable and value as a kept row."""
    CONFLICT_AVERAGED = 7
    """Same series, time and variable as a kept row but another value: averaged into that row."""


@dataclass(frozen=True)
class Observations:
    """A long table, not yet cleaned: times and values may be NaN, channels -1 (unknown).

    `series_indices` says which series each row belongs to, `times_hours` is from that series'
    origin, `values` are in canonical units.
    """

    series_indices: Int[np.ndarray, " row"]
    times_hours: Float[np.ndarray, " row"]
    channels: Int[np.ndarray, " row"]
    values: Float[np.ndarray, " row"]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Drop:
    """A number of rows of one variable that were not kept, for one reason."""

    reason: str
    variable: str
    rows: int


@dataclass(frozen=True)
class CleaningReport:
    """The balance of a cleaning: read = kept + the rows of every drop."""

    read: int
    kept: int
    drops: tuple[Drop, ...]

    @property
    def is_balanced(self) -> bool:
        """Whether every row is accounted for."""
        return self.read == self.kept + sum(drop.rows for drop in self.drops)


@dataclass(frozen=True)
class Cleaned:
    """Kept observations sorted by series, time and channel, and the fate of every row that was read."""

    observations: Observations
    reasons: Int[np.ndarray, " row"]
    report: CleaningReport


def clean(observations: Observations, catalogue: Catalogue) -> Cleaned:
    """Apply the rules of `Reason` in their order.

    Rows that share series, time and variable become one row with the mean of their values.
    """
    reasons = _invalid_rows(observations, catalogue)
    rows = np.flatnonzero(reasons == Reason.KEPT)
    order = np.lexsort(
        (
            observations.values[rows],
            observations.channels[rows],
            observations.times_hours[rows],
            observations.series_indices[rows],
        )
    )
    rows = rows[order]
    kept = _merge_duplicates(observations, rows, reasons)
    return Cleaned(kept, reasons, summarize(reasons, observations.channels, catalogue))


def summarize(
    reasons: Int[np.ndarray, " row"], channels: Int[np.ndarray, " row"], catalogue: Catalogue
) -> CleaningReport:
    """Count the rows by reason and variable."""
    return CleaningReport(
        len(reasons),
        int(np.sum(reasons == Reason.KEPT)),
        tuple(_drops(reasons, channels, catalogue)),
    )


def _invalid_rows(observations: Observations, catalogue: Catalogue) -> Int[np.ndarray, " row"]:
    known = (observations.channels >= 0) & (observations.channels < len(catalogue))
    low, high = catalogue.plausible_ranges[:, np.where(known, observations.channels, 0)]
    low, high = low - _RELATIVE_TOLERANCE * np.abs(low), high + _RELATIVE_TOLERANCE * np.abs(high)
    with np.errstate(invalid="ignore"):
        implausible = (observations.values < low) | (observations.values > high)
    return np.select(
        [
            ~known,
            ~np.isfinite(observations.times_hours),
            ~np.isfinite(observations.values),
            implausible,
        ],
        [
            Reason.UNKNOWN_VARIABLE,
            Reason.INVALID_TIME,
            Reason.INVALID_VALUE,
            Reason.IMPLAUSIBLE_VALUE,
        ],
        default=Reason.KEPT,
    ).astype(np.int8)


def _merge_duplicates(
    observations: Observations, rows: Int[np.ndarray, " valid"], reasons: Int[np.ndarray, " row"]
) -> Observations:
    """Average groups of equal keys in the sorted `rows`; write the fate of the merged into `reasons`."""
    series, times = observations.series_indices[rows], observations.times_hours[rows]
    channels, values = observations.channels[rows], observations.values[rows]
    same_key = (np.diff(series) == 0) & (np.diff(times) == 0) & (np.diff(channels) == 0)
    is_first = np.concatenate([np.ones(min(len(rows), 1), dtype=bool), ~same_key])
    starts = np.flatnonzero(is_first)
    group = np.cumsum(is_first) - 1
    same_value = np.concatenate([np.zeros(min(len(rows), 1), dtype=bool), np.diff(values) == 0])
    reasons[rows[~is_first & same_value]] = Reason.DUPLICATE
    reasons[rows[~is_first & ~same_value]] = Reason.CONFLICT_AVERAGED
    # A row that came twice weighs once, and one value alone stays as it is to the last bit.
    distinct = ~same_value | is_first
    sums = np.bincount(group[distinct], weights=values[distinct], minlength=len(starts))
    counts = np.bincount(group[distinct], minlength=len(starts))
    means = np.where(counts == 1, values[starts], sums / np.maximum(counts, 1))
    return Observations(series[starts], times[starts], channels[starts], means)


def _drops(
    reasons: Int[np.ndarray, " row"], channels: Int[np.ndarray, " row"], catalogue: Catalogue
) -> Iterator[Drop]:
    dropped = reasons != Reason.KEPT
    if not dropped.any():
        return
    pairs, counts = np.unique(
        np.stack([reasons[dropped], channels[dropped]], axis=1), axis=0, return_counts=True
    )
    for (reason, channel), count in zip(pairs, counts, strict=True):
        known = 0 <= channel < len(catalogue)
        name = catalogue[channel].name if known else ""
        yield Drop(Reason(reason).name.lower(), name, int(count))
