"""Ragged series and queries as flat arrays for the network. The only place that pads.

Each series has its own clock, zero at its first context observation. Three index levels:

    cell    one observation: (series, row, channel, value)
    row     one observation time of one series; rows are padded to the longest series of the batch
    point   one query time of one series
    query   one variable at one point; what an answer belongs to

The neighbors of a point, the last and the next context value of every channel around it, are found
by one forward and one backward fill over the merged rows and points. Nothing about a query enters
the features of another query.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float, Int

from model.data.normalization import Normalization
from model.data.series import Cohort, hours_since

Array = TypeVar("Array")
Other = TypeVar("Other")


@dataclass(frozen=True)
class Query:
    """Times and channels asked for: series `i` owns the entries offsets[i]:offsets[i + 1]."""

    offsets: Int[np.ndarray, " series_plus_one"]
    times_hours: Float[np.ndarray, " query"]
    channels: Int[np.ndarray, " query"]

    @classmethod
    def at(cls, target: Cohort) -> "Query":
        """Ask for exactly the (time, channel) pairs of a target cohort."""
        return cls(target.offsets, target.times_hours, target.channels)


@dataclass(frozen=True)
class Batch(Generic[Array]):
    """Network input. Values are standardized, times and ages are hours, ages of absent neighbors inf."""

    row_times: Array  # float32 [series, row], padded with the last time
    row_counts: Array  # int64 [series]
    cell_rows: Array  # int64 [cell], series * num_rows + row
    cell_channels: Array  # int64 [cell]
    cell_values: Array  # float32 [cell]
    statics: Array  # float32 [series, static], 0 where unknown
    known_statics_mask: Array  # bool [series, static]
    series_means: Array  # float32 [series, channel], 0 where never observed
    series_counts: Array  # float32 [series, channel]
    point_series: Array  # int64 [point]
    point_times: Array  # float32 [point]
    last_values: Array  # float32 [point, channel], 0 where absent
    last_ages: Array  # float32 [point, channel]
    next_values: Array  # float32 [point, channel], 0 where absent
    next_ages: Array  # float32 [point, channel]
    last_rows: Array  # int64 [point], position like cell_rows, -1 where absent
    next_rows: Array  # int64 [point], position like cell_rows, -1 where absent
    query_points: Array  # int64 [query]
    query_channels: Array  # int64 [query]

    def map(self, function: Callable[[Array], Other]) -> "Batch[Other]":
        """Apply a function to every array, for example to move it to a device."""
        return Batch(*(function(getattr(self, field.name)) for field in fields(self)))


@dataclass(frozen=True)
class _Rows:
    """Distinct (series, time) pairs in order, and the pair of each entry that they were made from."""

    series: Int[np.ndarray, " row"]
    times: Float[np.ndarray, " row"]
    owners: Int[np.ndarray, " entry"]


@dataclass(frozen=True)
class _Neighbors:
    """On one side of every point: value and age by channel, and the nearest row (-1 where absent)."""

    values: Float[np.ndarray, "point channel"]
    ages: Float[np.ndarray, "point channel"]
    rows: Int[np.ndarray, " point"]


def build_batch(context: Cohort, query: Query, normalization: Normalization) -> Batch[np.ndarray]:
    """Arrange a context cohort (no series empty) and the queries about it.

    Raises
    ------
    ValueError
        If a series has no observation, or the numbers of series differ.
    """
    if len(query.offsets) != len(context) + 1:
        raise ValueError("`query` must have as many series as `context`")
    if np.any(context.counts == 0):
        raise ValueError("every series of `context` needs at least one observation")
    origins = context.times_hours[context.offsets[:-1]]
    series = context.series_indices
    query_series = np.repeat(np.arange(len(context)), np.diff(query.offsets))
    rows = _distinct(series, hours_since(context.times_hours, origins[series]))
    points = _distinct(query_series, hours_since(query.times_hours, origins[query_series]))
    values = normalization.apply(context.values, context.channels)
    num_channels = len(normalization.loc)
    before, after = _neighbors(context.channels, values, rows, points, num_channels)
    row_times, row_counts, positions = _pad_rows(rows, len(context))
    means, counts = _series_means(series, context.channels, values, (len(context), num_channels))
    return Batch(
        row_times=row_times,
        row_counts=row_counts,
        cell_rows=positions[rows.owners],
        cell_channels=context.channels.astype(np.int64),
        cell_values=values.astype(np.float32),
        statics=normalization.apply_statics(context.statics).astype(np.float32),
        known_statics_mask=~np.isnan(context.statics),
        series_means=means,
        series_counts=counts,
        point_series=points.series,
        point_times=points.times.astype(np.float32),
        last_values=before.values,
        last_ages=before.ages,
        next_values=after.values,
        next_ages=after.ages,
        last_rows=np.where(before.rows < 0, -1, positions[before.rows]),
        next_rows=np.where(after.rows < 0, -1, positions[after.rows]),
        query_points=points.owners,
        query_channels=query.channels.astype(np.int64),
    )


def _distinct(series: Int[np.ndarray, " entry"], times: Float[np.ndarray, " entry"]) -> _Rows:
    order = np.lexsort((times, series))
    ordered_series, ordered_times = series[order], times[order]
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (np.diff(ordered_series) != 0) | (np.diff(ordered_times) != 0)
    owners = np.empty(len(order), dtype=np.int64)
    owners[order] = np.cumsum(is_new) - 1
    return _Rows(ordered_series[is_new], ordered_times[is_new], owners)


def _pad_rows(
    rows: _Rows, num_series: int
) -> tuple[
    Float[np.ndarray, "series row"], Int[np.ndarray, " series"], Int[np.ndarray, " distinct"]
]:
    """Return padded times, counts, and the flat padded position of each row."""
    counts = np.bincount(rows.series, minlength=num_series)
    starts = np.cumsum(counts) - counts
    longest = int(counts.max())
    column = np.arange(len(rows.series)) - starts[rows.series]
    last = rows.times[starts + counts - 1]
    padded = np.repeat(last[:, None], longest, axis=1).astype(np.float32)
    padded[rows.series, column] = rows.times
    return padded, counts.astype(np.int64), rows.series * longest + column


def _neighbors(
    channels: Int[np.ndarray, " cell"],
    values: Float[np.ndarray, " cell"],
    rows: _Rows,
    points: _Rows,
    num_channels: int,
) -> tuple[_Neighbors, _Neighbors]:
    """Find the last and the next value of every channel; one at the point's own time is both, age 0.

    The column after the channels carries the row itself.
    """
    num_rows, num_points = len(rows.series), len(points.series)
    series = np.concatenate([rows.series, points.series])
    times = np.concatenate([rows.times, points.times])
    is_point = np.arange(num_rows + num_points) >= num_rows
    cells = np.full((num_rows + num_points, num_channels + 1), -1, dtype=np.int64)
    cells[rows.owners, channels] = np.arange(len(values))
    cells[:num_rows, num_channels] = np.arange(num_rows)
    found = []
    for sign in (1, -1):
        order = np.lexsort((is_point, sign * times, sign * series))
        filled = _forward_fill(cells[order])
        nearest = np.empty((num_points, num_channels + 1), dtype=np.int64)
        position = order[is_point[order]] - num_rows
        nearest[position] = filled[is_point[order]]
        found.append(_read(nearest, values, rows, points))
    return found[0], found[1]


def _forward_fill(cells: Int[np.ndarray, "row channel"]) -> Int[np.ndarray, "row channel"]:
    """Carry the latest non-negative entry of each column downwards."""
    source = np.where(cells >= 0, np.arange(len(cells))[:, None], 0)
    np.maximum.accumulate(source, axis=0, out=source)
    return np.take_along_axis(cells, source, axis=0)


def _read(
    nearest: Int[np.ndarray, "point channel_plus_one"],
    values: Float[np.ndarray, " cell"],
    rows: _Rows,
    points: _Rows,
) -> _Neighbors:
    cells, nearest_rows = nearest[:, :-1], nearest[:, -1]
    owner = rows.owners[cells]
    is_present = (cells >= 0) & (rows.series[owner] == points.series[:, None])
    ages = np.abs(points.times[:, None] - rows.times[owner])
    is_own_row = (nearest_rows >= 0) & (rows.series[nearest_rows] == points.series)
    return _Neighbors(
        np.where(is_present, values[cells], 0.0).astype(np.float32),
        np.where(is_present, ages, np.inf).astype(np.float32),
        np.where(is_own_row, nearest_rows, -1),
    )


def _series_means(
    series: Int[np.ndarray, " cell"],
    channels: Int[np.ndarray, " cell"],
    values: Float[np.ndarray, " cell"],
    shape: tuple[int, int],
) -> tuple[Float[np.ndarray, "series channel"], Float[np.ndarray, "series channel"]]:
    flat = series * shape[1] + channels
    size = shape[0] * shape[1]
    counts = np.bincount(flat, minlength=size)
    means = np.bincount(flat, weights=values, minlength=size) / np.maximum(counts, 1)
    return means.reshape(shape).astype(np.float32), counts.reshape(shape).astype(np.float32)
