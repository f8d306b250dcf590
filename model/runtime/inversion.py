"""Inverting the distribution function of a weighted Laplace mixture, for many levels and queries.

A pair of level and query is a column of its own: it starts from its own bracket and stops by itself,
so that its result is the same, to the bit, whatever else is asked. A level above one half is
solved as the level below one half of the mirrored mixture, where log F keeps its relative precision.
A few steps of Halley's method (third order) without any care find nearly all columns; the others
are found by Newton's method inside a shrinking bracket.
"""

import numpy as np
from jaxtyping import Float

_HALLEY_TURNS = 4
# The third-order error that a step of this size leaves is below the last digits that matter.
_HALLEY_TOLERANCE = 1e-5
# A correction of Newton's step beyond these bounds is no correction.
_LEAST_CORRECTION, _MOST_CORRECTION = 0.5, 2.0
# Newton steps on log F converge in about five turns. Where a kink keeps them from it, every second
# turn halves the bracket from here on.
_NEWTON_TURNS = 12
_MAX_TURNS = 130
# The error that a Newton step of this size leaves is below the last digits; half a bracket is not.
_NEWTON_TOLERANCE = 1e-9
_BRACKET_TOLERANCE = 1e-13
_MIN_DENSITY = 1e-200
_MIN_PROBABILITY = 1e-300
# Numbers in one array of a turn: it stays in the processor's cache.
_MAX_NUMBERS = 2**15


def invert_mixture(
    levels: Float[np.ndarray, "level query"],
    loc: Float[np.ndarray, "component query"],
    scale: Float[np.ndarray, "component query"],
    weight: Float[np.ndarray, "component query"],
    start: Float[np.ndarray, "level query"] | None = None,
) -> Float[np.ndarray, "level query"]:
    """Return the quantiles of each query's mixture at its levels, strictly between 0 and 1.

    `start` holds guesses, which save turns where they are close.
    """
    columns = np.broadcast_to(np.arange(levels.shape[1]), levels.shape).ravel()
    flat = levels.ravel()
    result = np.empty(flat.size)
    num_pieces = 1 + flat.size * len(loc) // _MAX_NUMBERS
    for piece in np.array_split(np.arange(flat.size), num_pieces):
        at = columns[piece]
        guess = None if start is None else start.ravel()[piece]
        result[piece] = _invert(flat[piece], loc[:, at], scale[:, at], weight[:, at], guess)
    return result.reshape(levels.shape)


def reduce_components(
    values: Float[np.ndarray, " component *rest"],
) -> Float[np.ndarray, " *rest"]:
    """Return the sum over the first axis, adding in an order that only its length decides.

    The order of numpy's own sum depends on the length of the other axes, and so would the last bit
    of a query's answer on the number of queries.
    """
    while len(values) > 1:
        half = len(values) // 2
        folded = values[:half] + values[half : 2 * half]
        if len(values) % 2:
            folded[0] += values[-1]
        values = folded
    return values[0]


def _invert(
    levels: Float[np.ndarray, " column"],
    loc: Float[np.ndarray, "component column"],
    scale: Float[np.ndarray, "component column"],
    weight: Float[np.ndarray, "component column"],
    guess: Float[np.ndarray, " column"] | None,
) -> Float[np.ndarray, " column"]:
    """Solve log F(x) = log(level)."""
    sign = np.where(levels > 0.5, -1.0, 1.0)
    level = np.minimum(levels, 1 - levels)
    loc, rate = sign * loc, 1 / scale
    low, high, x = _bracket(level, loc, scale, weight)
    if guess is not None:
        x = np.minimum(np.maximum(sign * guess, low), high)
    before = x
    for _ in range(_HALLEY_TURNS):
        before = x
        step = _halley_step(before, level, loc, rate, weight)
        x = np.minimum(np.maximum(before - step, low), high)
    left = np.flatnonzero(~(np.abs(x - before) <= _HALLEY_TOLERANCE * (1 + np.abs(x))))
    if left.size:
        columns = (loc[:, left], rate[:, left], weight[:, left])
        x[left] = _shrink(level[left], low[left], high[left], x[left], *columns)
    return sign * x


