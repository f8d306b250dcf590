"""Long series as windows of the length that the model was trained on.

A stay of ten days is answered from windows of 48 hours: a point at time t sees the window of the
24-hour block that t lies in, with 12 hours on each side; a point after the last observation sees
the last 48 hours. Which window answers depends on the series and on t alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from model.data.query import Query
from model.data.series import Cohort, Series, hours_since, joined_ranges, offsets_from_counts

WINDOW_HOURS = 48.0
_BLOCK_HOURS = 24.0
_MARGIN_HOURS = 12.0


@dataclass(frozen=True)
class RollingWindows:
    """Context windows, the queries that each answers, and where these stood in the request.

    `owners` is the series of each window.
    """

    context: Cohort
    query: Query
    positions: Int[np.ndarray, " query"]
    owners: Int[np.ndarray, " window"]

    def select(self, windows: Int[np.ndarray, " chosen"]) -> "RollingWindows":
        """Return some of the windows with their queries; `positions` still point into the request."""
        if np.array_equal(windows, np.arange(len(self.context))):
            return self
        query = self.query
        rows = joined_ranges(query.query_offsets[windows], query.query_counts[windows])
        return RollingWindows(
            self.context.select(windows),
            query.select(windows),
            self.positions[rows],
            self.owners[windows],
        )

    def pieces(self, max_queries: int) -> Iterator[Int[np.ndarray, " chosen"]]:
        """Group windows, in order, so that a group has at most `max_queries` queries, or one window."""
        group = np.cumsum(self.query.query_counts) // max_queries
        for number in np.unique(group):
            yield np.flatnonzero(group == number)

    def maximum(self, values: Float[np.ndarray, " window"]) -> Float[np.ndarray, " series"]:
        """Return the largest value of each series' windows."""
        result = np.full(int(self.owners.max()) + 1, -np.inf)
        np.maximum.at(result, self.owners, values)
        return result


def roll(context: Cohort, query: Query) -> RollingWindows:
    """Split the series that are longer than a window. Short ones pass through as they are."""
    if not np.any(_spans(context) > WINDOW_HOURS):
        everything = np.arange(query.num_queries)
        return RollingWindows(context, query, everything, np.arange(len(context)))
    contexts: list[Series] = []
    points: list[np.ndarray] = []
    owners: list[int] = []
    for index, series in enumerate(context):
        asked = np.arange(*query.point_offsets[index : index + 2])
        for window, chosen in _windows(series, query.times_hours[asked]):
            contexts.append(window)
            points.append(asked[chosen])
            owners.append(index)
    order = np.concatenate(points)
    offsets = offsets_from_counts(np.array([len(chosen) for chosen in points]))
    return RollingWindows(
        Cohort.from_series(contexts),
        query.regroup(order, offsets),
        query.queries_of(order),
        np.array(owners),
    )


def _spans(context: Cohort) -> Float[np.ndarray, " series"]:
    first, last = context.offsets[:-1], context.offsets[1:] - 1
    return hours_since(context.times_hours[last], context.times_hours[first])


def _windows(
    series: Series, point_times: Float[np.ndarray, " point"]
) -> Iterator[tuple[Series, Int[np.ndarray, " chosen"]]]:
    since = hours_since(series.times_hours, series.times_hours[0])
    span = since[-1]
    if span <= WINDOW_HOURS:
        yield series, np.arange(len(point_times))
        return
    asked = hours_since(point_times, series.times_hours[0])
    last_block = int((span - WINDOW_HOURS) // _BLOCK_HOURS) + 1
    block = np.clip(asked // _BLOCK_HOURS, 0, last_block).astype(int)
    is_after = asked > span
    for number in np.unique(block[~is_after]):
        start = number * _BLOCK_HOURS - _MARGIN_HOURS
        chosen = np.flatnonzero(~is_after & (block == number))
        yield _between(series, since, start), chosen
    if is_after.any() or len(asked) == 0:
        yield _between(series, since, span - WINDOW_HOURS), np.flatnonzero(is_after)


def _between(series: Series, since: Float[np.ndarray, " observation"], start: float) -> Series:
    """Cut a window; where nothing was observed for so long, the nearest window that holds something.

    No window is longer than the model was trained on, however long the record is silent.
    """
    left, right = _bounds(since, start)
    if left == right:
        before = since[left - 1] if left > 0 else -np.inf
        after = since[left] if left < len(since) else np.inf
        is_before_nearer = start - before <= after - (start + WINDOW_HOURS)
        left, right = _bounds(since, before - WINDOW_HOURS if is_before_nearer else after)
    return Series(
        series.subject_id,
        series.times_hours[left:right],
        series.channels[left:right],
        series.values[left:right],
        series.statics,
        series.censoring[left:right],
    )


def _bounds(since: Float[np.ndarray, " observation"], start: float) -> tuple[int, int]:
    left = int(np.searchsorted(since, start))
    return left, int(np.searchsorted(since, start + WINDOW_HOURS, side="right"))
