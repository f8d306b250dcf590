"""Coverage and PIT histograms of distributions that are known to be right, or known to be wrong."""

import numpy as np
import pytest

from model.data.normalization import Normalization
from tests.catalogues import CHALLENGE
from tests.series import random_cohort
from training.intervals import (
    EVEN,
    EVEN_LEVELS,
    LEVELS,
    MEDIAN,
    NOMINAL,
    IntervalScores,
    ScoredTargets,
)

NORMALIZATION = Normalization.fit(random_cohort(40, np.random.default_rng(0)), CHALLENGE)
GCS, HR = CHALLENGE.channel("GCS"), CHALLENGE.channel("HR")
LOGISTIC = np.log(LEVELS / (1 - LEVELS))


def heart_rates(
    generator: np.random.Generator, *, claimed_scale: float, size: int = 20_000
) -> ScoredTargets:
    """Whole heart rates, logistic with scale 2 around a center that the model knows."""
    center = generator.uniform(60, 120, size)
    values = np.rint(center + generator.logistic(scale=2.0, size=size))
    quantiles = center + claimed_scale * LOGISTIC[:, None]
    return ScoredTargets.of(values, quantiles, np.full(size, HR), NORMALIZATION)


def coma_scales(generator: np.random.Generator, size: int = 20_000) -> ScoredTargets:
    """Scores of which the model knows the probabilities: 15 in seven of ten."""
    scores, chances = np.array([3.0, 8.0, 14.0, 15.0]), np.array([0.1, 0.1, 0.1, 0.7])
    values = generator.choice(scores, size=size, p=chances)
    quantiles = scores[np.searchsorted(np.cumsum(chances) + 1e-12, LEVELS)]
    return ScoredTargets.of(
        values, np.repeat(quantiles[:, None], size, axis=1), np.full(size, GCS), NORMALIZATION
    )


def one_group(targets: ScoredTargets) -> IntervalScores:
    return IntervalScores.of(targets, np.zeros(len(targets.values), dtype=int), 1)


def test_levels_are_those_of_the_intervals_and_of_the_crps() -> None:
    np.testing.assert_array_equal(LEVELS[EVEN], EVEN_LEVELS)
    assert LEVELS[MEDIAN] == 0.5
    np.testing.assert_allclose(LEVELS + LEVELS[::-1], 1)
    for low, high in NOMINAL.values():
        assert {low, high} <= set(LEVELS.tolist())


def test_a_right_distribution_of_rounded_values_is_nominal_and_flat() -> None:
    found = one_group(heart_rates(np.random.default_rng(1), claimed_scale=2.0))
    for row, (low, high) in enumerate(NOMINAL.values()):
        assert found.split[row, 0] == pytest.approx(high - low, abs=0.01)
        assert found.closed[row, 0] == pytest.approx(high - low, abs=0.02)
    np.testing.assert_allclose(20 * found.histogram[0], 1, atol=0.1)


def test_closed_intervals_of_a_score_hold_more_and_split_ones_do_not() -> None:
    found = one_group(coma_scales(np.random.default_rng(2)))
    assert found.coverage(0)["50%"] == pytest.approx(0.8, abs=0.02)
    # Where a step begins is read off quantiles: known to half the distance of two levels.
    for name, (low, high) in NOMINAL.items():
        assert found.coverage(0, is_split=True)[name] == pytest.approx(high - low, abs=0.04)


@pytest.mark.parametrize(("claimed", "is_narrow"), [(1.0, True), (4.0, False)])
def test_a_wrong_scale_shows(claimed: float, is_narrow: bool) -> None:
    found = one_group(heart_rates(np.random.default_rng(3), claimed_scale=claimed))
    share = found.coverage(0, is_split=True)["90%"]
    assert share < 0.8 if is_narrow else share > 0.96
    ends = 10 * found.histogram[0][[0, -1]].sum()
    assert ends > 1.5 if is_narrow else ends < 0.5


def test_the_right_scale_has_the_best_interval_score() -> None:
    scores = [
        one_group(heart_rates(np.random.default_rng(4), claimed_scale=scale)).interval_score[0]
        for scale in (1.0, 2.0, 4.0)
    ]
    assert scores[1] == min(scores)
    assert scores[0] > 1.05 * scores[1]


def test_groups_are_scored_apart_and_empty_ones_are_nan() -> None:
    targets = heart_rates(np.random.default_rng(5), claimed_scale=2.0, size=400)
    groups = np.repeat([0, 2], 200)
    found = IntervalScores.of(targets, groups, 3)
    assert found.counts.tolist() == [200, 0, 200]
    for table in (found.closed[:, 1], found.split[:, 1], found.width[:, 1], found.histogram[1]):
        assert np.isnan(table).all()
    both = one_group(targets)
    np.testing.assert_allclose(found.closed[:, [0, 2]].mean(axis=1), both.closed[:, 0])
    np.testing.assert_allclose(found.histogram[[0, 2]].mean(axis=0), both.histogram[0])
