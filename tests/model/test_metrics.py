"""Scores against closed forms and definitions."""

import numpy as np
import pytest

from model.metrics import (
    by_variable,
    continuous_ranked_probability_score,
    is_covered,
    mean_over_variables,
    pinball_loss,
)
from model.runtime.mixture import laplace_quantile


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
    quantiles = np.repeat(laplace_quantile(levels)[:, None], len(VALUES), axis=1)
    score = continuous_ranked_probability_score(quantiles, levels, VALUES)
    np.testing.assert_allclose(score, laplace_crps(VALUES), atol=tolerance)


def test_crps_at_the_levels_of_the_report_is_within_seven_percent() -> None:
    levels = np.arange(1, 20) / 20
    values = np.random.default_rng(0).laplace(size=20_000)
    quantiles = np.repeat(laplace_quantile(levels)[:, None], len(values), axis=1)
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