def _halley_step(
    x: Float[np.ndarray, " column"],
    level: Float[np.ndarray, " column"],
    loc: Float[np.ndarray, "component column"],
    rate: Float[np.ndarray, "component column"],
    weight: Float[np.ndarray, "component column"],
) -> Float[np.ndarray, " column"]:
    """Return Halley's step for log F(x) - log(level), with the density and its slope."""
    z = (x - loc) * rate
    tail = weight * (0.5 * np.exp(-np.abs(z)))
    is_left = z < 0
    density = tail * rate
    parts = np.empty((len(loc), 3, x.size))
    parts[:, 0] = np.where(is_left, tail, weight - tail)
    parts[:, 1] = density
    parts[:, 2] = np.where(is_left, density, -density) * rate
    probability, density, slope = reduce_components(parts)
    probability = np.maximum(probability, _MIN_PROBABILITY)
    density = np.maximum(density, _MIN_DENSITY)
    newton = np.log(probability / level) * probability / density
    correction = 1 - 0.5 * newton * (slope / density - density / probability)
    return newton / np.minimum(np.maximum(correction, _LEAST_CORRECTION), _MOST_CORRECTION)


def _shrink(
    level: Float[np.ndarray, " column"],
    low: Float[np.ndarray, " column"],
    high: Float[np.ndarray, " column"],
    x: Float[np.ndarray, " column"],
    loc: Float[np.ndarray, "component column"],
    rate: Float[np.ndarray, "component column"],
    weight: Float[np.ndarray, "component column"],
) -> Float[np.ndarray, " column"]:
    """Solve by Newton steps inside a shrinking bracket."""
    result = np.empty(level.size)
    columns, is_left = np.arange(level.size), np.ones(level.size, dtype=bool)
    for turn in range(_MAX_TURNS):
        probability, density = _lower_tail(x, loc, rate, weight)
        is_below = probability < level
        low, high = np.where(is_below, x, low), np.where(is_below, high, x)
        step = np.log(probability / level) * probability / np.maximum(density, _MIN_DENSITY)
        new = x - step
        # Rounding may put the last step outside the bracket that it closes.
        is_last = np.abs(step) <= _NEWTON_TOLERANCE * (1 + np.abs(x))
        is_newton = (low <= new) & (new <= high) & (turn < _NEWTON_TURNS or turn % 2 == 1)
        new = np.where(is_newton | is_last, new, (low + high) / 2)
        # A column that has stopped stays where it is.
        new = np.where(is_left, new, x)
        is_left &= ~is_last & (np.abs(new - x) > _BRACKET_TOLERANCE * (1 + np.abs(x)))
        x = new
        num_left = np.count_nonzero(is_left)
        if 2 * num_left <= is_left.size:
            result[columns] = x
            if num_left == 0:
                break
            columns, level, x, low, high = (a[is_left] for a in (columns, level, x, low, high))
            loc, rate, weight = loc[:, is_left], rate[:, is_left], weight[:, is_left]
            is_left = is_left[is_left]
    result[columns] = x
    return result


def _bracket(
    level: Float[np.ndarray, " column"],
    loc: Float[np.ndarray, "component column"],
    scale: Float[np.ndarray, "component column"],
    weight: Float[np.ndarray, "component column"],
) -> tuple[
    Float[np.ndarray, " column"], Float[np.ndarray, " column"], Float[np.ndarray, " column"]
]:
    """Return two ends and a start between them, for levels up to one half.

    The quantile lies between those of the components. A component alone reaches the level where its
    own distribution function is level / weight, which bounds a tail that few components make.
    """
    quantiles = loc + scale * np.log(2 * level)
    low, high = quantiles.min(axis=0), quantiles.max(axis=0)
    share = 0.5 * weight
    alone = np.where(level < share, loc + scale * np.log(level / np.maximum(share, level)), np.inf)
    high = np.maximum(low, np.minimum(high, alone.min(axis=0)))
    start = reduce_components(weight * quantiles)
    return low, high, np.minimum(np.maximum(start, low), high)


def _lower_tail(
    x: Float[np.ndarray, " column"],
    loc: Float[np.ndarray, "component column"],
    rate: Float[np.ndarray, "component column"],
    weight: Float[np.ndarray, "component column"],
) -> tuple[Float[np.ndarray, " column"], Float[np.ndarray, " column"]]:
    """Return the distribution function and the density."""
    z = (x - loc) * rate
    tail = weight * (0.5 * np.exp(-np.abs(z)))
    probability = reduce_components(np.where(z < 0, tail, weight - tail))
    return np.maximum(probability, _MIN_PROBABILITY), reduce_components(tail * rate)
