"""Quantiles and moments of the mixture against scipy, numeric inversion and Monte Carlo."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq

from model.data.normalization import Normalization
from model.runtime.mixture import LaplaceMixture

LEVELS = np.array([0.001, 0.05, 0.25, 0.5, 0.73, 0.95, 0.999])


def normalization(
    *,
    loc: float = 0.0,
    scale: float = 1.0,
    log_offset: float = np.nan,
    bound: float = 1e9,
    grid: float = np.nan,
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
        resolution=np.array([grid]),
        grid=np.array([grid]),
    )


PLAIN = normalization()


def mixture(
    loc: np.ndarray, scale: np.ndarray, weight: np.ndarray | None = None, num_draws: int = 1
) -> LaplaceMixture:
    """Return a mixture of one variable, with equal weights unless they are given."""
    weight = np.full(loc.shape, 1 / len(loc)) if weight is None else weight
    return LaplaceMixture(loc, scale, weight, np.zeros(loc.shape[1], dtype=np.int64), num_draws)


def alone(many: LaplaceMixture, query: int) -> LaplaceMixture:
    """Return the mixture of one query."""
    own = [query]
    return mixture(many.loc[:, own], many.scale[:, own], many.weight[:, own])


def scipy_cdf(one: LaplaceMixture, query: int, x: float) -> float:
    """Return the weighted sum of scipy's distribution functions at one point."""
    each = stats.laplace.cdf(x, one.loc[:, query], one.scale[:, query])
    return float(each @ one.weight[:, query])


def random_mixture(
    generator: np.random.Generator, *, num_components: int = 8, num_queries: int = 40
) -> LaplaceMixture:
    """Components from nearly one to far apart, scales over three orders of magnitude, any weights."""
    spread = 10 ** generator.uniform(-2, 1.5, num_queries)
    shape = (num_components, num_queries)
    weight = generator.dirichlet(np.full(num_components, 0.3), num_queries).T
    loc, scale = spread * generator.standard_normal(shape), 10 ** generator.uniform(-2, 1, shape)
    return mixture(loc, scale, weight)


def test_one_component_has_the_quantiles_of_scipy() -> None:
    generator = np.random.default_rng(0)
    one = random_mixture(generator, num_components=1)
    expected = stats.laplace.ppf(LEVELS[:, None], one.loc[0], one.scale[0])
    np.testing.assert_allclose(one.quantiles(LEVELS, PLAIN), expected, atol=1e-10)


def test_equal_components_are_one_component() -> None:
    loc, scale = np.full((8, 1), 1.5), np.full((8, 1), 0.3)
    expected = stats.laplace.ppf(LEVELS[:, None], 1.5, 0.3)
    np.testing.assert_allclose(mixture(loc, scale).quantiles(LEVELS, PLAIN), expected, atol=1e-10)


def test_the_distribution_function_is_the_weighted_sum_of_scipys() -> None:
    many = random_mixture(np.random.default_rng(1))
    at = np.random.default_rng(2).normal(0, 5, (3, 40))
    expected = [[scipy_cdf(many, query, x) for query, x in enumerate(row)] for row in at]
    np.testing.assert_allclose(many.cdf(at), expected, atol=1e-12)


def test_the_density_is_the_slope_of_the_distribution_function() -> None:
    many = random_mixture(np.random.default_rng(21))
    at = np.random.default_rng(22).normal(0, 5, 40)
    expected = (stats.laplace.pdf(at, many.loc, many.scale) * many.weight).sum(axis=0)
    np.testing.assert_allclose(many.log_density(at), np.log(expected), rtol=1e-10)


def test_the_mass_of_an_interval_is_the_difference_of_the_distribution_function() -> None:
    many = random_mixture(np.random.default_rng(23))
    low, high = np.sort(np.random.default_rng(24).normal(0, 5, (2, 40)), axis=0)
    low[:5], high[5:10] = -np.inf, np.inf
    below, above = many.cdf(np.stack([low, high]))
    np.testing.assert_allclose(np.exp(many.log_mass(low, high)), above - below, atol=1e-12)


