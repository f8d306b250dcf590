"""What is hidden from the model while it learns: single cells, whole rows, or the future.

One pass over the data mixes the three, so that one model imputes and forecasts. A cut in time is
drawn anew in every epoch: each stay then gives another context and another future.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.series import Cohort, hours_since
from model.data.windows import WindowMasks, forecast_masks


@dataclass(frozen=True, kw_only=True)
class TaskMix:
    """Shares of the tasks among the series of a batch, and how much each hides.

    `context_share` is where a forecast cuts a series, as a share of its span; of the rows after the
    cut those within `horizon_hours` are targets, and no more than `horizon_rows` where that is not 0.
    """

    cells_share: float
    rows_share: float
    hidden_fraction: tuple[float, float]
    context_share: tuple[float, float]
    horizon_hours: float
    horizon_rows: int

    def draw(self, cohort: Cohort, generator: np.random.Generator) -> WindowMasks:
        """Draw a task for each series and what it hides."""
        size, owner = len(cohort), cohort.series_indices
        kind = generator.random(size)
        fraction = generator.uniform(*self.hidden_fraction, size)[owner]
        rows = row_numbers(cohort)
        cell_draws = generator.random(len(owner))
        row_draws = generator.random(int(rows[-1]) + 1)[rows]
        first = cohort.times_hours[cohort.offsets[:-1]]
        span = hours_since(cohort.times_hours[cohort.offsets[1:] - 1], first)
        cut = first + span * generator.uniform(*self.context_share, size)
        is_cells = (kind < self.cells_share)[owner]
        is_rows = (kind < self.cells_share + self.rows_share)[owner]
        is_hidden = np.where(is_cells, cell_draws, row_draws) < fraction
        hidden = WindowMasks(~is_hidden, is_hidden)
        return hidden.choose(is_rows, self._future(cohort, cut, rows))

    def _future(
        self,
        cohort: Cohort,
        cut: Float[np.ndarray, " series"],
        rows: Int[np.ndarray, " observation"],
    ) -> WindowMasks:
        masks = forecast_masks(cohort, context_end_hours=cut, horizon_hours=self.horizon_hours)
        if self.horizon_rows == 0:
            return masks
        return WindowMasks(masks.context_mask, masks.target_mask & self._is_near(cohort, cut, rows))

    def _is_near(
        self,
        cohort: Cohort,
        cut: Float[np.ndarray, " series"],
        rows: Int[np.ndarray, " observation"],
    ) -> Bool[np.ndarray, " observation"]:
        """Return whether a row is among the first `horizon_rows` after the cut of its series."""
        owner = cohort.series_indices
        is_before = cohort.times_hours < cut[owner]
        # Rows are numbered in order, so the last row of the context is the largest one before it.
        last = np.full(len(cohort), -1)
        np.maximum.at(last, owner[is_before], rows[is_before])
        first = rows[cohort.offsets[:-1]]
        return rows - np.maximum(last, first - 1)[owner] <= self.horizon_rows


def row_numbers(cohort: Cohort) -> Int[np.ndarray, " observation"]:
    """Return the number of the distinct (series, time) pair that each observation belongs to."""
    owner = cohort.series_indices
    is_new = np.ones(len(owner), dtype=bool)
    is_new[1:] = (np.diff(owner) != 0) | (np.diff(cohort.times_hours) != 0)
    return np.cumsum(is_new) - 1
