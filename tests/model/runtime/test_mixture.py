"""Quantiles and moments of the mixture against scipy, numeric inversion and Monte Carlo."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq

from model.data.normalization import Normalization
from model.runtime.mixture import LaplaceMixture, laplace_quantile

LEVELS = np.array([0.001, 0.05, 0.25, 0.5, 0.73, 0.95, 0.999])


def normalization(
    *, loc: float = 0.0, scale: float = 1.0, log_offset: float = np.nan, bound: float = 1e9
) -> Normalization:
    low = -log_offset if np.isfinite(log_offset) else -bound
    return Normalization(
        loc=np.array([loc]),
        scale=np.array([scale]),
        log_offset=np.array([log_offset]),
        low=np.array([low]),
        high=np.array([bound]),
        static_loc=np.zeros(0),
        static_scale=np.ones(0),
    )


PLAIN = normalization()


def mixture(loc: np.ndarray, scale: np.ndarray) -> LaplaceMixture:
    return LaplaceMixture(loc, scale, np.zeros(loc.shape[1], dtype=np.int64))


def random_mixture(
    generator: np.random.Generator, *, num_components: int = 8, num_queries: int = 40
) -> LaplaceMixture:
    """Components from nearly one to far apart, with scales over three orders of magnitude."""
    spread = 10 ** generator.uniform(-2, 1.5, num_queries)
    shape = (num_components, num_queries)
    return mixture(spread * generator.standard_normal(shape), 10 ** generator.uniform(-2, 1, shape))


def test_laplace_quantiles_are_those_of_scipy() -> None:
    np.testing.assert_allclose(laplace_quantile(LEVELS), stats.laplace.ppf(LEVELS), atol=1e-12)


def test_one_component_has_the_quantiles_of_scipy() -> None:
    generator = np.random.default_rng(0)
    one = random_mixture(generator, num_components=1)
    expected = stats.laplace.ppf(LEVELS[:, None], one.loc[0], one.scale[0])
    np.testing.assert_allclose(one.quantiles(LEVELS, PLAIN), expected, atol=1e-10)


def test_equal_components_are_one_component() -> None:
    loc, scale = np.full((8, 1), 1.5), np.full((8, 1), 0.3)
    expected = stats.laplace.ppf(LEVELS[:, None], 1.5, 0.3)
    np.testing.assert_allclose(mixture(loc, scale).quantiles(LEVELS, PLAIN), expected, atol=1e-10)


def test_the_distribution_function_is_the_mean_of_scipys() -> None:
    many = random_mixture(np.random.default_rng(1))
    at = np.random.default_rng(2).normal(0, 5, (3, 40))
    expected = stats.laplace.cdf(at[:, None], many.loc, many.scale).mean(axis=1)
    np.testing.assert_allclose(many.cdf(at), expected, atol=1e-12)


def test_quantiles_are_the_numeric_inverse() -> None:
    many = random_mixture(np.random.default_rng(3))
    found = many.quantiles(LEVELS, PLAIN)
    for query in range(many.loc.shape[1]):
        loc, scale = many.loc[:, query], many.scale[:, query]
        for row, level in enumerate(LEVELS):
            inverse = brentq(
                lambda x, level=level, loc=loc, scale=scale: (
                    stats.laplace.cdf(x, loc, scale).mean() - level
                ),
                -1e4,
                1e4,
                xtol=1e-12,
                rtol=1e-14,
            )
            assert found[row, query] == pytest.approx(inverse, abs=1e-7)


@given(st.integers(0, 2**32 - 1))
def test_the_distribution_function_undoes_the_quantiles(seed: int) -> None:
    # Where the components lie so far apart that the density between them vanishes, a whole interval
    # is the quantile: then only its probability is defined.
    generator = np.random.default_rng(seed)
    many = random_mixture(generator, num_queries=5)
    levels = np.sort(generator.uniform(0.001, 0.999, 6))
    found = many.quantiles(levels, PLAIN)
    np.testing.assert_allclose(many.cdf(found), np.repeat(levels[:, None], 5, axis=1), atol=1e-8)
    assert np.all(np.diff(found, axis=0) >= 0)


def test_quantiles_between_far_components_are_finite() -> None:
    loc = np.array([[-1e4], [1e4]])
    found = mixture(loc, np.full((2, 1), 1e-3)).quantiles(LEVELS, PLAIN)
    assert np.all(np.diff(found[:, 0]) >= 0)
    np.testing.assert_allclose(found[LEVELS < 0.5, 0], -1e4, rtol=1e-4)
    np.testing.assert_allclose(found[LEVELS > 0.5, 0], 1e4, rtol=1e-4)


def test_the_order_of_the_levels_does_not_matter() -> None:
    many = random_mixture(np.random.default_rng(4))
    order = np.random.default_rng(5).permutation(len(LEVELS))
    np.testing.assert_array_equal(
        many.quantiles(LEVELS[order], PLAIN), many.quantiles(LEVELS, PLAIN)[order]
    )


def test_a_query_does_not_depend_on_the_others() -> None:
    many = random_mixture(np.random.default_rng(6))
    together = many.quantiles(LEVELS, PLAIN)
    for query in range(5):
        alone = mixture(many.loc[:, [query]], many.scale[:, [query]]).quantiles(LEVELS, PLAIN)
        np.testing.assert_array_equal(alone[:, 0], together[:, query])


def test_mirroring_the_mixture_mirrors_the_quantiles() -> None:
    many = random_mixture(np.random.default_rng(7))
    mirrored = mixture(-many.loc, many.scale).quantiles(1 - LEVELS, PLAIN)
    expected = -many.quantiles(LEVELS, PLAIN)
    np.testing.assert_allclose(mirrored, expected, atol=1e-8)


def test_quantiles_are_in_canonical_units_and_inside_the_bounds() -> None:
    units = normalization(loc=np.log(50.0), scale=0.5, log_offset=10.0, bound=60.0)
    one = mixture(np.zeros((1, 1)), np.full((1, 1), 2.0))
    found = one.quantiles(LEVELS, units)[:, 0]
    free = np.exp(np.log(50.0) + 0.5 * 2.0 * stats.laplace.ppf(LEVELS)) - 10.0
    np.testing.assert_allclose(found, np.clip(free, -10.0, 60.0), atol=1e-9)
    assert found[-1] == 60.0


def test_moments_of_one_component_are_those_of_laplace() -> None:
    scale = np.array([[0.1, 0.7, 3.0]])
    one = mixture(np.array([[1.0, -2.0, 0.0]]), scale)
    mean, latent, observation = one.moments(PLAIN)
    np.testing.assert_allclose(mean, one.loc[0], atol=1e-9)
    np.testing.assert_allclose(latent, 0, atol=1e-12)
    np.testing.assert_allclose(observation, 2 * scale[0] ** 2, rtol=1e-9)


def test_moments_of_a_log_laplace_distribution() -> None:
    # E[exp(t X)] = exp(t loc) / (1 - (t b)**2) for a Laplace X with scale b.
    b, loc = 0.15, 0.4
    one = mixture(np.array([[loc]]), np.array([[b]]))
    mean, _, variance = one.moments(normalization(log_offset=0.0))
    first, second = (np.exp(t * loc) / (1 - (t * b) ** 2) for t in (1, 2))
    assert mean[0] == pytest.approx(first, rel=1e-9)
    assert variance[0] == pytest.approx(second - first**2, rel=1e-6)


@pytest.mark.parametrize(
    "units",
    [PLAIN, normalization(loc=3.0, scale=0.2, log_offset=2.0), normalization(bound=1.0)],
    ids=["plain", "logarithm", "bounded"],
)
def test_moments_are_those_of_a_large_sample(units: Normalization) -> None:
    generator = np.random.default_rng(8)
    many = mixture(0.5 * generator.standard_normal((8, 4)), generator.uniform(0.1, 0.4, (8, 4)))
    size = 400_000
    which = generator.integers(0, 8, size)
    draws = generator.laplace(many.loc[which], many.scale[which])
    sample = units.invert(draws, many.channels[None])
    mean, latent, observation = many.moments(units)
    np.testing.assert_allclose(mean, sample.mean(axis=0), rtol=0.01, atol=0.005)
    np.testing.assert_allclose(latent + observation, sample.var(axis=0), rtol=0.03)
    by_component = np.array([sample[which == one].mean(axis=0) for one in range(8)])
    np.testing.assert_allclose(latent, by_component.var(axis=0), rtol=0.08, atol=1e-4)