def test_the_mass_far_out_in_a_tail_keeps_its_relative_precision() -> None:
    one = mixture(np.zeros((1, 2)), np.ones((1, 2)))
    low, high = np.array([800.0, -801.0]), np.array([801.0, -800.0])
    expected = np.log(0.5) - 800 + np.log1p(-np.exp(-1))
    np.testing.assert_allclose(one.log_mass(low, high), expected, rtol=1e-13)


def test_a_narrow_interval_has_the_mass_of_its_density() -> None:
    many = random_mixture(np.random.default_rng(25))
    at = np.random.default_rng(26).normal(0, 5, 40)
    mass = many.log_likelihood(at - 5e-7, at + 5e-7)
    np.testing.assert_allclose(mass - np.log(1e-6), many.log_likelihood(at, at), atol=1e-3)


def test_an_impossible_interval_has_no_mass_and_warns_of_nothing() -> None:
    one = mixture(np.zeros((1, 1)), np.ones((1, 1)))
    assert one.log_mass(np.array([3.0]), np.array([3.0]))[0] == -np.inf
    assert one.log_mass(np.array([-np.inf]), np.array([np.inf]))[0] == 0


@pytest.mark.parametrize("step", [0.0, 0.5, 4.0], ids=["continuous", "fine", "coarse"])
def test_the_transform_of_values_drawn_from_the_mixture_is_uniform(step: float) -> None:
    generator = np.random.default_rng(27)
    size = 20_000
    loc, scale = np.array([[-2.0], [1.0]]).repeat(size, 1), np.array([[0.5], [2.0]]).repeat(size, 1)
    weight = np.array([[0.3], [0.7]]).repeat(size, 1)
    which = (generator.random(size) < 0.7).astype(int)
    values = generator.laplace(loc[which, range(size)], scale[which, range(size)])
    if step:
        values = np.rint(values / step) * step
    transformed = mixture(loc, scale, weight).probability_integral_transform(
        values - step / 2, values + step / 2, generator.random(size)
    )
    assert stats.kstest(transformed, "uniform").pvalue > 0.01


def test_quantiles_are_the_numeric_inverse() -> None:
    many = random_mixture(np.random.default_rng(3))
    found = many.quantiles(LEVELS, PLAIN)
    for query in range(many.loc.shape[1]):
        for row, level in enumerate(LEVELS):
            inverse = brentq(
                lambda x, level=level, query=query: scipy_cdf(many, query, x) - level,
                -1e4,
                1e4,
                xtol=1e-12,
                rtol=1e-14,
            )
            assert found[row, query] == pytest.approx(inverse, abs=1e-7)


def test_levels_may_differ_from_query_to_query() -> None:
    many = random_mixture(np.random.default_rng(28))
    levels = np.random.default_rng(29).uniform(0.001, 0.999, (5, 40))
    found = many.quantiles(levels, PLAIN)
    for query in range(40):
        one = alone(many, query)
        np.testing.assert_allclose(
            found[:, query], one.quantiles(levels[:, query], PLAIN)[:, 0], atol=1e-9
        )
    order = np.argsort(levels, axis=0)
    assert np.all(np.diff(np.take_along_axis(found, order, axis=0), axis=0) >= 0)


@given(st.integers(0, 2**32 - 1))
def test_components_of_no_weight_are_not_there(seed: int) -> None:
    generator = np.random.default_rng(seed)
    many = random_mixture(generator, num_components=4, num_queries=3)
    ghosts = random_mixture(generator, num_components=3, num_queries=3)
    both = mixture(
        np.concatenate([many.loc, ghosts.loc]),
        np.concatenate([many.scale, ghosts.scale]),
        np.concatenate([many.weight, 0 * ghosts.weight]),
    )
    levels = np.array([0.01, 0.4, 0.9])
    reached = many.cdf(both.standardized_quantiles(levels))
    np.testing.assert_allclose(reached, np.repeat(levels[:, None], 3, axis=1), atol=1e-8)


