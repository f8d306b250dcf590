"""The cells of a calibration table: variable, how far the nearest own observation is, and the side.

Answers err differently with the distance to the nearest context observation of their own variable,
and inside the record, where there may be an observation on either side, differently from after it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.batch import Query
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
        owners = np.repeat(np.arange(len(context)), np.diff(query.offsets))
        origins = context.times_hours[context.offsets[:-1]]
        asked = hours_since(query.times_hours, origins[owners])
        seen = hours_since(context.times_hours, origins[context.series_indices])
        last = seen[context.offsets[1:] - 1]
        gap = _nearest(
            context.series_indices * num_channels + context.channels,
            seen,
            owners * num_channels + query.channels,
            asked,
        )
        return cls(query.channels, gap, asked > last[owners])

    @property
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
    """Return the distance to the nearest time of the same key, inf where there is none."""
    all_keys, all_times = np.concatenate([keys, asked_keys]), np.concatenate([times, asked_times])
    order = np.lexsort((all_times, all_keys))
    places = np.arange(len(order))
    is_seen = order < len(keys)
    before = np.maximum.accumulate(np.where(is_seen, places, 0))
    after = np.minimum.accumulate(np.where(is_seen, places, len(order) - 1)[::-1])[::-1]
    ordered_keys, ordered_times = all_keys[order], all_times[order]
    distance = np.full(len(order), np.inf)
    for neighbor in (before, after):
        is_own = is_seen[neighbor] & (ordered_keys[neighbor] == ordered_keys)
        hours = np.abs(ordered_times - ordered_times[neighbor])
        distance = np.where(is_own, np.minimum(distance, hours), distance)
    result = np.empty(len(order))
    result[order] = distance
    return result[len(keys) :]
