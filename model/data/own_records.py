"""What the record of the queried variable itself says about a query: its nearest observations.

Found by one sort of the observations and two searches; a query's answer depends on no other query.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.cells import Cells, Places

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

    values_before: Array  # [query, neighbor]
    ages_before: Array  # [query, neighbor]
    values_after: Array  # [query, neighbor]
    ages_after: Array  # [query, neighbor]
    means: Array  # [query], 0 where never observed
    counts: Array  # [query]
    spreads: Array  # [query]

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
    before = index.end[:, None] - 1 - steps
    after = index.begin[:, None] + steps
    has_before = before >= index.first[:, None]
    has_after = (after < index.last[:, None]) & (not is_causal)
    values_before, ages_before = index.read(before, has_before, asked.times)
    values_after, ages_after = index.read(after, has_after, asked.times)
    means, counts, spreads = index.moments(index.end if is_causal else index.last)
    return OwnRecords(values_before, ages_before, values_after, ages_after, means, counts, spreads)


@dataclass(frozen=True)
class _Index:
    """Cells by series, channel and time, and for every query where its variable's cells stand.

    They are first:last; those at its time or before end at `end`, those at it or after begin at
    `begin`.
    """

    times: Float[np.ndarray, " cell"]
    values: Float[np.ndarray, " cell"]
    first: Int[np.ndarray, " query"]
    begin: Int[np.ndarray, " query"]
    end: Int[np.ndarray, " query"]
    last: Int[np.ndarray, " query"]

    @classmethod
    def of(cls, cells: Cells, asked: Places, channels: Int[np.ndarray, " query"]) -> "_Index":
        num_channels = 1 + int(max(cells.channels.max(initial=0), channels.max(initial=0)))
        groups = cells.places.series.astype(np.int64) * num_channels + cells.channels
        wanted = asked.series.astype(np.int64) * num_channels + channels
        # Ranks instead of times: a key is an exact integer.
        known, ranks = np.unique(
            np.concatenate([cells.places.times, asked.times]), return_inverse=True
        )
        size = max(1, len(known))
        keys = groups * size + ranks[: len(groups)]
        keys_wanted = wanted * size + ranks[len(groups) :]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        return cls(
            cells.places.times[order],
            cells.values[order],
            np.searchsorted(keys, wanted * size),
            np.searchsorted(keys, keys_wanted),
            np.searchsorted(keys, keys_wanted, side="right"),
            np.searchsorted(keys, (wanted + 1) * size),
        )

    def read(
        self,
        places: Int[np.ndarray, "query neighbor"],
        is_present: Bool[np.ndarray, "query neighbor"],
        times: Float[np.ndarray, " query"],
    ) -> tuple[Float[np.ndarray, "query neighbor"], Float[np.ndarray, "query neighbor"]]:
        """Return values and ages."""
        if len(self.times) == 0:
            return np.zeros(places.shape), np.full(places.shape, np.inf)
        found = np.where(is_present, places, 0)
        ages = np.abs(times[:, None] - self.times[found])
        return np.where(is_present, self.values[found], 0.0), np.where(is_present, ages, np.inf)

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
