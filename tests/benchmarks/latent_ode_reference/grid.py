"""Windows on a shared time grid: what the reference's encoder and decoder work on.

The reference puts every record of a batch on the union of the batch's times. Times are rounded to a
grid first, or the union would have nearly as many times as the batch has rows.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from model.data.normalization import Normalization
from model.data.windows import Window


@dataclass(frozen=True)
class GridBatch:
    """A batch of windows. Times are steps of the grid since each series' first context observation.

    Inputs hold a column for each channel and then one for each static; `observed_mask` is 1 where
    there is a value. Statics stand at the first time, as in the reference's reader. Targets are flat;
    `target_places` are positions in `target_times`.
    """

    times: Float[Tensor, " time"]
    inputs: Float[Tensor, "time series column"]
    observed_mask: Float[Tensor, "time series column"]
    target_times: Float[Tensor, " target_time"]
    target_places: Int64[Tensor, " target"]
    target_series: Int64[Tensor, " target"]
    target_channels: Int64[Tensor, " target"]
    target_values: Float[Tensor, " target"]

    @property
    def num_series(self) -> int:
        """Records in the batch."""
        return self.inputs.shape[1]

    @classmethod
    def of(cls, window: Window, normalization: Normalization, grid_hours: float) -> "GridBatch":
        """Round, standardize, and average the values of one cell."""
        context, target = window.context, window.target
        origins = context.times_hours[context.offsets[:-1]]
        steps = _steps(context.times_hours, origins[context.series_indices], grid_hours)
        asked = _steps(target.times_hours, origins[target.series_indices], grid_hours)
        times, rows = np.unique(steps, return_inverse=True)
        # The decoder starts at time 0, which may not be among the targets.
        target_times, places = np.unique(np.append(asked, 0), return_inverse=True)
        inputs, mask = _fill(window, normalization, rows, len(times))
        expected = normalization.apply(target.values, target.channels)
        return cls(
            torch.from_numpy(times * grid_hours).float(),
            torch.from_numpy(inputs).float(),
            torch.from_numpy(mask).float(),
            torch.from_numpy(target_times * grid_hours).float(),
            torch.from_numpy(places[:-1]),
            torch.from_numpy(target.series_indices),
            torch.from_numpy(target.channels.astype(np.int64)),
            torch.from_numpy(expected).float(),
        )


def _steps(times: np.ndarray, origins: np.ndarray, grid_hours: float) -> np.ndarray:
    # A target before the first context observation is read at time 0, as our own model does.
    return np.maximum(np.rint((times - origins) / grid_hours), 0).astype(np.int64)


def _fill(
    window: Window, normalization: Normalization, rows: np.ndarray, num_times: int
) -> tuple[np.ndarray, np.ndarray]:
    context = window.context
    num_channels = len(normalization.loc)
    shape = (num_times, len(context), num_channels)
    flat = (rows * len(context) + context.series_indices) * num_channels + context.channels
    size = int(np.prod(shape))
    counts = np.bincount(flat, minlength=size)
    values = normalization.apply(context.values, context.channels)
    means = np.bincount(flat, weights=values, minlength=size) / np.maximum(counts, 1)
    statics = np.zeros((num_times, *context.statics.shape))
    known = np.zeros_like(statics)
    statics[0] = normalization.apply_statics(context.statics)
    known[0] = ~np.isnan(context.statics)
    return (
        np.concatenate([means.reshape(shape), statics], axis=-1),
        np.concatenate([(counts > 0).reshape(shape), known], axis=-1),
    )
