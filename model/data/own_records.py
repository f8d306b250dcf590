"""What the record of the queried variable itself says about a query: its nearest observations.

Found by one sort of the observations and two searches; a query's answer depends on no other query.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.cells import AFTER, Cells, Places

NUM_NEIGHBORS = 8
"""Observations on each side; eight hourly ones are a shift of a nurse."""

# Of a difference between squares, as a share of them.
_ROUNDING = 1e-12

Array = TypeVar("Array")
Other = TypeVar("Other")


@dataclass(frozen=True)
class OwnRecords(Generic[Array]):
    """Nearest first; an absent neighbor has value 0 and age inf. Ages are hours and not negative.

    An observation at the time of the query is on both sides. Means, counts and spreads (standard
    deviations) are of the variable in the whole series, or of what is before the query where the
    record is causal; then nothing is after.
    """

    values: Array  # [query, side, neighbor]
    ages: Array  # [query, side, neighbor]
    means: Array  # [query], 0 where never observed
    counts: Array  # [query]
    spreads: Array  # [query]
    censoring: Array  # [query, side, neighbor], 0 where measured or absent

    def map(self, function: Callable[[Array], Other]) -> "OwnRecords[Other]":
        """Apply a function to every array."""
        return OwnRecords(*(function(getattr(self, field.name)) for field in fields(self)))


def own_records(
    cells: Cells,
    asked: Places,
    channels: Int[np.ndarray, " query"],
    *,
    num_neighbors: int = NUM_NEIGHBORS,
    is_causal: bool = False,
) -> OwnRecords[np.ndarray]:
    """Read the record of every query, (series, time, channel), in any order. Arrays are float64."""
    index = _Index.of(cells, asked, channels)
    steps = np.arange(num_neighbors)
    places = np.stack([index.end - 1, index.begin], axis=1)[:, :, None] + np.stack([-steps, steps])
    is_present = (places >= index.first[:, None, None]) & (places < index.last[:, None, None])
    if is_causal:
        is_present[:, AFTER] = False
    values, ages, censoring = index.read(places, is_present, asked.times)
    means, counts, spreads = index.moments(index.end if is_causal else index.last)
    return OwnRecords(values, ages, means, counts, spreads, censoring)


@dataclass(frozen=True)
class _Index:
    """Cells by series, channel and time, and for every query where its variable's cells stand.

    They are first:last; those at its time or before end at `end`, those at it or after begin at
    `begin`.
    """

    times: Float[np.ndarray, " cell"]
    values: Float[np.ndarray, " cell"]
    censoring: Int[np.ndarray, " cell"]
    first: Int[np.ndarray, " query"]
    begin: Int[np.ndarray, " query"]
    end: Int[np.ndarray, " query"]
    last: Int[np.ndarray, " query"]

    @classmethod
    def of(cls, cells: Cells, asked: Places, channels: Int[np.ndarray, " query"]) -> "_Index":
        num_channels = 1 + int(max(cells.channels.max(initial=0), channels.max(initial=0)))
        groups = cells.places.series.astype(np.int64) * num_channels + cells.channels
        # Cells are sorted by series and time.
        order = np.argsort(groups, kind="stable")
        known = Places(groups[order], cells.places.times[order])
        wanted = Places(asked.series.astype(np.int64) * num_channels + channels, asked.times)
        keys, keys_wanted = known.keys, wanted.keys
        return cls(
            known.times,
            cells.values[order],
            cells.censoring[order],
            np.searchsorted(known.series, wanted.series),
            np.searchsorted(keys, keys_wanted),
            np.searchsorted(keys, keys_wanted, side="right"),
            np.searchsorted(known.series, wanted.series, side="right"),
        )

    def read(
        self,
        places: Int[np.ndarray, "query side neighbor"],
        is_present: Bool[np.ndarray, "query side neighbor"],
        times: Float[np.ndarray, " query"],
    ) -> tuple[Float[np.ndarray, "query side neighbor"], ...]:
        """Return values, ages and on which side of a value the true one lies."""
        if len(self.times) == 0:
            nothing = np.zeros(places.shape)
            return nothing, np.full(places.shape, np.inf), nothing
        found = np.where(is_present, places, 0)
        ages = np.abs(times[:, None, None] - self.times[found])
        return (
            np.where(is_present, self.values[found], 0.0),
            np.where(is_present, ages, np.inf),
            np.where(is_present, self.censoring[found], 0.0),
        )

    def moments(self, end: Int[np.ndarray, " query"]) -> tuple[Float[np.ndarray, " query"], ...]:
        """Return mean, count and standard deviation of the cells first:end."""
        # One integer for both ends: numpy sorts pairs twenty times as slowly.
        size = len(self.values) + 1
        segments, owners = np.unique(self.first * size + end, return_inverse=True)
        ends = np.stack(np.divmod(segments, size), axis=1)
        counts = (ends[:, 1] - ends[:, 0]).astype(float)
        # Each segment is summed for itself: what else is in the batch leaves no rounding in it.
        sums = [
            np.add.reduceat(np.append(powers, 0.0), ends.ravel())[::2] * (counts > 0)
            for powers in (self.values, self.values**2)
        ]
        mean, square = (total / np.maximum(counts, 1) for total in sums)
        variance = square - mean**2
        spread = np.sqrt(np.where(variance > _ROUNDING * square, variance, 0.0))
        return mean[owners], counts[owners], spread[owners]
