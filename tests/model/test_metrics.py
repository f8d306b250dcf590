"""Scores against closed forms and definitions."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from model.metrics import (
    by_variable,
    chi_square,
    continuous_ranked_probability_score,
    coverage_table,
    covered_share,
    interval_score,
    is_covered,
    laplace_mixture_crps,
    mean_over_variables,
    normalized_crps,
    pinball_loss,
    transform_histogram,
    transform_interval,
)


def laplace_crps(y: np.ndarray) -> np.ndarray:
    """CRPS of the standard Laplace distribution: the integral of (F(x) - [x >= y])**2.

    For y >= 0, with F(x) = exp(x) / 2 below 0 and 1 - exp(-x) / 2 above:
        up to 0    the integral of exp(2x) / 4                       = 1/8
        0 to y     the integral of 1 - exp(-x) + exp(-2x) / 4        = y - 1 + e + (1 - e**2) / 8
        beyond y   the integral of exp(-2x) / 4                      = e**2 / 8
    with e = exp(-y); the sum is y + e - 3/4, and the case y < 0 is its mirror image.
    """
    return np.abs(y) + np.exp(-np.abs(y)) - 0.75


VALUES = np.array([-4.0, -1.0, -0.1, 0.0, 0.3, 2.0])


@pytest.mark.parametrize(("num_levels", "tolerance"), [(99, 0.02), (2000, 1e-3), (40_000, 1e-4)])
def test_crps_converges_to_the_closed_form_of_laplace(num_levels: int, tolerance: float) -> None:
    levels = (np.arange(num_levels) + 0.5) / num_levels
    quantiles = np.repeat(stats.laplace.ppf(levels)[:, None], len(VALUES), axis=1)
    score = continuous_ranked_probability_score(quantiles, levels, VALUES)
    np.testing.assert_allclose(score, laplace_crps(VALUES), atol=tolerance)


def test_crps_at_the_levels_of_the_report_is_within_seven_percent() -> None:
    levels = np.arange(1, 20) / 20
    values = np.random.default_rng(0).laplace(size=20_000)
    quantiles = np.repeat(stats.laplace.ppf(levels)[:, None], len(values), axis=1)
    score = continuous_ranked_probability_score(quantiles, levels, values).mean()
    assert score == pytest.approx(laplace_crps(values).mean(), rel=0.07)


def test_crps_of_a_certain_answer_is_its_absolute_error() -> None:
    levels = np.arange(1, 20) / 20
    score = continuous_ranked_probability_score(np.full((19, len(VALUES)), 0.5), levels, VALUES)
    np.testing.assert_allclose(score, np.abs(VALUES - 0.5))


def test_the_quantile_minimizes_the_pinball_loss() -> None:
    values = np.random.default_rng(1).exponential(size=5001)
    candidates = np.sort(values)
    levels = np.array([0.1, 0.5, 0.83])
    for level in levels:
        losses = [
            pinball_loss(np.full((1, len(values)), one), np.array([level]), values).mean()
            for one in candidates[::50]
        ]
        best = candidates[::50][int(np.argmin(losses))]
        assert np.mean(values <= best) == pytest.approx(level, abs=0.011)


def test_the_mean_over_variables_weighs_variables_alike() -> None:
    channels = np.array([0, 0, 0, 2])
    scores = np.array([1.0, 2.0, 3.0, 10.0])
    np.testing.assert_array_equal(by_variable(scores, channels, 4), [2.0, np.nan, 10.0, np.nan])
    assert mean_over_variables(scores, channels) == 6.0


def test_the_interval_is_closed() -> None:
    values = np.array([0.0, 1.0, 0.5, -0.01, 1.01])
    covered = is_covered(np.zeros(5), np.ones(5), values)
    np.testing.assert_array_equal(covered, [1, 1, 1, 0, 0])


def test_exact_crps_of_one_component_is_the_closed_form() -> None:
    ones = np.ones((1, len(VALUES)))
    found = laplace_mixture_crps(0 * ones, ones, ones, VALUES)
    np.testing.assert_allclose(found, laplace_crps(VALUES), atol=1e-12)


@pytest.mark.parametrize("spread", [0.0, 1e-7, 1e-4, 0.8], ids=str)
def test_exact_crps_is_the_integral_over_the_distribution_function(spread: float) -> None:
    # Scales that are equal, nearly equal on either side of the switch of formula, and different.
    generator = np.random.default_rng(2)
    loc = generator.normal(0, 2, (4, 3))
    scale = 0.7 * (1 + spread * generator.uniform(-1, 1, (4, 3)))
    weight = generator.dirichlet(np.ones(4), 3).T
    values = np.array([-1.0, 0.2, 3.0])
    found = laplace_mixture_crps(loc, scale, weight, values)
    for place, value in enumerate(values):

        def integrand(x: float, place: int = place, value: float = value) -> float:
            reached = stats.laplace.cdf(x, loc[:, place], scale[:, place]) @ weight[:, place]
            return float((reached - (x >= value)) ** 2)

        kinks = sorted([value, *loc[:, place]])
        pieces = [
            quad(integrand, a, b)[0] for a, b in zip([-40, *kinks], [*kinks, 40], strict=True)
        ]
        assert found[place] == pytest.approx(sum(pieces), abs=1e-8)


def test_splitting_a_component_changes_no_crps() -> None:
    generator = np.random.default_rng(3)
    loc, scale = generator.normal(size=(3, 5)), generator.uniform(0.1, 2, (3, 5))
    weight, values = generator.dirichlet(np.ones(3), 5).T, generator.normal(size=5)
    first, second, third = (np.concatenate([part, part]) for part in (loc, scale, weight / 2))
    np.testing.assert_allclose(
        laplace_mixture_crps(first, second, third, values),
        laplace_mixture_crps(loc, scale, weight, values),
        rtol=1e-12,
    )


def test_the_normalized_crps_of_a_certain_answer_is_its_relative_error() -> None:
    levels = np.arange(1, 20) / 20
    quantiles = np.full((19, len(VALUES)), 0.5)
    expected = np.abs(VALUES - 0.5).sum() / np.abs(VALUES).sum()
    assert normalized_crps(quantiles, levels, VALUES) == pytest.approx(expected)
    assert normalized_crps(3 * quantiles, levels, 3 * VALUES) == pytest.approx(expected)


def test_the_interval_score_is_smallest_at_the_quantiles() -> None:
    values = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    best = stats.norm.ppf(0.95)

    def mean(low: float, high: float) -> float:
        ends = np.full(len(values), low), np.full(len(values), high)
        return float(interval_score(*ends, values, nominal_coverage=0.9).mean())

    least = mean(-best, best)
    for low, high in ((0.8, 0.8), (1.2, 1.2), (1.0, 1.3), (0.7, 1.0)):
        assert mean(-low * best, high * best) > least
    # 2 pdf(q) / 0.05 for the standard normal distribution.
    assert least == pytest.approx(2 * stats.norm.pdf(best) / 0.05, rel=1e-3)


def test_the_transform_is_read_off_the_quantiles() -> None:
    levels = np.arange(1, 100) / 100
    values = np.array([-9.0, -1.0, 0.0, 0.7, 9.0])
    quantiles = np.repeat(stats.norm.ppf(levels)[:, None], 5, axis=1)
    below, above = transform_interval(quantiles, levels, values, values)
    np.testing.assert_array_equal(below, above)
    np.testing.assert_allclose(below[1:4], stats.norm.cdf(values[1:4]), atol=2e-4)
    assert (below[0], below[-1]) == (0, 1)


def test_a_score_takes_all_levels_of_its_quantile() -> None:
    # A score of 1 up to level 0.3, of 2 up to 0.8, of 3 beyond.
    levels = np.arange(1, 20) / 20
    quantiles = np.repeat(
        np.where(levels <= 0.3, 1.0, np.where(levels <= 0.8, 2.0, 3.0))[:, None], 3, 1
    )
    scores = np.array([1.0, 2.0, 3.0])
    below, above = transform_interval(quantiles, levels, scores - 0.5, scores + 0.5)
    assert (below[0], above[2]) == (0, 1)
    np.testing.assert_allclose(above[:2], [0.325, 0.825], atol=0.03)
    np.testing.assert_allclose(below[1:], above[:2], atol=0.06)


def test_shares_of_a_right_model_have_the_nominal_coverage() -> None:
    # A score that is 15 nine times in ten: a closed interval would cover 0.9 or nothing.
    chances = np.array([0.04, 0.06, 0.9])
    scores = np.repeat([0, 1, 2], [40, 60, 900])
    above = np.cumsum(chances)[scores]
    below = above - chances[scores]
    for nominal in (0.5, 0.8, 0.9, 0.95):
        low, high = (1 - nominal) / 2, (1 + nominal) / 2
        shares = covered_share(below, above, low_level=low, high_level=high)
        assert shares.mean() == pytest.approx(nominal, abs=1e-12)
    np.testing.assert_allclose(transform_histogram(below, above, 10), 0.1, atol=1e-12)


def test_without_a_cell_a_value_is_covered_or_not() -> None:
    at = np.array([0.01, 0.05, 0.5, 0.95, 0.99])
    shares = covered_share(at, at, low_level=0.05, high_level=0.95)
    np.testing.assert_array_equal(shares, [0, 1, 1, 1, 0])


def test_the_histogram_counts_every_transform_once() -> None:
    at = np.array([0.0, 0.05, 0.1, 0.999, 1.0])
    np.testing.assert_allclose(transform_histogram(at, at, 5), [0.6, 0, 0, 0, 0.4])
    spread = transform_histogram(np.array([0.1]), np.array([0.3]), 5)
    np.testing.assert_allclose(spread, [0.5, 0.5, 0, 0, 0], atol=1e-12)


def test_chi_square_is_one_for_chance_and_large_for_a_fault() -> None:
    generator = np.random.default_rng(4)
    found = []
    for _ in range(300):
        at = generator.random(500)
        found.append(chi_square(transform_histogram(at, at), 500))
    assert np.mean(found) == pytest.approx(1, abs=4 * np.sqrt(2 / 19 / 300))
    sure = generator.beta(0.5, 0.5, 500)
    assert chi_square(transform_histogram(sure, sure), 500) > 3


def test_the_coverage_table_counts_by_variable_and_bin() -> None:
    table = coverage_table(
        np.array([1.0, 0.0, 1.0, 0.5]),
        np.array([0, 0, 0, 2]),
        np.array([1, 1, 0, 1]),
        num_channels=3,
        num_bins=2,
    )
    np.testing.assert_array_equal(table.counts, [[1, 2], [0, 0], [0, 1]])
    expected = [[1, 0.5], [np.nan, np.nan], [np.nan, 0.5]]
    np.testing.assert_array_equal(table.coverage, expected)
