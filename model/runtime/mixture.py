"""The predictive distribution of every query: a weighted mixture of Laplace distributions. Numpy only.

A component is one posterior draw of the latent state combined with one component of the decoder.
Components are in standardized units; quantiles come from inverting the mixture's distribution
function (`quantiles`), moments from closed forms for each component in canonical units (`component_moments`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from model.data.normalization import Normalization
from model.runtime.component_moments import component_moments
from model.runtime.inversion import invert_mixture, reduce_components


@dataclass(frozen=True)
class Moments:
    """Mean and the two parts of the predictive variance, in canonical units."""

    mean: Float[np.ndarray, " query"]
    latent_variance: Float[np.ndarray, " query"]
    observation_variance: Float[np.ndarray, " query"]


@dataclass(frozen=True)
class LaplaceMixture:
    """Location, scale and weight of every component, in standardized units.

    The weights of a query sum to one. Components stand draw by draw: those of the first of
    `num_draws` posterior draws, then those of the second; `num_draws` divides their number.
    """

    loc: Float[np.ndarray, "component query"]
    scale: Float[np.ndarray, "component query"]
    weight: Float[np.ndarray, "component query"]
    channels: Int[np.ndarray, " query"]
    num_draws: int = 1

    def cdf(self, values: Float[np.ndarray, "level query"]) -> Float[np.ndarray, "level query"]:
        """Return the probability of a standardized value at or below each of `values`."""
        z = (values - self.loc[:, None]) / self.scale[:, None]
        tail = 0.5 * np.exp(-np.abs(z))
        return reduce_components(self.weight[:, None] * np.where(z < 0, tail, 1 - tail))

    def log_density(self, values: Float[np.ndarray, " query"]) -> Float[np.ndarray, " query"]:
        """Return the logarithm of the density at standardized values."""
        distance = np.abs(values - self.loc) / self.scale
        return _log_sum(_log(self.weight) - np.log(2 * self.scale) - distance)

    def log_mass(
        self, low: Float[np.ndarray, " query"], high: Float[np.ndarray, " query"]
    ) -> Float[np.ndarray, " query"]:
        """Return the logarithm of the probability between `low` and `high`, which may be infinite.

        No difference of two numbers close to one is taken: an interval far out in a tail has its
        probability to full relative precision.
        """
        from_low, from_high = (low - self.loc) / self.scale, (high - self.loc) / self.scale
        nearest = np.where(from_low > 0, from_low, np.where(from_high < 0, -from_high, 0.0))
        with np.errstate(over="ignore", invalid="ignore"):
            one_sided = 0.5 * -np.expm1(from_low - from_high)
            astride = -0.5 * (
                np.expm1(np.minimum(from_low, 0)) + np.expm1(-np.maximum(from_high, 0))
            )
        share = np.where(nearest > 0, one_sided, astride)
        return _log_sum(_log(self.weight) + _log(share) - nearest)

    def log_likelihood(
        self, low: Float[np.ndarray, " query"], high: Float[np.ndarray, " query"]
    ) -> Float[np.ndarray, " query"]:
        """Return log mass where `low` < `high` (an interval-censored value), log density elsewhere.

        The two ends are those of `Normalization.interval`.
        """
        is_interval = low < high
        point = np.where(is_interval, 0.0, low)
        return np.where(is_interval, self.log_mass(low, high), self.log_density(point))

    def probability_integral_transform(
        self,
        low: Float[np.ndarray, " query"],
        high: Float[np.ndarray, " query"],
        uniform: Float[np.ndarray, " query"],
    ) -> Float[np.ndarray, " query"]:
        """Return F(low) + uniform (F(high) - F(low)): uniform if the mixture is right.

        The randomized transform of an interval-censored value (Brockwell 2007); `uniform` has no
        effect where `low` equals `high`.
        """
        below, above = self.cdf(np.stack([low, high]))
        return np.clip(below + uniform * (above - below), 0.0, 1.0)

    def quantiles(
        self,
        levels: Float[np.ndarray, "level query"] | Float[np.ndarray, " level"],
        normalization: Normalization,
    ) -> Float[np.ndarray, "level query"]:
        """Return quantiles in canonical units: nondecreasing in the level, inside the bounds.

        Levels lie strictly between 0 and 1 and may differ from query to query. The quantiles of a
        variable on a grid are the smallest grid values whose cells reach the level.
        """
        found = self.standardized_quantiles(levels)
        canonical = normalization.invert(found, self.channels[None])
        return normalization.to_grid(canonical, self.channels[None])

    def standardized_quantiles(
        self, levels: Float[np.ndarray, "level query"] | Float[np.ndarray, " level"]
    ) -> Float[np.ndarray, "level query"]:
        """Return quantiles in standardized units, nondecreasing in the level."""
        asked = levels[:, None] if levels.ndim == 1 else levels
        asked = np.broadcast_to(asked, (len(levels), self.loc.shape[1]))
        found = invert_mixture(asked, self.loc, self.scale, self.weight)
        if np.all(asked[1:] >= asked[:-1]):
            return np.maximum.accumulate(found, axis=0)
        order = np.argsort(asked, axis=0, kind="stable")
        ordered = np.maximum.accumulate(np.take_along_axis(found, order, axis=0), axis=0)
        result = np.empty_like(ordered)
        np.put_along_axis(result, order, ordered, axis=0)
        return result

    def moments(self, normalization: Normalization) -> Moments:
        """Return mean, variance between the draws' means, and mean variance within a draw."""
        means, variances = component_moments(self.loc, self.scale, self.channels, normalization)
        weight, mean_of, variance_of = map(self._by_draw, (self.weight, means, variances))
        share = reduce_components(weight)
        draw_means = reduce_components(weight * mean_of) / share
        spread = variance_of + (mean_of - draw_means) ** 2
        mean = reduce_components(share * draw_means)
        low, high = normalization.low[self.channels], normalization.high[self.channels]
        return Moments(
            # Rounding must not take an answer out of the plausible range.
            mean=np.minimum(np.maximum(mean, low), high),
            latent_variance=reduce_components(share * (draw_means - mean) ** 2),
            observation_variance=reduce_components(reduce_components(weight * spread)),
        )

    def _by_draw(
        self, values: Float[np.ndarray, "component query"]
    ) -> Float[np.ndarray, "one draw query"]:
        """Give draws an axis of their own, after that of a draw's components."""
        shape = (self.num_draws, len(self.loc) // self.num_draws, self.loc.shape[1])
        return values.reshape(shape).swapaxes(0, 1)


def _log(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    with np.errstate(divide="ignore"):
        return np.log(values)


def _log_sum(terms: Float[np.ndarray, "component query"]) -> Float[np.ndarray, " query"]:
    """Return log(sum(exp(terms))) over components, -inf where every term is."""
    top = terms.max(axis=0)
    shift = np.where(np.isfinite(top), top, 0.0)
    return _log(reduce_components(np.exp(terms - shift))) + shift
