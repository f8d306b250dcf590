"""The predictor applies what the calibration says: levels, variances, support, abstention."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from model.artifact import Artifact, load_artifact
from model.calibration import KNOTS, Calibration, LevelMaps
from model.data.query import Query
from model.runtime.backends import load_predictor
from model.runtime.predictor import Prediction, Request
from tests.catalogues import CHALLENGE
from tests.series import random_cohort

COHORT = random_cohort(3, np.random.default_rng(0))
SCORE = CHALLENGE.channel("GCS")
TIMES = np.linspace(0, 60, 9)
CHANNELS = np.array([CHALLENGE.channel(name) for name in ("HR", "SaO2", "GCS", "Lactate")])
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
QUERY = Query.grid([TIMES] * 3, [CHANNELS] * 3)


@pytest.fixture(scope="module")
def artifact(tiny_artifact: Path) -> Artifact:
    return load_artifact(tiny_artifact)


def predict(artifact: Artifact, *, num_samples: int = 0, **tables: object) -> Prediction:
    """Answer after some tables of the calibration were replaced."""
    calibration: Calibration = replace(artifact.calibration, **tables)  # type: ignore[arg-type]
    predictor = load_predictor(
        replace(artifact, calibration=calibration), backend="torch", device="cpu"
    )
    return predictor.predict(Request(COHORT, QUERY, LEVELS, num_samples))


def _maps(artifact: Artifact, spread: float) -> LevelMaps:
    row = stats.norm.cdf(spread * stats.norm.ppf(KNOTS))
    return LevelMaps(np.tile(row, (len(artifact.calibration.num_subjects), 1)))


def test_levels_of_the_calibration_move_the_quantiles_and_nothing_else(artifact: Artifact) -> None:
    plain, wider = predict(artifact), predict(artifact, level_maps=_maps(artifact, 1.5))
    own = QUERY.channels != SCORE
    assert np.all(wider.quantiles[0, own] < plain.quantiles[0, own] + 1e-9)
    assert np.all(wider.quantiles[-1, own] > plain.quantiles[-1, own] - 1e-9)
    np.testing.assert_allclose(wider.quantiles[2], plain.quantiles[2], rtol=1e-6)
    np.testing.assert_array_equal(wider.mean, plain.mean)


def test_factors_multiply_both_parts_of_the_variance(artifact: Artifact) -> None:
    factors = np.random.default_rng(1).uniform(0.5, 2, len(artifact.calibration.num_subjects))
    plain, scaled = predict(artifact), predict(artifact, variance_factors=factors)
    found = scaled.observation_variance / plain.observation_variance
    assert np.all(np.isin(np.round(found, 9), np.round(factors, 9)))
    np.testing.assert_allclose(scaled.latent_variance, found * plain.latent_variance, rtol=1e-9)


def test_scores_are_answered_on_their_grid_and_nothing_leaves_its_range(artifact: Artifact) -> None:
    found = predict(artifact, num_samples=7, level_maps=_maps(artifact, 3.0))
    for numbers in (found.quantiles, found.samples):
        own = numbers[:, QUERY.channels == SCORE]
        np.testing.assert_array_equal(own, np.rint(own))
        low, high = np.array([CHALLENGE[one].plausible_range for one in QUERY.channels]).T
        assert np.all((numbers >= low) & (numbers <= high))
    assert np.all(np.diff(found.quantiles, axis=0) >= 0)


def test_samples_follow_the_calibrated_quantiles(artifact: Artifact) -> None:
    # The samples have posterior draws of their own: beside their error, that of the few draws.
    found = predict(artifact, num_samples=2000, level_maps=_maps(artifact, 1.5))
    own = QUERY.channels != SCORE
    shares = (found.samples[None, :, own] <= found.quantiles[:, None, own] + 1e-9).mean(axis=1)
    np.testing.assert_allclose(shares.mean(axis=1), LEVELS, atol=0.05)


def test_an_answer_as_wide_as_the_population_is_known_to_say_nothing(artifact: Artifact) -> None:
    everywhere = np.tile([-1e-3, 1e-3], (len(CHALLENGE), 1))
    nowhere = np.tile([-1e3, 1e3], (len(CHALLENGE), 1))
    assert not predict(artifact).is_uninformative.any()
    assert not predict(artifact, population=nowhere).is_uninformative.any()
    found = predict(artifact, population=everywhere)
    normalization = artifact.normalization
    zero = normalization.invert(np.zeros(len(QUERY.channels)), QUERY.channels)
    own = QUERY.channels != SCORE
    contains = (found.quantiles[0] < zero) & (found.quantiles[-1] > zero)
    assert contains[own].any()
    assert np.mean(found.is_uninformative[own] == contains[own]) > 0.98
