"""What a device makes of the truth, at any time: the law by which the simulator draws its charts.

The sizes are those of `training.datasets.simulated`.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.variables import Catalogue
from training.datasets.simulated import CHARTED, MEAN_OF, charted_items

_LARGEST_NOISE = 3.0  # the simulator cuts its normal draws here
_NUM_DRAWS = 40


def measure(
    truth: Float[np.ndarray, " target"],
    channels: Int[np.ndarray, " target"],
    catalogue: Catalogue,
    generator: np.random.Generator,
) -> Float[np.ndarray, " target"]:
    """Draw what a device would chart of the truth: its error, its rounding, the plausible range.

    A mean pressure comes from noisy systolic and diastolic ones.
    """
    result = truth.copy()
    for channel in np.unique(channels):
        name = catalogue[int(channel)].name
        rows = channels == channel
        noisy = truth[rows] + _device_deviation(truth[rows], name) * _noise(rows.sum(), generator)
        for part, share in zip(MEAN_OF.get(name, ()), (1 / 3, 2 / 3), strict=False):
            noisy += share * CHARTED[part].deviation * _noise(rows.sum(), generator)
        step = CHARTED[name].resolution
        result[rows] = np.clip(step * np.rint(noisy / step), *charted_items()[name].plausible_range)
    return result


def noise_variance(
    truth: Float[np.ndarray, " target"],
    channels: Int[np.ndarray, " target"],
    catalogue: Catalogue,
    generator: np.random.Generator,
) -> Float[np.ndarray, " target"]:
    """Return each variable's mean squared noise, spread over its targets as the device's law says.

    Rounding is part of it: a chart differs from the truth by both.
    """
    squares = np.zeros(len(truth))
    for _ in range(_NUM_DRAWS):
        drawn = measure(truth, channels, catalogue, generator)
        squares += (drawn - truth) ** 2 / _NUM_DRAWS
    result = np.empty(len(truth))
    for channel in np.unique(channels):
        rows: Bool[np.ndarray, " target"] = channels == channel
        law = _device_deviation(truth[rows], catalogue[int(channel)].name) ** 2
        share = law / law.mean() if law.any() else np.ones(rows.sum())
        result[rows] = share * squares[rows].mean()
    return result


def _noise(size: int, generator: np.random.Generator) -> Float[np.ndarray, " draw"]:
    return np.clip(generator.standard_normal(size), -_LARGEST_NOISE, _LARGEST_NOISE)


def _device_deviation(truth: Float[np.ndarray, " target"], name: str) -> np.ndarray:
    how = CHARTED[name]
    deviation: np.ndarray = how.deviation + how.relative_deviation * truth
    return deviation
