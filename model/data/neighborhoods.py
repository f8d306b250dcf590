"""What a context says about a place: the last and the next value of every channel, means, counts.

A place is a time of a series: a knot of the encoder or a point that is asked about. Neighbors are
found by one forward and one backward fill over the observation times. Nothing about a place enters
what is said about another place.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.cells import AFTER, Cells, Places

Array = TypeVar("Array")
Other = TypeVar("Other")


@dataclass(frozen=True)
class Neighborhoods(Generic[Array]):
    """Float32 but for `censoring`; values are standardized, ages hours, those of absent neighbors inf.

    Side `BEFORE` has the last value at or before the place, side `AFTER` the next at or after it.
    `censoring` says where the true value lies, seen from `values`: -1, 0 (measured, absent) or 1.
    """

    values: Array  # [place, side, channel], 0 where absent
    ages: Array  # [place, side, channel]
    means: Array  # [place, channel], of the channel in this series, 0 where never observed
    counts: Array  # [place, channel]
    censoring: Array  # int8 [place, side, channel]

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
    """Describe the surroundings of every place; a value at the place's own time is on both sides.

    With `is_causal` nothing after a place is said about it: next values are absent, means and
    counts are those up to the place.
    """
    rows, owners = _rows(cells.places)
    table = np.full((len(rows.series), num_channels), -1, dtype=np.int32)
    table[owners, cells.channels] = np.arange(len(cells.values), dtype=np.int32)
    keys, wanted = rows.keys, places.keys
    num_before = np.searchsorted(keys, wanted, side="right")
    nearest = _nearest_cells(table, np.searchsorted(keys, wanted), num_before)
    is_present = (nearest >= 0) & (cells.places.series[nearest] == places.series[:, None, None])
    if is_causal:
        is_present[:, AFTER] = False
        means, counts = _means_before(cells, places, num_channels, rows, owners, num_before)
    else:
        means, counts = _means(cells, places, num_channels)
    ages = np.abs(places.times[:, None, None] - cells.places.times[nearest])
    return Neighborhoods(
        np.where(is_present, cells.values.astype(np.float32)[nearest], np.float32(0.0)),
        np.where(is_present, ages, np.inf).astype(np.float32),
        means,
        counts,
        _censoring(cells, nearest, is_present),
    )


def _censoring(
    cells: Cells,
    nearest: Int[np.ndarray, "place side channel"],
    is_present: Bool[np.ndarray, "place side channel"],
) -> Int[np.ndarray, "place side channel"]:
    if not cells.censoring.any():
        # Most records have no limit: nothing is looked up then.
        return np.zeros(nearest.shape, dtype=np.int8)
    return np.where(is_present, cells.censoring[nearest], np.int8(0))


def _rows(places: Places) -> tuple[Places, Int[np.ndarray, " cell"]]:
    """Return the distinct (series, time) pairs of sorted cells, and the pair of each cell."""
    is_new = np.ones(len(places.series), dtype=bool)
    is_new[1:] = (places.series[1:] != places.series[:-1]) | (places.times[1:] != places.times[:-1])
    return Places(places.series[is_new], places.times[is_new]), np.cumsum(is_new) - 1


def _nearest_cells(
    table: Int[np.ndarray, "row channel"],
    begin: Int[np.ndarray, " place"],
    end: Int[np.ndarray, " place"],
) -> Int[np.ndarray, "place side channel"]:
    """Return the latest cell in the rows before `end`, and the first in those from `begin` on.

    It may be a cell of another series; -1 where there is none. Cells are numbered in the order of
    the rows, so that the latest so far is the largest so far.
    """
    num_rows = len(table)
    latest = np.maximum.accumulate(table, axis=0)
    none = np.iinfo(np.int32).max
    first = np.minimum.accumulate(np.where(table < 0, none, table)[::-1], axis=0)[::-1]
    result = np.stack(
        [latest[np.maximum(end - 1, 0)], first[np.minimum(begin, num_rows - 1)]], axis=1
    )
    result[end == 0, 0] = -1
    result[begin == num_rows, 1] = -1
    result[result == none] = -1
    return result


def _means(
    cells: Cells, places: Places, num_channels: int
) -> tuple[Float[np.ndarray, "place channel"], Float[np.ndarray, "place channel"]]:
    """Return mean and count of every channel in the whole series."""
    at, groups = places.series, cells.places.series
    size = int(max(at.max(initial=-1), groups.max(initial=-1))) + 1
    sums, counts = _sums(groups, cells, size, num_channels)
    means = (sums / np.maximum(counts, 1)).astype(np.float32)
    return means[at], counts.astype(np.float32)[at]


def _means_before(
    cells: Cells,
    places: Places,
    num_channels: int,
    rows: Places,
    owners: Int[np.ndarray, " cell"],
    num_before: Int[np.ndarray, " place"],
) -> tuple[Float[np.ndarray, "place channel"], Float[np.ndarray, "place channel"]]:
    """Return mean and count of every channel up to the place."""
    sums, counts = _sums(owners, cells, len(rows.series), num_channels)
    first = np.searchsorted(rows.series, places.series)
    sums, counts = (_between(array, first, num_before) for array in (sums, counts))
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
