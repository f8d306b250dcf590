"""Scores of predictions, numpy only. Arrays are flat over targets; `channels` says whose each is."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

# Two scales this close, relatively, are one: the general formula would divide by their difference.
_SAME_SCALE = 1e-5


@dataclass(frozen=True)
class CoverageTable:
    """Empirical coverage and number of targets by variable and bin; coverage is NaN without any."""

    coverage: Float[np.ndarray, "channel bin"]
    counts: Int[np.ndarray, "channel bin"]


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

    Examples
    --------
    >>> quantiles, levels = np.array([[1.0], [2.0], [3.0]]), np.array([0.25, 0.5, 0.75])
    >>> continuous_ranked_probability_score(quantiles, levels, np.array([2.0])).round(3).tolist()
    [0.333]
    """
    return 2 * pinball_loss(quantiles, levels, values).mean(axis=0)


def is_covered(
    low: Float[np.ndarray, " target"],
    high: Float[np.ndarray, " target"],
    values: Float[np.ndarray, " target"],
) -> Float[np.ndarray, " target"]:
    """Return 1 where the value lies in the closed interval and 0 elsewhere."""
    return ((low <= values) & (values <= high)).astype(float)


def normalized_crps(
    quantiles: Float[np.ndarray, "level target"],
    levels: Float[np.ndarray, " level"],
    values: Float[np.ndarray, " target"],
) -> float:
    """Return twice the mean quantile loss, summed over targets, per sum of absolute values.

    This is the score that CSDI and its successors publish as CRPS, at the levels .05, .10, ..., .95
    (Tashiro et al. 2021); it is not the mean CRPS, and depends on where zero is.
    """
    losses = 2 * pinball_loss(quantiles, levels, values).mean(axis=0)
    return float(losses.sum() / np.abs(values).sum())


def laplace_mixture_crps(
    loc: Float[np.ndarray, "component target"],
    scale: Float[np.ndarray, "component target"],
    weight: Float[np.ndarray, "component target"],
    values: Float[np.ndarray, " target"],
) -> Float[np.ndarray, " target"]:
    """Return the exact CRPS of a mixture of Laplace distributions, E|X - y| - E|X - X'| / 2.

    Both expectations are in closed form: the difference of two independent Laplace variables is
    itself a signed mixture of their two shapes. The cost is that of all pairs of components.
    """
    distance = np.abs(loc - values)
    to_value = (weight * (distance + scale * np.exp(-distance / scale))).sum(axis=0)
    between = 1.5 * (weight**2 * scale).sum(axis=0)
    for one in range(len(loc) - 1):
        rest = slice(one + 1, None)
        gaps = _mean_distance(np.abs(loc[one] - loc[rest]), scale[one], scale[rest])
        between += 2 * weight[one] * (weight[rest] * gaps).sum(axis=0)
    return to_value - between / 2


def interval_score(
    low: Float[np.ndarray, " target"],
    high: Float[np.ndarray, " target"],
    values: Float[np.ndarray, " target"],
    *,
    nominal_coverage: float,
) -> Float[np.ndarray, " target"]:
    """Return the width of a central interval plus 2 / (1 - coverage) times what a value is outside.

    Smallest on average for the true quantiles (Winkler 1972; Gneiting & Raftery 2007, eq. 43).
    """
    outside = np.maximum(low - values, 0) + np.maximum(values - high, 0)
    return high - low + 2 / (1 - nominal_coverage) * outside


def transform_interval(
    quantiles: Float[np.ndarray, "level target"],
    levels: Float[np.ndarray, " level"],
    low: Float[np.ndarray, " target"],
    high: Float[np.ndarray, " target"],
) -> tuple[Float[np.ndarray, " target"], Float[np.ndarray, " target"]]:
    """Return the distribution function at both ends of each value's recorded cell.

    Read off quantiles at rising levels: linear between them, 0 and 1 beyond the outermost ones.
    Between equal quantiles, as those of a score, the lower end takes the first level and the upper
    end the last. `low` and `high` are in the units of the quantiles; equal where a value has no cell.
    """
    num_levels = len(levels)
    ends = []
    for value, is_beyond in ((low, quantiles < low), (high, quantiles <= high)):
        count = is_beyond.sum(axis=0)
        left, right = np.clip(count - 1, 0, num_levels - 1), np.clip(count, 0, num_levels - 1)
        before, after = (np.take_along_axis(quantiles, at[None], axis=0)[0] for at in (left, right))
        gap = after - before
        share = np.where(gap > 0, (value - before) / np.where(gap > 0, gap, 1.0), 0.0)
        between = levels[left] + np.clip(share, 0, 1) * (levels[right] - levels[left])
        ends.append(np.where(count == 0, 0.0, np.where(count == num_levels, 1.0, between)))
    return ends[0], np.maximum(ends[0], ends[1])


