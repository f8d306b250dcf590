"""Neighbors: what a record itself says about each target, from its own context and channel."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.series import Cohort
from training.protocols.part import Part


@dataclass(frozen=True)
class Neighbors:
    """The context of each target's own series and channel, one entry for each target.

    `last` is the value at the target's time or before, `next` the value at it or after, NaN where
    there is none; `mean` is over the whole context of the channel. `since_hours` and `until_hours`
    are the distances to them, infinite where there is none.
    """

    channels: Int[np.ndarray, " target"]
    times_hours: Float[np.ndarray, " target"]
    last: Float[np.ndarray, " target"]
    next: Float[np.ndarray, " target"]
    mean: Float[np.ndarray, " target"]
    since_hours: Float[np.ndarray, " target"]
    until_hours: Float[np.ndarray, " target"]

    @property
    def has_last(self) -> Bool[np.ndarray, " target"]:
        """Whether there is a value at the target's time or before."""
        return np.isfinite(self.since_hours)

    @property
    def has_next(self) -> Bool[np.ndarray, " target"]:
        """Whether there is a value at the target's time or after."""
        return np.isfinite(self.until_hours)

    @property
    def linear(self) -> Float[np.ndarray, " target"]:
        """Linear interpolation, flat beyond the ends, NaN where there is nothing."""
        span = self.since_hours + self.until_hours
        with np.errstate(invalid="ignore", divide="ignore"):
            weight = np.where(span > 0, self.since_hours / span, 0.0)
            between = self.last + weight * (self.next - self.last)
        ends = np.where(self.has_last, self.last, self.next)
        return np.where(self.has_last & self.has_next, between, ends)


def neighbors_of(part: Part) -> Neighbors:
    """Look up the neighbors of every target of a part."""
    context, targets = part.context, part.targets
    num_channels = 1 + max(context.channels.max(initial=0), targets.channels.max(initial=0))
    span = 1 + np.ceil(part.cohort.times_hours.max(initial=0.0))
    groups = _groups(context, num_channels)
    order = np.argsort(groups * span + context.times_hours, kind="stable")
    # One more entry at the end, of no group: where a search ends behind all others.
    found = _Sorted(
        np.append(groups[order], -1),
        np.append((groups * span + context.times_hours)[order], np.inf),
        np.append(context.times_hours[order], np.nan),
        np.append(context.values[order], np.nan),
    )
    wanted = _groups(targets, num_channels)
    places = wanted * span + targets.times_hours
    before = np.searchsorted(found.places[:-1], places, side="right") - 1
    after = np.searchsorted(found.places[:-1], places, side="left")
    has_last, has_next = found.groups[before] == wanted, found.groups[after] == wanted
    times = targets.times_hours
    return Neighbors(
        targets.channels,
        times,
        np.where(has_last, found.values[before], np.nan),
        np.where(has_next, found.values[after], np.nan),
        _means(context, groups, len(part.cohort) * num_channels)[wanted],
        np.where(has_last, times - found.times_hours[before], np.inf),
        np.where(has_next, found.times_hours[after] - times, np.inf),
    )


@dataclass(frozen=True)
class _Sorted:
    """The context by group (series and channel) and time, with a last entry of no group."""

    groups: Int[np.ndarray, " entry"]
    places: Float[np.ndarray, " entry"]
    times_hours: Float[np.ndarray, " entry"]
    values: Float[np.ndarray, " entry"]


def _groups(cohort: Cohort, num_channels: int) -> Int[np.ndarray, " observation"]:
    return cohort.series_indices * num_channels + cohort.channels


def _means(
    context: Cohort, groups: Int[np.ndarray, " observation"], num_groups: int
) -> Float[np.ndarray, " group"]:
    counts = np.bincount(groups, minlength=num_groups)
    with np.errstate(invalid="ignore"):
        return np.bincount(groups, context.values, num_groups) / counts
