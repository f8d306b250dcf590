"""Mean and variance of Laplace components in canonical units, bounds and logarithms included.

A value is h(clip(Y, low, high)) for a Laplace Y with center m and scale s in transformed units, where
h is y, or exp(y) - offset. With c = clip(m, low, high) integration by parts gives

    E[h] = h(c) + int_c^high h'(y) (1 - F(y)) dy - int_low^c h'(y) F(y) dy,

and in both integrals F or 1 - F is a single exponential, so that they are closed forms, exact for any
bound. Numpy only.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from model.data.normalization import Normalization

# exp(-700) is the smallest number but for subnormal ones: nothing is left of a tail beyond.
_FARTHEST_SCALES = 700.0
_SMALLEST = 1e-300


def component_moments(
    loc: Float[np.ndarray, "component query"],
    scale: Float[np.ndarray, "component query"],
    channels: Int[np.ndarray, " query"],
    normalization: Normalization,
) -> tuple[Float[np.ndarray, "component query"], Float[np.ndarray, "component query"]]:
    """Return mean and variance of every component; `loc` and `scale` are standardized."""
    unit = normalization.scale[channels]
    center, spread = loc * unit + normalization.loc[channels], scale * unit
    low, high = normalization.low[channels], normalization.high[channels]
    offset = normalization.log_offset[channels]
    is_log = ~np.isnan(offset)
    if not is_log.any():
        return _linear_moments(_Pieces.of(center, spread, low, high))
    with np.errstate(divide="ignore"):
        low, high = (
            np.where(is_log, np.log(np.where(is_log, end + offset, 1.0)), end)
            for end in (low, high)
        )
    pieces = _Pieces.of(center, spread, low, high)
    if is_log.all():
        return _log_moments(pieces, offset)
    means, variances = np.empty(loc.shape), np.empty(loc.shape)
    for chosen, moments in (
        (np.flatnonzero(~is_log), _linear_moments),
        (np.flatnonzero(is_log), lambda part: _log_moments(part, offset[is_log])),
    ):
        means[:, chosen], variances[:, chosen] = moments(pieces.select(chosen))
    return means, variances


@dataclass(frozen=True)
class _Pieces:
    """Where components lie between their bounds, in transformed units.

    `middle` is the center, clipped; `to_low` and `to_high` are the distances from there to the
    bounds in scales. `above` is 1 where the center is not below the low bound, else how much of the
    tail is left there, and `below` the same at the high bound.
    """

    middle: Float[np.ndarray, "component query"]
    spread: Float[np.ndarray, "component query"]
    to_low: Float[np.ndarray, "component query"]
    to_high: Float[np.ndarray, "component query"]
    above: Float[np.ndarray, "component query"]
    below: Float[np.ndarray, "component query"]

    @classmethod
    def of(
        cls,
        center: Float[np.ndarray, "component query"],
        spread: Float[np.ndarray, "component query"],
        low: Float[np.ndarray, " query"],
        high: Float[np.ndarray, " query"],
    ) -> "_Pieces":
        middle = np.minimum(np.maximum(center, low), high)
        outside = (center - middle) / spread
        return cls(
            middle,
            spread,
            np.minimum((middle - low) / spread, _FARTHEST_SCALES),
            np.minimum((high - middle) / spread, _FARTHEST_SCALES),
            np.exp(np.minimum(outside, 0.0)),
            np.exp(-np.maximum(outside, 0.0)),
        )

    def select(self, queries: Int[np.ndarray, " chosen"]) -> "_Pieces":
        """Return some of the queries."""
        return _Pieces(*(part[:, queries] for part in vars(self).values()))


def _linear_moments(
    pieces: _Pieces,
) -> tuple[Float[np.ndarray, "component query"], Float[np.ndarray, "component query"]]:
    """Return mean and variance of the clipped values themselves."""
    at_low, at_high = np.exp(-pieces.to_low), np.exp(-pieces.to_high)
    first = 0.5 * (pieces.above * (1 - at_high) - pieces.below * (1 - at_low))
    second = pieces.above * (1 - (1 + pieces.to_high) * at_high)
    second += pieces.below * (1 - (1 + pieces.to_low) * at_low)
    variance = np.maximum(second - first**2, 0.0)
    return pieces.middle + pieces.spread * first, pieces.spread**2 * variance


def _log_moments(
    pieces: _Pieces, offset: Float[np.ndarray, " query"]
) -> tuple[Float[np.ndarray, "component query"], Float[np.ndarray, "component query"]]:
    """Return mean and variance of exp(clipped value) - offset."""
    middle = np.exp(pieces.middle)
    first, second = (_relative_moment(pieces, power) for power in (1, 2))
    variance = np.maximum(second - 2 * first - first**2, 0.0)
    return middle * (1 + first) - offset, middle**2 * variance


def _relative_moment(pieces: _Pieces, power: int) -> Float[np.ndarray, "component query"]:
    """Return E[exp(power * (clipped value - middle))] - 1."""
    rate = power * pieces.spread
    # (e^x - 1) / x, the limit of which is 1: a tail that falls as fast as the exponential rises.
    x = (rate - 1) * pieces.to_high
    x = np.where(np.abs(x) < _SMALLEST, _SMALLEST, x)
    rising = pieces.above * pieces.to_high * np.expm1(x) / x
    falling = pieces.below * -np.expm1(-(rate + 1) * pieces.to_low) / (rate + 1)
    return 0.5 * rate * (rising - falling)
