"""Closed-form moments of clipped Laplace components against quadrature of the definition."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from model.data.normalization import Normalization
from model.runtime.component_moments import component_moments

LINEAR, LOG = 0, 1
LOW, HIGH, OFFSET = np.array([-1.0, 0.5]), np.array([2.0, 9.0]), 0.25


def normalization(*, is_bounded: bool = True) -> Normalization:
    """A linear channel and one with a logarithm, in units of their own."""
    free = np.array([np.inf, np.inf])
    return Normalization(
        loc=np.array([0.3, 0.9]),
        scale=np.array([0.7, 0.6]),
        log_offset=np.array([np.nan, OFFSET]),
        low=LOW if is_bounded else np.array([-np.inf, -OFFSET]),
        high=HIGH if is_bounded else free,
        static_loc=np.zeros(0),
        static_scale=np.ones(0),
        resolution=np.full(2, np.nan),
        grid=np.full(2, np.nan),
    )


def found(loc: float, scale: float, channel: int, units: Normalization) -> tuple[float, float]:
    mean, variance = component_moments(
        np.array([[loc]]), np.array([[scale]]), np.array([channel]), units
    )
    return float(mean[0, 0]), float(variance[0, 0])


def expected(loc: float, scale: float, channel: int, units: Normalization) -> tuple[float, float]:
    """Integrate over the probability, with every kink at the end of a piece."""

    def value(level: float) -> float:
        standardized = stats.laplace.ppf(level, loc, scale)
        return float(units.invert(np.array([standardized]), np.array([channel]))[0])

    ends = [units.low[channel], units.high[channel]]
    kinks = stats.laplace.cdf(units.apply(np.array(ends), np.full(2, channel)), loc, scale)
    pieces = np.unique([0.0, 0.5, 1.0, *np.clip(kinks, 0, 1)])
    first, second = (
        sum(
            integrate.quad(lambda level: value(level) ** power, low, high, limit=200)[0]  # noqa: B023
            for low, high in pairwise(pieces)
        )
        for power in (1, 2)
    )
    return first, second - first**2


@pytest.mark.parametrize("channel", [LINEAR, LOG])
@pytest.mark.parametrize("loc", [-40.0, -2.0, -0.4, 0.0, 0.8, 2.5, 40.0])
@pytest.mark.parametrize("scale", [0.05, 0.4, 1 / 0.6, 3.0])
def test_they_are_those_of_the_clipped_value(channel: int, loc: float, scale: float) -> None:
    units = normalization()
    mean, variance = found(loc, scale, channel, units)
    true_mean, true_variance = expected(loc, scale, channel, units)
    assert mean == pytest.approx(true_mean, abs=1e-6)
    assert variance == pytest.approx(true_variance, abs=1e-5)
    assert variance >= 0
    assert LOW[channel] - 1e-12 <= mean <= HIGH[channel] + 1e-12


@pytest.mark.parametrize("scale", [0.01, 0.3, 0.7])
def test_without_bounds_they_are_the_known_ones(scale: float) -> None:
    units = normalization(is_bounded=False)
    mean, variance = found(0.2, scale, LINEAR, units)
    assert mean == pytest.approx(0.3 + 0.7 * 0.2, rel=1e-12)
    assert variance == pytest.approx(2 * (0.7 * scale) ** 2, rel=1e-12)
    # E[exp(t X)] = exp(t loc) / (1 - (t b)**2) for a Laplace X with scale b < 1 / t.
    mean, variance = found(0.2, scale, LOG, units)
    center, spread = 0.9 + 0.6 * 0.2, 0.6 * scale
    first, second = (np.exp(t * center) / (1 - (t * spread) ** 2) for t in (1, 2))
    assert mean == pytest.approx(first - OFFSET, rel=1e-9)
    assert variance == pytest.approx(second - first**2, rel=1e-9)


def test_a_query_does_not_depend_on_its_company() -> None:
    generator = np.random.default_rng(3)
    channels = generator.integers(0, 2, 20)
    loc, scale = generator.standard_normal((5, 20)), generator.uniform(0.01, 2, (5, 20))
    together = component_moments(loc, scale, channels, normalization())
    for query in range(20):
        own = [query]
        alone = component_moments(loc[:, own], scale[:, own], channels[own], normalization())
        for one, all_ in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one[:, 0], all_[:, query])
