"""Calibration of a network: what is fitted on held-out subjects holds for what is served."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.artifact import Artifact, load_artifact
from model.calibration import MIN_SUBJECTS, Calibration
from model.data.query import Query
from model.latent_ode import LatentODE
from model.runtime.backends import load_predictor
from model.runtime.predictor import Request
from tests.catalogues import CHALLENGE
from tests.series import random_cohort
from training.calibrate import calibrate
from training.validation import Validation

NUM_SERIES = 60
LEVELS = (0.05, 0.25, 0.75, 0.95)


@pytest.fixture(scope="module")
def artifact(tiny_artifact: Path) -> Artifact:
    return load_artifact(tiny_artifact)


def validation(artifact: Artifact, seed: int) -> Validation:
    cohort = random_cohort(NUM_SERIES, np.random.default_rng(seed), mean_observations=150)
    return Validation.of(cohort, CHALLENGE, artifact.normalization, horizon_hours=24.0)


@pytest.fixture(scope="module")
def calibration(artifact: Artifact) -> Calibration:
    network = LatentODE(artifact.config)
    network.load_state_dict(
        {name: torch.from_numpy(np.array(value)) for name, value in artifact.weights.items()}
    )
    return calibrate(network, validation(artifact, 0), torch.device("cpu"))


def _shares_below(artifact: Artifact, seed: int) -> np.ndarray:
    """Return which share of targets without a step lies below each quantile."""
    predictor = load_predictor(artifact, backend="torch", device="cpu")
    below = []
    for window in validation(artifact, seed).windows:
        query = Query.at(window.target)
        quantiles = predictor.predict(Request(window.context, query, LEVELS)).quantiles
        is_smooth = query.channels != CHALLENGE.channel("GCS")
        below.append((window.target.values <= quantiles)[:, is_smooth])
    shares: np.ndarray = np.concatenate(below, axis=1).mean(axis=1)
    return shares


def test_other_subjects_are_covered_by_what_is_served(
    artifact: Artifact, calibration: Calibration
) -> None:
    # Random weights are far off; the same kind of subjects, none of them seen, is covered as asked.
    before = _shares_below(artifact, 1)
    after = _shares_below(replace(artifact, calibration=calibration), 1)
    assert np.abs(before - LEVELS).max() > 0.1
    np.testing.assert_allclose(after, LEVELS, atol=0.03)


def test_every_table_is_filled(calibration: Calibration) -> None:
    assert len(calibration.encoder_divergences) == 2 * NUM_SERIES
    assert np.all(np.diff(calibration.encoder_divergences) >= 0)
    assert calibration.num_subjects.max() <= NUM_SERIES
    assert np.mean(calibration.num_subjects >= MIN_SUBJECTS) > 0.2
    asked = np.array([variable.is_queryable for variable in CHALLENGE])
    assert np.isfinite(calibration.population[asked]).all()
    assert np.isnan(calibration.population[~asked]).all()
    assert np.all((calibration.error_hours >= 0.5) & (calibration.error_hours <= 48))


def test_the_same_network_has_the_same_calibration(
    artifact: Artifact, calibration: Calibration
) -> None:
    # To rounding: a matrix library adds in an order that the alignment of its arrays decides.
    network = LatentODE(artifact.config)
    network.load_state_dict(
        {name: torch.from_numpy(np.array(value)) for name, value in artifact.weights.items()}
    )
    again = calibrate(network, validation(artifact, 0), torch.device("cpu"))
    np.testing.assert_array_equal(again.num_subjects, calibration.num_subjects)
    np.testing.assert_allclose(again.level_maps.table, calibration.level_maps.table, atol=1e-5)
    for name in ("encoder_divergences", "error_hours", "variance_factors", "population"):
        np.testing.assert_allclose(
            getattr(again, name), getattr(calibration, name), rtol=1e-4, err_msg=name
        )
