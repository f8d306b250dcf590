"""Joint samples: their margins are the answer's own distribution, calibrated or not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from model.calibration import KNOTS, Calibration, LevelMaps, Surroundings
from model.runtime.mixture import LaplaceMixture
from model.runtime.samples import Draws, joint_samples

NUM_DRAWS, NUM_QUERIES, NUM_SAMPLES = 4, 3, 4000
PLACE = Surroundings(
    np.zeros(NUM_QUERIES, dtype=np.int64), np.full(NUM_QUERIES, 0.5), np.zeros(NUM_QUERIES, bool)
)
UNCALIBRATED = Calibration.uncalibrated(1)
# Levels move outward: the model was too sure.
WIDER = replace(
    UNCALIBRATED,
    level_maps=LevelMaps(
        np.tile(stats.norm.cdf(1.7 * stats.norm.ppf(KNOTS)), (len(UNCALIBRATED.num_subjects), 1))
    ),
)


def _draws(generator: np.random.Generator) -> tuple[Draws, LaplaceMixture]:
    """Samples that go through the posterior draws of the summaries in turn."""
    shape = (NUM_DRAWS, 2, NUM_QUERIES)
    loc, scale = generator.normal(0, 1, shape), generator.uniform(0.2, 1, shape)
    weight = generator.dirichlet([1, 1], (NUM_DRAWS, NUM_QUERIES)).swapaxes(1, 2)
    flat = (NUM_DRAWS * 2, NUM_QUERIES)
    mixture = LaplaceMixture(
        loc.reshape(flat),
        scale.reshape(flat),
        weight.reshape(flat) / NUM_DRAWS,
        PLACE.channels,
        NUM_DRAWS,
    )
    which = np.arange(NUM_SAMPLES) % NUM_DRAWS
    return Draws(loc[which], scale[which], weight[which]), mixture


@pytest.mark.parametrize("calibration", [UNCALIBRATED, WIDER], ids=["uncalibrated", "wider"])
def test_the_share_of_samples_below_a_quantile_is_its_level(calibration: Calibration) -> None:
    generator = np.random.default_rng(0)
    draws, mixture = _draws(generator)
    courses = generator.standard_normal((NUM_SAMPLES, NUM_QUERIES))
    samples = joint_samples(draws, courses, mixture, calibration, PLACE)
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    quantiles = mixture.standardized_quantiles(calibration.levels(levels, PLACE))
    shares = (samples[None] <= quantiles[:, None]).mean(axis=1)
    tolerance = 4 * np.sqrt(levels * (1 - levels) / NUM_SAMPLES)
    assert np.all(np.abs(shares - levels[:, None]) < tolerance[:, None])


def test_a_sample_rises_with_its_noise() -> None:
    draws, mixture = _draws(np.random.default_rng(1))
    courses = np.linspace(-4, 4, NUM_SAMPLES)[:, None] * np.ones(NUM_QUERIES)
    one = Draws(*(np.repeat(part[:1], NUM_SAMPLES, axis=0) for part in vars(draws).values()))
    samples = joint_samples(one, courses, mixture, WIDER, PLACE)
    assert np.all(np.diff(samples, axis=0) >= 0)


def test_a_sample_does_not_depend_on_the_others_or_on_other_queries() -> None:
    generator = np.random.default_rng(2)
    draws, mixture = _draws(generator)
    courses = generator.standard_normal((NUM_SAMPLES, NUM_QUERIES))
    together = joint_samples(draws, courses, mixture, WIDER, PLACE)
    first = Draws(draws.loc[:5, :, 1:2], draws.scale[:5, :, 1:2], draws.weight[:5, :, 1:2])
    own = LaplaceMixture(
        mixture.loc[:, 1:2], mixture.scale[:, 1:2], mixture.weight[:, 1:2], PLACE.channels[1:2]
    )
    place = Surroundings(PLACE.channels[1:2], PLACE.gap_hours[1:2], PLACE.is_after[1:2])
    alone = joint_samples(first, courses[:5, 1:2], own, WIDER, place)
    np.testing.assert_array_equal(alone[:, 0], together[:5, 1])


def test_extreme_noise_gives_finite_samples() -> None:
    draws, mixture = _draws(np.random.default_rng(3))
    courses = np.tile([[-40.0], [40.0]], (NUM_SAMPLES // 2, NUM_QUERIES))
    assert np.isfinite(joint_samples(draws, courses, mixture, WIDER, PLACE)).all()
