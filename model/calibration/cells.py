"""The cells of a calibration table: variable, how far the nearest own observation is, and the side.

Answers err differently with the distance to the nearest context observation of their own variable,
and inside the record, where there may be an observation on either side, differently from after it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.cells import Places
from model.data.query import Query
from model.data.series import Cohort, hours_since

GAP_EDGES_HOURS = (1.0, 4.0, 12.0)
"""Gaps are 0-1, 1-4, 4-12 and over 12 hours; a variable without any observation is a bin more."""
_NUM_GAPS = len(GAP_EDGES_HOURS) + 2
_NUM_SIDES = 2
CELLS_PER_CHANNEL = _NUM_SIDES * _NUM_GAPS


@dataclass(frozen=True)
class Surroundings:
    """Where queries lie: the variable, the hours to its nearest context observation, the side.

    `gap_hours` is inf for a variable without any observation in the context; `is_after` is True
    after the last context observation of the series, whatever its variable.
    """

    channels: Int[np.ndarray, " query"]
    gap_hours: Float[np.ndarray, " query"]
    is_after: Bool[np.ndarray, " query"]

    @classmethod
    def of(cls, context: Cohort, query: Query, num_channels: int) -> "Surroundings":
        """Look at each query's own series."""
        series, owners = query.series_of_points, query.points_of_queries
        origins = context.times_hours[context.offsets[:-1]]
        asked = hours_since(query.times_hours, origins[series])
        seen = hours_since(context.times_hours, origins[context.series_indices])
        last = seen[context.offsets[1:] - 1]
        gap = _nearest(
            context.series_indices * num_channels + context.channels,
            seen,
            series[owners] * num_channels + query.channels,
            asked[owners],
        )
        return cls(query.channels, gap, (asked > last[series])[owners])

    @cached_property
    def cells(self) -> Int[np.ndarray, " query"]:
        """Return each query's row of a calibration table."""
        gap = np.searchsorted(GAP_EDGES_HOURS, self.gap_hours, side="left")
        gap = np.where(np.isinf(self.gap_hours), _NUM_GAPS - 1, gap)
        return (self.channels * _NUM_SIDES + self.is_after) * _NUM_GAPS + gap


def parent_groups(num_cells: int) -> tuple[Int[np.ndarray, " cell"], ...]:
    """Return the groups that each cell belongs to, from the widest: all, variable, side, cell."""
    cells = np.arange(num_cells)
    return (
        np.zeros(num_cells, dtype=np.int64),
        cells // CELLS_PER_CHANNEL,
        cells // _NUM_GAPS,
        cells,
    )


def _nearest(
    keys: Int[np.ndarray, " observation"],
    times: Float[np.ndarray, " observation"],
    asked_keys: Int[np.ndarray, " query"],
    asked_times: Float[np.ndarray, " query"],
) -> Float[np.ndarray, " query"]:
    """Return the distance to the nearest time of the same key, inf where there is none.

    Observations are sorted by time within a key.
    """
    if keys.size == 0:
        return np.full(len(asked_keys), np.inf)
    order = np.argsort(keys, kind="stable")
    known = Places(keys[order], times[order])
    after = np.searchsorted(known.keys, Places(asked_keys, asked_times).keys)
    nearest = np.stack([np.maximum(after - 1, 0), np.minimum(after, len(order) - 1)])
    distance = np.abs(known.times[nearest] - asked_times)
    return np.where(known.series[nearest] == asked_keys, distance, np.inf).min(axis=0)
