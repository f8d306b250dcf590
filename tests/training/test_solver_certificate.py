"""The certificate says how far the answers are from those of a much finer grid."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.config import LatentODEConfig
from model.data.catalogue import CATALOGUE
from model.data.normalization import Normalization
from model.latent_ode import LatentODE
from tests.series import random_cohort
from training.solver_certificate import LARGEST_ERROR, certify
from training.validation import Validation

CPU = torch.device("cpu")
COHORT = random_cohort(8, np.random.default_rng(4), mean_observations=60)
NORMALIZATION = Normalization.fit(COHORT, CATALOGUE)
VALIDATION = Validation.of(COHORT, CATALOGUE, NORMALIZATION, 24.0)


def _network(*, step_hours: float, fastest_hours: float) -> LatentODE:
    """A random network whose latent dimensions forget at rates up to 1 / fastest_hours."""
    config = LatentODEConfig(
        num_channels=len(CATALOGUE),
        num_statics=len(CATALOGUE.statics),
        latent_dim=6,
        encoder_dim=8,
        dynamics_dim=8,
        decoder_dim=8,
        step_hours=step_hours,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)  # noqa: TID251  a fixed random network, undone by the fork
        network = LatentODE(config)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
    with torch.no_grad():
        network.dynamics.log_rate.copy_(-torch.linspace(np.log(fastest_hours), 4.0, 6))
    return network.eval()


def test_a_small_step_is_kept_and_a_large_one_refined_until_the_error_is_small() -> None:
    kept, certificate = certify(_network(step_hours=0.5, fastest_hours=4.0), VALIDATION, CPU)
    assert kept.config.step_hours == certificate.step_hours == 0.5
    assert certificate.holds
    refined, certificate = certify(_network(step_hours=4.0, fastest_hours=2.0), VALIDATION, CPU)
    assert refined.config.step_hours == certificate.step_hours < 4.0
    assert certificate.largest_error <= LARGEST_ERROR
    assert 0 < certificate.median_error < certificate.largest_error


def test_what_cannot_be_certified_says_so() -> None:
    """A time constant of 20 seconds is out of reach of a quarter of an hour."""
    network = _network(step_hours=4.0, fastest_hours=0.005)
    served, certificate = certify(network, VALIDATION, CPU)
    assert not certificate.holds
    assert served.config.step_hours == 0.25


def test_the_certified_error_is_near_the_true_one() -> None:
    network = _network(step_hours=2.0, fastest_hours=2.0)
    served, certificate = certify(network, VALIDATION, CPU)
    exact = copy.deepcopy(network)
    exact.config = replace(network.config, step_hours=served.config.step_hours / 8)
    largest = 0.0
    for window in VALIDATION.windows:
        found = VALIDATION.answer(served, window, CPU)
        true = VALIDATION.answer(exact, window, CPU)
        moved = np.abs(found.loc - true.loc) / (np.sqrt(2) * true.scale)
        widened = np.abs(found.scale - true.scale) / true.scale
        largest = max(largest, float(moved.max()), float(widened.max()))
    assert largest == pytest.approx(certificate.largest_error, rel=1.0)
