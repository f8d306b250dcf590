"""What is asked about every series of a chunk: times, and the variables at each of them.

    series  one piece of the record of a subject
    point   one time of one series
    query   one variable at one point; a row of the long output

Both are flat and in the order of series, time and channel.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from model.data.batch import Query
from model.data.series import offsets_from_counts


@dataclass(frozen=True)
class Points:
    """Times and channels of each series: ragged, every channel at every time."""

    time_offsets: Int[np.ndarray, " series_plus_one"]
    times_hours: Float[np.ndarray, " point"]
    channel_offsets: Int[np.ndarray, " series_plus_one"]
    channels: Int[np.ndarray, " asked"]

    @property
    def num_queries(self) -> Int[np.ndarray, " series"]:
        """Number of queries of each series."""
        return np.diff(self.time_offsets) * np.diff(self.channel_offsets)

    def between(self, start: int, stop: int) -> "Points":
        """Return the points of the series start:stop."""
        times = self.time_offsets[start : stop + 1]
        channels = self.channel_offsets[start : stop + 1]
        return Points(
            times - times[0],
            self.times_hours[times[0] : times[-1]],
            channels - channels[0],
            self.channels[channels[0] : channels[-1]],
        )

    @property
    def point_series(self) -> Int[np.ndarray, " point"]:
        """The series of each point."""
        counts = np.diff(self.time_offsets)
        return np.repeat(np.arange(len(counts)), counts)

    @property
    def query_points(self) -> Int[np.ndarray, " query"]:
        """The point of each query."""
        counts = np.diff(self.channel_offsets)[self.point_series]
        return np.repeat(np.arange(len(counts)), counts)

    def query(self) -> Query:
        """Lay out every channel at every time."""
        points = self.query_points
        per_point = np.diff(self.channel_offsets)[self.point_series]
        first_of_point = np.cumsum(per_point) - per_point
        places = np.arange(len(points)) - first_of_point[points]
        channels = self.channels[self.channel_offsets[self.point_series[points]] + places]
        return Query(offsets_from_counts(self.num_queries), self.times_hours[points], channels)
