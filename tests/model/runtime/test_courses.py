"""Random courses: margins, correlation in time, and what they do not depend on."""

import numpy as np
import pytest
from scipy import stats

from model.runtime.courses import normal_cdf, normal_courses

NUM_SAMPLES = 8000
TAU = np.array([6.0, 1.5])


def courses(times: np.ndarray, channels: np.ndarray, *, seed: int = 3) -> np.ndarray:
    return normal_courses(times, channels, error_hours=TAU, num_samples=NUM_SAMPLES, seed=seed)


@pytest.mark.parametrize("channel", [0, 1])
def test_margins_are_standard_normal(channel: int) -> None:
    values = courses(np.array([0.0, 7.3]), np.full(2, channel))
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(values.var(axis=0), 1, atol=0.05)
    for column in values.T:
        assert stats.kstest(column, "norm").statistic < 0.02


@pytest.mark.parametrize("channel", [0, 1])
def test_correlation_falls_exponentially_with_the_lag(channel: int) -> None:
    lags = np.array([0.0, 0.25, 1.0, 3.0, 6.0, 24.0])
    values = courses(5 + lags, np.full(len(lags), channel))
    found = (values[:, :1] * values).mean(axis=0)
    np.testing.assert_allclose(found, np.exp(-lags / TAU[channel]), atol=0.06)


def test_channels_are_independent() -> None:
    values = courses(np.array([1.0, 1.0]), np.array([0, 1]))
    assert abs(np.corrcoef(values.T)[0, 1]) < 0.04


def test_a_course_does_not_depend_on_what_else_is_asked() -> None:
    generator = np.random.default_rng(0)
    times, channels = generator.uniform(0, 48, 12), generator.integers(0, 2, 12)
    whole = courses(times, channels)
    chosen = generator.permutation(12)[:5]
    np.testing.assert_allclose(
        courses(times[chosen], channels[chosen]), whole[:, chosen], atol=1e-12
    )


def test_the_seed_decides() -> None:
    times, channels = np.array([1.0, 2.0]), np.array([0, 0])
    np.testing.assert_array_equal(courses(times, channels), courses(times, channels))
    assert np.abs(courses(times, channels) - courses(times, channels, seed=4)).max() > 0.1


def test_nothing_asked_is_nothing_answered() -> None:
    assert courses(np.zeros(0), np.zeros(0, dtype=np.int64)).shape == (NUM_SAMPLES, 0)


def test_normal_cdf_is_that_of_scipy() -> None:
    values = np.linspace(-9, 9, 20_001)
    np.testing.assert_allclose(normal_cdf(values), stats.norm.cdf(values), atol=7.5e-8)
    assert np.all((normal_cdf(values) >= 0) & (normal_cdf(values) <= 1))
