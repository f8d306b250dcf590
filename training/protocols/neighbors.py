"""Neighbors: what a record itself says about each target, from its own context and channel."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.cells import AFTER, BEFORE, Cells, Places
from model.data.own_records import own_records
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
    cells = Cells(
        Places(context.series_indices, context.times_hours), context.channels, context.values
    )
    asked = Places(targets.series_indices, targets.times_hours)
    found = own_records(cells, asked, targets.channels, num_neighbors=1)
    since, until = found.ages[:, BEFORE, 0], found.ages[:, AFTER, 0]
    return Neighbors(
        targets.channels,
        targets.times_hours,
        np.where(np.isfinite(since), found.values[:, BEFORE, 0], np.nan),
        np.where(np.isfinite(until), found.values[:, AFTER, 0], np.nan),
        np.where(found.counts > 0, found.means, np.nan),
        since,
        until,
    )
