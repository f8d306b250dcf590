"""What is asked: times of every series, and the variables at each of them.

    series  one record
    point   one time of one series; a time asked twice is two points
    query   one variable at one point; what an answer belongs to

Points of a series and queries of a point stand in the order in which they are asked, whatever that is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from model.data.series import Cohort, joined_ranges, offsets_from_counts


@dataclass(frozen=True)
class Query:
    """Series `i` owns the points point_offsets[i]:point_offsets[i + 1], and a point its queries."""

    point_offsets: Int[np.ndarray, " series_plus_one"]
    times_hours: Float[np.ndarray, " point"]
    channel_offsets: Int[np.ndarray, " point_plus_one"]
    channels: Int[np.ndarray, " query"]

    @property
    def num_queries(self) -> int:
        """Number of answers."""
        return len(self.channels)

    @property
    def query_offsets(self) -> Int[np.ndarray, " series_plus_one"]:
        """Where the queries of each series begin, with the total at the end."""
        return self.channel_offsets[self.point_offsets]

    @property
    def query_counts(self) -> Int[np.ndarray, " series"]:
        """Number of queries of each series."""
        return np.diff(self.query_offsets)

    @cached_property
    def series_of_points(self) -> Int[np.ndarray, " point"]:
        """The series of each point."""
        return np.repeat(np.arange(len(self.point_offsets) - 1), np.diff(self.point_offsets))

    @cached_property
    def points_of_queries(self) -> Int[np.ndarray, " query"]:
        """The point of each query."""
        return np.repeat(np.arange(len(self.times_hours)), np.diff(self.channel_offsets))

    @property
    def series_of_queries(self) -> Int[np.ndarray, " query"]:
        """The series of each query."""
        return self.series_of_points[self.points_of_queries]

    @classmethod
    def at(cls, target: Cohort) -> "Query":
        """Ask for exactly the (time, channel) pairs of a cohort; its distinct times are the points."""
        times, offsets = target.times_hours, target.offsets
        is_first = np.diff(times, prepend=np.nan) != 0
        is_first[offsets[offsets < len(times)]] = True
        firsts = np.flatnonzero(is_first)
        channel_offsets = np.append(firsts, len(times))
        return cls(
            np.searchsorted(firsts, offsets), times[firsts], channel_offsets, target.channels
        )

    @classmethod
    def grid(
        cls,
        times_hours: Sequence[Float[np.ndarray, " _"]],
        channels: Sequence[Int[np.ndarray, " _"]],
    ) -> "Query":
        """Ask every series for every one of its channels at every one of its times."""
        num_times, num_channels = (
            np.array([len(own) for own in part], dtype=np.int64) for part in (times_hours, channels)
        )
        per_point = np.repeat(num_channels, num_times)
        firsts = np.repeat(offsets_from_counts(num_channels)[:-1], num_times)
        known = np.concatenate([np.empty(0, dtype=np.int64), *channels])
        return cls(
            offsets_from_counts(num_times),
            np.concatenate([np.empty(0), *times_hours]),
            offsets_from_counts(per_point),
            known[joined_ranges(firsts, per_point)],
        )

    def queries_of(self, points: Int[np.ndarray, " chosen"]) -> Int[np.ndarray, " query"]:
        """Return the places of the queries of some points, point by point."""
        return joined_ranges(self.channel_offsets[points], np.diff(self.channel_offsets)[points])

    def select(self, series: Int[np.ndarray, " chosen"]) -> "Query":
        """Return what is asked about the chosen series, in the given order."""
        counts = np.diff(self.point_offsets)[series]
        points = joined_ranges(self.point_offsets[series], counts)
        return self.regroup(points, offsets_from_counts(counts))

    def regroup(
        self, points: Int[np.ndarray, " chosen"], point_offsets: Int[np.ndarray, " owner_plus_one"]
    ) -> "Query":
        """Return the chosen points in the given order, as those of the owners that are told."""
        return Query(
            point_offsets,
            self.times_hours[points],
            offsets_from_counts(np.diff(self.channel_offsets)[points]),
            self.channels[self.queries_of(points)],
        )
