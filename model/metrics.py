"""Scores of predictions, numpy only. Arrays are flat over targets; `channels` says whose each is."""

import numpy as np
from jaxtyping import Float, Int


def by_variable(
    scores: Float[np.ndarray, " target"], channels: Int[np.ndarray, " target"], num_channels: int
) -> Float[np.ndarray, " channel"]:
    """Return the mean score of each variable, NaN where it has no target."""
    counts = np.bincount(channels, minlength=num_channels)
    sums = np.bincount(channels, weights=scores, minlength=num_channels)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def mean_over_variables(
    scores: Float[np.ndarray, " target"], channels: Int[np.ndarray, " target"]
) -> float:
    """Return the plain mean over the variables with a target of the variable's mean score."""
    return float(np.nanmean(by_variable(scores, channels, int(channels.max()) + 1)))


def pinball_loss(
    quantiles: Float[np.ndarray, "level target"],
    levels: Float[np.ndarray, " level"],
    values: Float[np.ndarray, " target"],
) -> Float[np.ndarray, "level target"]:
    """Return the quantile loss: (value - quantile) * level above, (quantile - value) * (1 - level) below."""
    difference = values - quantiles
    return np.maximum(levels[:, None] * difference, (levels[:, None] - 1) * difference)


def continuous_ranked_probability_score(
    quantiles: Float[np.ndarray, "level target"],
    levels: Float[np.ndarray, " level"],
    values: Float[np.ndarray, " target"],
) -> Float[np.ndarray, " target"]:
    """Approximate the CRPS by twice the mean quantile loss over evenly spread levels.

    Source: Laio & Tamea 2007, eq. 11, as a quadrature with equal weights.
    """
    return 2 * pinball_loss(quantiles, levels, values).mean(axis=0)


def is_covered(
    low: Float[np.ndarray, " target"],
    high: Float[np.ndarray, " target"],
    values: Float[np.ndarray, " target"],
) -> Float[np.ndarray, " target"]:
    """Return 1 where the value lies in the closed interval and 0 elsewhere."""
    return ((low <= values) & (values <= high)).astype(float)
