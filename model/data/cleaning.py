"""Which observations are kept, and why each other one is not.

The same function cleans a training table and a posted series. It never repairs a value: pH 735 is
dropped, not read as 7.35. Every row that goes in is accounted for: kept + dropped by reason = read.

Rows that share series, time and variable become one row. `model.data.merging` has the rules.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from model.data.merging import Rows, merge
from model.data.reasons import Reason, is_kept
from model.data.series import AT_OR_ABOVE, AT_OR_BELOW, MEASURED, all_measured, censoring_of
from model.data.variables import Catalogue

__all__ = ["Cleaned", "CleaningReport", "Drop", "Observations", "Reason", "clean"]

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
    """Kept observations sorted by series, time and channel, and the fate of every row that was read.

    `channels` are those of the rows that were read.
    """

    observations: Observations
    reasons: Int[np.ndarray, " row"]
    channels: Int[np.ndarray, " row"]
    catalogue: Catalogue

    @cached_property
    def report(self) -> CleaningReport:
        """The rows, counted by reason and variable."""
        return CleaningReport(
            len(self.reasons),
            int(np.sum(is_kept(self.reasons))),
            tuple(_drops(self.reasons, self.channels, self.catalogue)),
        )


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

    Examples
    --------
    >>> from model.data.catalogue import shipped_catalogue
    >>> catalogue = shipped_catalogue()
    >>> urine = np.full(2, catalogue.channel("Urine"))
    >>> rows = Observations(np.zeros(2, int), np.ones(2), urine, np.array([50.0, 50.0]))
    >>> cleaned = clean(rows, catalogue)
    >>> cleaned.observations.values.tolist(), [Reason(one).code for one in cleaned.reasons]
    ([100.0], ['kept', 'amount_added'])
    """
    if plausible_ranges is None:
        plausible_ranges = _catalogue_ranges(observations, catalogue)
    reasons = _judge(observations, catalogue, plausible_ranges)
    rows = np.flatnonzero(is_kept(reasons))
    usable = Rows(
        observations.series_indices,
        observations.times_hours,
        observations.channels,
        _within(observations, plausible_ranges),
        observations.censoring,
    )
    merged = merge(usable if len(rows) == len(reasons) else usable.take(rows), catalogue)
    winners, values, own_reasons = rows[merged.winners], merged.values, merged.reasons
    # Amounts may be believable one by one and not together.
    changed = np.flatnonzero(values != usable.values[winners])
    if len(changed):
        is_outside = _is_outside(values[changed], plausible_ranges[:, winners[changed]])
        is_believable = np.ones(len(winners), dtype=bool)
        is_believable[changed[is_outside]] = False
        is_part = is_kept(own_reasons) | (own_reasons == Reason.AMOUNT_ADDED)
        own_reasons = np.where(
            is_part & ~is_believable[merged.owners], np.int8(Reason.IMPLAUSIBLE_VALUE), own_reasons
        )
        winners, values = winners[is_believable], values[is_believable]
    reasons[rows] = own_reasons
    kept = usable.take(winners)
    return Cleaned(
        Observations(kept.series_indices, kept.times_hours, kept.channels, values, kept.censoring),
        reasons,
        observations.channels,
        catalogue,
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
    values = observations.values
    reasons = np.zeros(len(values), dtype=np.int8)
    is_implausible = _is_outside(values, _believed(observations, ranges))
    is_known = _is_known(observations, catalogue)
    is_number, is_time = np.isfinite(values), np.isfinite(observations.times_hours)
    if (is_known & is_time & is_number & ~is_implausible).all():
        return reasons
    # The rule that comes first is written last.
    reasons[is_implausible] = Reason.IMPLAUSIBLE_VALUE
    reasons[~is_number] = Reason.INVALID_VALUE
    reasons[~is_time] = Reason.INVALID_TIME
    reasons[~is_known] = Reason.UNKNOWN_VARIABLE
    return reasons


def _believed(
    observations: Observations, ranges: Float[np.ndarray, "bound row"]
) -> Float[np.ndarray, "bound row"]:
    """Return the range of each row, that of a limit wider.

    A limit beyond the range is still an interval: `<0.01` where nothing below 0.02 is plausible. One
    that misses the range by more than the width of the range is taken for a typing error.
    """
    is_limit = observations.censoring != MEASURED
    if not is_limit.any():
        return ranges
    low, high = ranges
    width = high - low
    beyond = np.where(is_limit, np.inf, 0.0)
    slack_below = np.where(observations.censoring == AT_OR_BELOW, width, beyond)
    slack_above = np.where(observations.censoring == AT_OR_ABOVE, width, beyond)
    return np.stack([low - slack_below, high + slack_above])


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
