"""The paired bootstrap over stays."""

import numpy as np
import pytest

from training.protocols.bootstrap import Errors, ratio, worst_stay
from training.protocols.metrics import variable_balanced


def made_up(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return losses, series and channels of 2,000 targets; hard stays are hard for everybody."""
    series = np.sort(generator.integers(0, 200, 2000))
    channels = generator.integers(0, 4, 2000)
    hardness = np.exp(generator.normal(size=200))
    return hardness[series] * generator.exponential(size=2000), series, channels


@pytest.mark.parametrize("pooled", [True, False])
def test_the_ratio_is_that_of_the_metrics(pooled: bool) -> None:
    generator = np.random.default_rng(0)
    losses, series, channels = made_up(generator)
    others = losses * generator.uniform(0.5, 1.0, len(losses))
    own, reference = (Errors.of(one, series, channels, pooled=pooled) for one in (others, losses))
    found = ratio(own, reference, generator)
    expected = (
        others.mean() / losses.mean()
        if pooled
        else variable_balanced(others, channels) / variable_balanced(losses, channels)
    )
    assert found.value == pytest.approx(expected)
    assert found.low < expected < found.high
    kept = series != worst_stay(losses, series, np.zeros_like(channels) if pooled else channels)
    without = (
        others[kept].mean() / losses[kept].mean()
        if pooled
        else variable_balanced(others[kept], channels[kept])
        / variable_balanced(losses[kept], channels[kept])
    )
    assert found.without_worst == pytest.approx(without)


def test_a_constant_factor_has_no_uncertainty() -> None:
    generator = np.random.default_rng(1)
    losses, series, channels = made_up(generator)
    own, reference = (Errors.of(one, series, channels) for one in (0.9 * losses, losses))
    found = ratio(own, reference, generator)
    assert [found.value, found.low, found.high] == pytest.approx([0.9] * 3)


def test_the_interval_is_that_of_resampled_stays() -> None:
    generator = np.random.default_rng(2)
    losses, series, channels = made_up(generator)
    others = losses * generator.uniform(0.5, 1.0, len(losses))
    rows = [np.flatnonzero(series == stay) for stay in np.unique(series)]
    slow = []
    for _ in range(400):
        chosen = np.concatenate([rows[i] for i in generator.integers(0, len(rows), len(rows))])
        upper, lower = (
            variable_balanced(one[chosen], channels[chosen]) for one in (others, losses)
        )
        slow.append(upper / lower)
    own, reference = (Errors.of(one, series, channels) for one in (others, losses))
    found = ratio(own, reference, generator)
    low, high = np.percentile(slow, (2.5, 97.5))
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.2 * (high - low))


def test_pairing_makes_the_interval_narrow() -> None:
    generator = np.random.default_rng(3)
    losses, series, channels = made_up(generator)
    others = losses * generator.uniform(0.85, 0.95, len(losses))
    own, reference = (Errors.of(one, series, channels) for one in (others, losses))
    found = ratio(own, reference, generator)
    weights = generator.multinomial(200, np.full(200, 1 / 200), size=(2, 400)).astype(float)
    unpaired = own.metric(weights[0]) / reference.metric(weights[1])
    low, high = np.percentile(unpaired, (2.5, 97.5))
    assert found.high - found.low < 0.2 * (high - low)


def test_other_targets_do_not_compare() -> None:
    losses, series, channels = made_up(np.random.default_rng(0))
    own, other = (Errors.of(losses[:n], series[:n], channels[:n]) for n in (1000, 999))
    with pytest.raises(ValueError, match="same targets"):
        ratio(own, other, np.random.default_rng(0))
