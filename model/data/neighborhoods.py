"""What a context says about a place: the last and the next value of every channel, means, counts.

A place is a time of a series: a knot of the encoder or a point that is asked about. Neighbors are
found by one forward and one backward fill over the merged observation times and places. Nothing
about a place enters what is said about another place.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float, Int

from model.data.cells import Cells, Places

Array = TypeVar("Array")
Other = TypeVar("Other")


@dataclass(frozen=True)
class Neighborhoods(Generic[Array]):
    """All float32 [place, channel]; values are standardized, ages hours, those of absent neighbors inf."""

    last_values: Array  # 0 where absent
    last_ages: Array
    next_values: Array  # 0 where absent
    next_ages: Array
    means: Array  # of the channel in this series, 0 where never observed
    counts: Array

    def map(self, function: Callable[[Array], Other]) -> "Neighborhoods[Other]":
        """Apply a function to every array."""
        return Neighborhoods(*(function(getattr(self, field.name)) for field in fields(self)))

    def split(self, place: int) -> tuple["Neighborhoods[Array]", "Neighborhoods[Array]"]:
        """Return what is said about the places before the given one, and about the others."""
        arrays = [getattr(self, field.name) for field in fields(self)]
        return (
            Neighborhoods(*(array[:place] for array in arrays)),
            Neighborhoods(*(array[place:] for array in arrays)),
        )


def neighborhoods(
    cells: Cells, places: Places, num_channels: int, *, is_causal: bool = False
) -> Neighborhoods[np.ndarray]:
    """Describe the surroundings of every place; a value at the place's own time is last and next.

    With `is_causal` nothing after a place is said about it: next values are absent, means and
    counts are those up to the place.
    """
    rows, owners = _rows(cells.places)
    merged = _Merged(rows, places)
    table = np.full((len(rows.series), num_channels), -1, dtype=np.int32)
    table[owners, cells.channels] = np.arange(len(cells.values), dtype=np.int32)
    last = _Neighbors.read(merged.latest(table, sign=1), cells, places)
    if is_causal:
        following = _Neighbors.absent(last)
    else:
        following = _Neighbors.read(merged.latest(table, sign=-1), cells, places)
    means, counts = _means(cells, places, num_channels, merged if is_causal else None, owners)
    return Neighborhoods(last.values, last.ages, following.values, following.ages, means, counts)


def _rows(places: Places) -> tuple[Places, Int[np.ndarray, " cell"]]:
    """Return the distinct (series, time) pairs of sorted cells, and the pair of each cell."""
    is_new = np.ones(len(places.series), dtype=bool)
    is_new[1:] = (np.diff(places.series) != 0) | (np.diff(places.times) != 0)
    return Places(places.series[is_new], places.times[is_new]), np.cumsum(is_new) - 1


@dataclass(frozen=True)
class _Neighbors:
    values: Float[np.ndarray, "place channel"]
    ages: Float[np.ndarray, "place channel"]

    @classmethod
    def read(
        cls, nearest: Int[np.ndarray, "place channel"], cells: Cells, places: Places
    ) -> "_Neighbors":
        is_present = (nearest >= 0) & (cells.places.series[nearest] == places.series[:, None])
        ages = np.abs(places.times[:, None] - cells.places.times[nearest])
        return cls(
            np.where(is_present, cells.values[nearest], 0.0).astype(np.float32),
            np.where(is_present, ages, np.inf).astype(np.float32),
        )

    @classmethod
    def absent(cls, like: "_Neighbors") -> "_Neighbors":
        return cls(np.zeros_like(like.values), np.full_like(like.ages, np.inf))


@dataclass(frozen=True)
class _Merged:
    """Observation rows and places in one order of series and time."""

    rows: Places
    places: Places

    def latest(
        self, table: Int[np.ndarray, "row channel"], *, sign: int
    ) -> Int[np.ndarray, "place channel"]:
        """Return for each place and channel the latest cell at or before it (after it for -1).

        A cell of an earlier series, or -1, where the series has none.
        """
        row = self._row_at(sign)
        filled = _forward_fill(table[::sign])[::sign]
        found = filled[np.clip(row, 0, len(filled) - 1)]
        outside = (row < 0) | (row >= len(filled))
        return np.where(outside[:, None], np.int32(-1), found)

    def _row_at(self, sign: int) -> Int[np.ndarray, " place"]:
        """Return the last row at or before each place (for -1: the first at or after it)."""
        num_rows, num_places = len(self.rows.series), len(self.places.series)
        series = np.concatenate([self.rows.series, self.places.series])
        times = np.concatenate([self.rows.times, self.places.times])
        is_place = np.arange(num_rows + num_places) >= num_rows
        order = np.lexsort((is_place if sign > 0 else ~is_place, times, series))
        in_order = is_place[order]
        rows_so_far = np.cumsum(~in_order)
        row = np.empty(num_places, dtype=np.int64)
        row[order[in_order] - num_rows] = rows_so_far[in_order] - (1 if sign > 0 else 0)
        return row

    def row_before(self) -> Int[np.ndarray, " place"]:
        """Return the number of rows at or before each place, over all series."""
        return self._row_at(1) + 1


def _forward_fill(cells: Int[np.ndarray, "row channel"]) -> Int[np.ndarray, "row channel"]:
    """Carry the latest non-negative entry of each column downwards."""
    source = np.where(cells >= 0, np.arange(len(cells), dtype=np.int32)[:, None], 0)
    np.maximum.accumulate(source, axis=0, out=source)
    return np.take_along_axis(cells, source, axis=0)


def _means(
    cells: Cells,
    places: Places,
    num_channels: int,
    merged: _Merged | None,
    owners: Int[np.ndarray, " cell"],
) -> tuple[Float[np.ndarray, "place channel"], Float[np.ndarray, "place channel"]]:
    """Return mean and count of every channel: of the whole series, or with `merged` up to the place."""
    if merged is None:
        at, groups = places.series, cells.places.series
        size = int(max(places.series.max(initial=-1), groups.max(initial=-1))) + 1
        sums, counts = _sums(groups, cells, size, num_channels)
        counts, sums = counts[at], sums[at]
    else:
        rows = merged.rows
        sums, counts = _sums(owners, cells, len(rows.series), num_channels)
        before = merged.row_before()
        first = np.searchsorted(rows.series, places.series)
        sums, counts = (_between(array, first, before) for array in (sums, counts))
    return (sums / np.maximum(counts, 1)).astype(np.float32), counts.astype(np.float32)


def _sums(
    groups: Int[np.ndarray, " cell"], cells: Cells, size: int, num_channels: int
) -> tuple[Float[np.ndarray, "group channel"], Float[np.ndarray, "group channel"]]:
    flat = groups * num_channels + cells.channels
    shape = (size, num_channels)
    sums = np.bincount(flat, weights=cells.values, minlength=size * num_channels)
    counts = np.bincount(flat, minlength=size * num_channels).astype(float)
    return sums.reshape(shape), counts.reshape(shape)


def _between(
    values: Float[np.ndarray, "row channel"],
    first: Int[np.ndarray, " place"],
    end: Int[np.ndarray, " place"],
) -> Float[np.ndarray, "place channel"]:
    """Return the sums of the rows first:end."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    return total[end] - total[first]