def covered_share(
    below: Float[np.ndarray, " target"],
    above: Float[np.ndarray, " target"],
    *,
    low_level: float,
    high_level: float,
) -> Float[np.ndarray, " target"]:
    """Return which share of each value's probability, from `below` to `above`, the interval holds.

    1 or 0 where a value has no cell. For a score or a value that is repeated exactly, no closed
    interval has a coverage of, say, 50 %: the value alone may have more. The share is what a
    randomized interval covers, and its mean is the nominal coverage of a right model.
    """
    overlap = np.minimum(above, high_level) - np.maximum(below, low_level)
    width = above - below
    is_inside = (below >= low_level) & (below <= high_level)
    share = np.clip(overlap, 0, None) / np.where(width > 0, width, 1.0)
    return np.where(width > 0, share, is_inside.astype(float))


def coverage_table(
    covered: Float[np.ndarray, " target"],
    channels: Int[np.ndarray, " target"],
    bins: Int[np.ndarray, " target"],
    *,
    num_channels: int,
    num_bins: int,
) -> CoverageTable:
    """Average what is covered over the targets of each variable and bin, for example of the gap."""
    cells, shape = channels * num_bins + bins, (num_channels, num_bins)
    counts = np.bincount(cells, minlength=num_channels * num_bins)
    return CoverageTable(
        by_variable(covered, cells, num_channels * num_bins).reshape(shape), counts.reshape(shape)
    )


def transform_histogram(
    below: Float[np.ndarray, " target"], above: Float[np.ndarray, " target"], num_bins: int = 20
) -> Float[np.ndarray, " bin"]:
    """Return the share of the probability integral transforms in each of equal bins, summing to one.

    The transform of a value with a cell is spread evenly from `below` to `above`, so that nothing is
    drawn at random (Czado, Gneiting & Held 2009). Flat for a right model.
    """
    edges = np.linspace(0, 1, num_bins + 1)[:, None]
    width = above - below
    position = (edges - below) / np.where(width > 0, width, 1.0)
    reached = np.where(width > 0, np.clip(position, 0, 1), (edges > below).astype(float))
    reached[0], reached[-1] = 0.0, 1.0
    shares: Float[np.ndarray, " bin"] = np.diff(reached.mean(axis=1))
    return shares


def chi_square(shares: Float[np.ndarray, " bin"], num_targets: int) -> float:
    """Return the chi-square statistic of a histogram against a flat one, over its degrees of freedom.

    Near 1 for independent transforms of a right model. Targets of one subject are not independent,
    and spread transforms vary less: it compares models on the same targets, and is no test.
    """
    expected = 1 / len(shares)
    statistic = num_targets * float(((shares - expected) ** 2).sum()) / expected
    return statistic / (len(shares) - 1)


def _mean_distance(
    distance: Float[np.ndarray, "other target"],
    scale: Float[np.ndarray, " target"],
    other_scales: Float[np.ndarray, "other target"],
) -> Float[np.ndarray, "other target"]:
    """Return E|X - X'| of independent Laplace variables whose locations are `distance` apart."""
    decay, other_decay = np.exp(-distance / scale), np.exp(-distance / other_scales)
    difference = scale**2 - other_scales**2
    is_same = np.abs(scale - other_scales) < _SAME_SCALE * scale
    unequal = (scale**3 * decay - other_scales**3 * other_decay) / np.where(is_same, 1, difference)
    middle = (scale + other_scales) / 2
    equal = np.exp(-distance / middle) * (3 * middle + distance) / 2
    return distance + np.where(is_same, equal, unequal)
