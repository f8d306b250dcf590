"""Summaries of the predictive distribution, an equal mixture of Laplace distributions. Numpy only.

One component for each posterior sample of the latent state, in standardized units. Quantiles come
from inverting the mixture's distribution function; moments from a quadrature of each component
after it is turned into canonical units, so that logarithms and bounds are accounted for.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int

from model.data.normalization import Normalization

# Newton steps on log F converge in about six turns; bisection takes over where a kink keeps them
# from it.
_NEWTON_TURNS = 16
_MAX_TURNS = 70
_TOLERANCE = 1e-12
_MIN_DENSITY = 1e-200
_NUM_NODES = 16


@dataclass(frozen=True)
class LaplaceMixture:
    """Location and scale of every component, in standardized units, and the channel of each query."""

    loc: Float[np.ndarray, "component query"]
    scale: Float[np.ndarray, "component query"]
    channels: Int[np.ndarray, " query"]

    def cdf(self, values: Float[np.ndarray, "level query"]) -> Float[np.ndarray, "level query"]:
        """Return the probability of a value at or below each of `values`."""
        z = (values[:, None] - self.loc) / self.scale
        tail = 0.5 * np.exp(-np.abs(z))
        return np.where(z < 0, tail, 1 - tail).mean(axis=1)

    def quantiles(
        self, levels: Float[np.ndarray, " level"], normalization: Normalization
    ) -> Float[np.ndarray, "level query"]:
        """Return quantiles in canonical units, nondecreasing in the level, inside the bounds.

        A level above one half is found as the level below one half of the mirrored mixture.
        """
        each = self.loc + self.scale * laplace_quantile(levels)[:, None, None]
        if len(self.loc) == 1:
            found = each[:, 0]
        else:
            sign = np.where(levels > 0.5, -1.0, 1.0)
            tail = np.minimum(levels, 1 - levels)
            rows = [self._lower_quantile(*pair) for pair in zip(sign, tail, each, strict=True)]
            found = np.stack(rows)
        ordered = np.maximum.accumulate(found[np.argsort(levels)], axis=0)
        standardized = ordered[np.argsort(np.argsort(levels))]
        return normalization.invert(standardized, self.channels[None])

    def _lower_quantile(
        self, sign: float, level: float, each: Float[np.ndarray, "component query"]
    ) -> Float[np.ndarray, " query"]:
        """Solve log F(sign x) = log(level) for level <= 0.5 by Newton steps inside a shrinking bracket.

        The quantile lies between those of the components, `each`. A query stops when its own step
        vanishes, so that its result does not depend on the other queries.
        """
        result = np.empty(each.shape[1])
        left = np.arange(each.shape[1])
        loc, scale, each = sign * self.loc, self.scale, sign * each
        low, high = each.min(axis=0), each.max(axis=0)
        x = _component_mean(each)
        for turn in range(_MAX_TURNS):
            probability, density = _lower_tail(x, loc, scale)
            is_below = probability < level
            low, high = np.where(is_below, x, low), np.where(is_below, high, x)
            slope = np.maximum(density, _MIN_DENSITY) / probability
            new = x - np.log(probability / level) / slope
            if turn >= _NEWTON_TURNS:
                new = (low + high) / 2
            new = np.where((low <= new) & (new <= high), new, (low + high) / 2)
            is_left = np.abs(new - x) > _TOLERANCE * (1 + np.abs(x))
            result[left] = new
            if not is_left.any():
                break
            left, x, low, high = (array[is_left] for array in (left, new, low, high))
            loc, scale = loc[:, is_left], scale[:, is_left]
        return sign * result

    def moments(
        self, normalization: Normalization
    ) -> tuple[
        Float[np.ndarray, " query"], Float[np.ndarray, " query"], Float[np.ndarray, " query"]
    ]:
        """Return mean, latent variance and observation variance in canonical units."""
        # Either half of a Laplace distribution is exponential: Gauss-Laguerre knows its moments exactly.
        nodes, weights = _laguerre_rule(_NUM_NODES)
        at = np.concatenate([-nodes, nodes])[:, None, None]
        weights = np.concatenate([weights, weights])[:, None, None] / 2
        values = normalization.invert(self.loc + self.scale * at, self.channels[None, None])
        means = (weights * values).sum(axis=0)
        variances = (weights * (values - means) ** 2).sum(axis=0)
        return means.mean(axis=0), means.var(axis=0), variances.mean(axis=0)


@cache
def _laguerre_rule(
    num_nodes: int,
) -> tuple[Float[np.ndarray, " node"], Float[np.ndarray, " node"]]:
    """Return nodes and weights; finding them takes longer than using them."""
    return np.polynomial.laguerre.laggauss(num_nodes)


def _lower_tail(
    x: Float[np.ndarray, " query"],
    loc: Float[np.ndarray, "component query"],
    scale: Float[np.ndarray, "component query"],
) -> tuple[Float[np.ndarray, " query"], Float[np.ndarray, " query"]]:
    """Return the distribution function and the density of an equal Laplace mixture."""
    z = (x - loc) / scale
    tail = 0.5 * np.exp(-np.abs(z))
    return _component_mean(np.where(z < 0, tail, 1 - tail)), _component_mean(tail / scale)


def _component_mean(values: Float[np.ndarray, "component query"]) -> Float[np.ndarray, " query"]:
    # numpy's own mean adds in an order that depends on the number of queries, and so would the last bit.
    return sum(values, start=np.zeros(values.shape[1])) / len(values)


def laplace_quantile(levels: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return quantiles of the standard Laplace distribution."""
    centered = levels - 0.5
    return -np.sign(centered) * np.log1p(-2 * np.abs(centered))