@given(st.integers(0, 2**32 - 1))
def test_a_quantile_on_a_grid_is_the_smallest_value_that_reaches_the_level(seed: int) -> None:
    # Score from -4 to 4; a cell reaches half a step to either side and the last takes the tail.
    generator = np.random.default_rng(seed)
    loc, scale = generator.normal(0, 3, (6, 4)), generator.uniform(0.01, 2, (6, 4))
    many = mixture(loc, scale)
    levels = np.sort(generator.uniform(0.01, 0.99, 5))
    found = many.quantiles(levels, normalization(bound=4.0, grid=1.0))
    scores = np.arange(-4.0, 5.0)
    edges = np.append(scores[:-1] + 0.5, np.inf)
    reached = many.cdf(np.repeat(edges[:, None], 4, axis=1))
    for query in range(4):
        expected = [scores[np.argmax(reached[:, query] >= level - 1e-9)] for level in levels]
        np.testing.assert_array_equal(found[:, query], expected)


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
        found = alone(many, query).quantiles(LEVELS, PLAIN)
        np.testing.assert_array_equal(found[:, 0], together[:, query])


def test_mirroring_the_mixture_mirrors_the_quantiles() -> None:
    many = random_mixture(np.random.default_rng(7))
    mirrored = mixture(-many.loc, many.scale, many.weight).quantiles(1 - LEVELS, PLAIN)
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
    found = one.moments(PLAIN)
    np.testing.assert_allclose(found.mean, one.loc[0], atol=1e-9)
    np.testing.assert_allclose(found.latent_variance, 0, atol=1e-12)
    np.testing.assert_allclose(found.observation_variance, 2 * scale[0] ** 2, rtol=1e-9)


def test_moments_of_a_log_laplace_distribution() -> None:
    # E[exp(t X)] = exp(t loc) / (1 - (t b)**2) for a Laplace X with scale b.
    b, loc = 0.15, 0.4
    one = mixture(np.array([[loc]]), np.array([[b]]))
    found = one.moments(normalization(log_offset=0.0))
    first, second = (np.exp(t * loc) / (1 - (t * b) ** 2) for t in (1, 2))
    assert found.mean[0] == pytest.approx(first, rel=1e-9)
    assert found.observation_variance[0] == pytest.approx(second - first**2, rel=1e-6)


@pytest.mark.parametrize(
    "units",
    [PLAIN, normalization(loc=3.0, scale=0.2, log_offset=2.0), normalization(bound=1.0)],
    ids=["plain", "logarithm", "bounded"],
)
def test_moments_are_those_of_a_large_sample(units: Normalization) -> None:
    generator = np.random.default_rng(8)
    num_draws, per_draw, size = 4, 2, 400_000
    share = generator.dirichlet(np.ones(per_draw), (4, num_draws)).transpose(1, 2, 0)
    loc = 0.5 * generator.standard_normal((num_draws * per_draw, 4))
    scale = generator.uniform(0.1, 0.4, loc.shape)
    many = mixture(loc, scale, share.reshape(loc.shape) / num_draws, num_draws=num_draws)
    draw = generator.integers(0, num_draws, size)
    second = generator.random((size, 1)) > share[draw, 0]
    component = draw[:, None] * per_draw + second
    values = generator.laplace(
        np.take_along_axis(loc, component, axis=0), np.take_along_axis(scale, component, axis=0)
    )
    sample = units.invert(values, many.channels[None])
    found = many.moments(units)
    np.testing.assert_allclose(found.mean, sample.mean(axis=0), rtol=0.01, atol=0.005)
    total = found.latent_variance + found.observation_variance
    np.testing.assert_allclose(total, sample.var(axis=0), rtol=0.03)
    by_draw = np.array([sample[draw == one].mean(axis=0) for one in range(num_draws)])
    np.testing.assert_allclose(found.latent_variance, by_draw.var(axis=0), rtol=0.08, atol=1e-4)
