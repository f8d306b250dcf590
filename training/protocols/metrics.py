"""The averages of the published tables."""

import numpy as np
from jaxtyping import Float, Int

from training.protocols.answers import LEVELS


def variable_balanced(
    errors: Float[np.ndarray, " target"], channels: Int[np.ndarray, " target"]
) -> float:
    """Average the errors of each variable, then the variables that have a target.

    t-PatchGNN's metric: a variable with forty targets weighs as much as one with ten thousand.
    """
    counts = np.bincount(channels)
    sums = np.bincount(channels, errors)
    return float(np.mean(sums[counts > 0] / counts[counts > 0]))


def batch_averaged(
    errors: Float[np.ndarray, " target"],
    series: Int[np.ndarray, " target"],
    *,
    num_series: int,
    batch_size: int,
) -> float:
    """Average within batches of series in order, then over batches by their number of series.

    mTAN's metric; nearly the mean over all targets.
    """
    batches = series // batch_size
    num_batches = -(-num_series // batch_size)
    counts = np.bincount(batches, minlength=num_batches)
    sums = np.bincount(batches, errors, num_batches)
    sizes = np.minimum(batch_size, num_series - batch_size * np.arange(num_batches))
    return float(np.sum(sums / np.maximum(counts, 1) * sizes) / num_series)


def zero_filled(
    errors: Float[np.ndarray, " target"],
    channels: Int[np.ndarray, " target"],
    series: Int[np.ndarray, " target"],
    *,
    num_series: int,
    num_channels: int,
) -> float:
    """Average each variable of each series, then all of them, those never observed as zero.

    Rubanova's metric: a quarter below the mean over what was observed.
    """
    cells = series * num_channels + channels
    counts = np.bincount(cells, minlength=num_series * num_channels)
    sums = np.bincount(cells, errors, num_series * num_channels)
    return float(np.mean(sums / np.maximum(counts, 1)))


def pinball(
    quantiles: Float[np.ndarray, "level target"], values: Float[np.ndarray, " target"]
) -> Float[np.ndarray, " target"]:
    """Return twice the quantile loss of each target, averaged over `LEVELS`, as CSDI does."""
    total = np.zeros(len(values))
    for level, quantile in zip(LEVELS, quantiles, strict=True):
        above = values <= quantile
        total += 2 * np.abs((quantile - values) * (above - level))
    return total / len(LEVELS)


def crps_from_levels(
    quantiles: Float[np.ndarray, "level target"], values: Float[np.ndarray, " target"]
) -> Float[np.ndarray, " target"]:
    """Return the CRPS of each target by the trapezoidal rule over `LEVELS`.

    The CRPS is the integral of twice the quantile loss over all levels, which is taken as zero at
    0 and 1. CSDI's average is a twentieth larger.
    """
    return pinball(quantiles, values) * (len(LEVELS) / (len(LEVELS) + 1))


def series_mean(values: Float[np.ndarray, " target"], series: Int[np.ndarray, " target"]) -> float:
    """Average within each series that has a target, then over those series."""
    counts = np.bincount(series)
    sums = np.bincount(series, values)
    return float(np.mean(sums[counts > 0] / counts[counts > 0]))
