"""Which observations are kept, and why each other one is not.

The same function cleans a training table and a posted series. It never repairs a value: pH 735 is
dropped, not read as 7.35. Every row that goes in is accounted for: kept + dropped by reason = read.

Rows that share series, time and variable become one row. `model.data.merging` has the rules.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from model.data.merging import Rows, merge
from model.data.reasons import Reason
from model.data.series import AT_OR_ABOVE, AT_OR_BELOW, MEASURED, all_measured, censoring_of
from model.data.variables import Catalogue

__all__ = ["Cleaned", "CleaningReport", "Drop", "Observations", "Reason", "clean", "summarize"]

# Tables hold single precision, in which an FiO2 of 0.21 is a little less than 0.21.
_RELATIVE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Observations:
    """A long table, not yet cleaned: times and values may be NaN, channels -1 (unknown).

    `series_indices` says which series each row belongs to, `times_hours` is from that series'
    origin, `values` are in canonical units, `censoring` is as in `Cohort` (all measured where it is
    left out).
    """

    series_indices: Int[np.ndarray, " row"]
    times_hours: Float[np.ndarray, " row"]
    channels: Int[np.ndarray, " row"]
    values: Float[np.ndarray, " row"]
    censoring: Int[np.ndarray, " row"] = field(default_factory=all_measured)

    def __post_init__(self) -> None:
        object.__setattr__(self, "censoring", censoring_of(self.censoring, len(self.values)))

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


def clean(
    observations: Observations,
    catalogue: Catalogue,
    plausible_ranges: Float[np.ndarray, "bound row"] | None = None,
) -> Cleaned:
    """Judge every row, then merge the rows that share series, time and variable.

    Parameters
    ----------
    plausible_ranges
        Lowest and highest plausible value of every row, canonical units, where they depend on more
        than the variable, such as the subject's age. By default the catalogue's.
    """
    if plausible_ranges is None:
        plausible_ranges = _catalogue_ranges(observations, catalogue)
    reasons = _judge(observations, catalogue, plausible_ranges)
    rows = np.flatnonzero(reasons == Reason.KEPT)
    usable = Rows(
        observations.series_indices[rows],
        observations.times_hours[rows],
        observations.channels[rows],
        _within(observations, plausible_ranges)[rows],
        observations.censoring[rows],
    )
    merged = merge(usable, catalogue)
    winners = rows[merged.winners]
    # Amounts may be believable one by one and not together.
    is_believable = ~_is_outside(merged.values, plausible_ranges[:, winners])
    is_part = np.isin(merged.reasons, (Reason.KEPT, Reason.AMOUNT_ADDED))
    reasons[rows] = np.where(
        is_part & ~is_believable[merged.owners], Reason.IMPLAUSIBLE_VALUE, merged.reasons
    )
    kept = winners[is_believable]
    return Cleaned(
        Observations(
            observations.series_indices[kept],
            observations.times_hours[kept],
            observations.channels[kept],
            merged.values[is_believable],
            observations.censoring[kept],
        ),
        reasons,
        summarize(reasons, observations.channels, catalogue),
    )


def summarize(
    reasons: Int[np.ndarray, " row"], channels: Int[np.ndarray, " row"], catalogue: Catalogue
) -> CleaningReport:
    """Count the rows by reason and variable."""
    return CleaningReport(
        len(reasons),
        int(np.sum(reasons == Reason.KEPT)),
        tuple(_drops(reasons, channels, catalogue)),
    )


def _is_known(observations: Observations, catalogue: Catalogue) -> np.ndarray:
    known: np.ndarray = (observations.channels >= 0) & (observations.channels < len(catalogue))
    return known


def _catalogue_ranges(
    observations: Observations, catalogue: Catalogue
) -> Float[np.ndarray, "bound row"]:
    known = _is_known(observations, catalogue)
    ranges: np.ndarray = catalogue.plausible_ranges[:, np.where(known, observations.channels, 0)]
    return ranges


def _judge(
    observations: Observations, catalogue: Catalogue, ranges: Float[np.ndarray, "bound row"]
) -> Int[np.ndarray, " row"]:
    """Apply the rules about single rows in the order of `Reason`."""
    values, censoring = observations.values, observations.censoring
    low, high = ranges
    # A limit beyond the range is still an interval: `<0.01` where nothing below 0.02 is plausible.
    # One that misses the range by more than the width of the range is a slip of the pen.
    width = high - low
    slack = np.stack(
        [
            np.where(censoring == AT_OR_BELOW, width, np.where(censoring == MEASURED, 0, np.inf)),
            np.where(censoring == AT_OR_ABOVE, width, np.where(censoring == MEASURED, 0, np.inf)),
        ]
    )
    implausible = _is_outside(values, np.stack([low - slack[0], high + slack[1]]))
    return np.select(
        [
            ~_is_known(observations, catalogue),
            ~np.isfinite(observations.times_hours),
            ~np.isfinite(values),
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


def _is_outside(
    values: Float[np.ndarray, " row"], ranges: Float[np.ndarray, "bound row"]
) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        low, high = ranges
        below = values < low - _RELATIVE_TOLERANCE * np.abs(low)
        outside: np.ndarray = below | (values > high + _RELATIVE_TOLERANCE * np.abs(high))
    return outside


def _within(
    observations: Observations, ranges: Float[np.ndarray, "bound row"]
) -> Float[np.ndarray, " row"]:
    """Return the values, a limit beyond the plausible range moved to its end."""
    is_limit = observations.censoring != MEASURED
    if not is_limit.any():
        return observations.values
    return np.where(is_limit, np.clip(observations.values, *ranges), observations.values)


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
