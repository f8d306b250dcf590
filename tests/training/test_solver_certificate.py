"""The certificate says how far the answers are from those of a much finer grid."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.config import LatentODEConfig
from model.data.normalization import Normalization
from model.latent_ode import LatentODE
from tests.catalogues import CHALLENGE
from tests.series import random_cohort
from training.solver_certificate import LARGEST_ERROR, answer_errors, certify
from training.validation import NetworkAnswers, Validation

CPU = torch.device("cpu")
COHORT = random_cohort(8, np.random.default_rng(4), mean_observations=60)
NORMALIZATION = Normalization.fit(COHORT, CHALLENGE)
VALIDATION = Validation.of(COHORT, CHALLENGE, NORMALIZATION, 24.0)


def _network(*, coupling: float, num_sweeps: int = 3) -> LatentODE:
    """A random network whose vector field's nonlinear part has a Lipschitz constant near `coupling`."""
    config = LatentODEConfig(
        num_channels=len(CHALLENGE),
        num_statics=len(CHALLENGE.statics),
        latent_dim=6,
        encoder_dim=8,
        dynamics_dim=6,
        decoder_dim=8,
        num_sweeps=num_sweeps,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)  # noqa: TID251  a fixed random network, undone by the fork
        network = LatentODE(config)
        for parameter in network.decoder.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
    layers = network.dynamics.network.state_dict()
    layers["0.weight"].copy_(torch.eye(6, 7))
    layers["2.weight"].copy_(coupling * torch.eye(6).roll(1, 0))
    return network.eval()


def test_a_good_grid_is_kept_and_a_poor_one_refined_until_the_error_is_small() -> None:
    kept, certificate = certify(_network(coupling=0.02), VALIDATION, CPU)
    assert (kept.config.num_substeps, kept.config.num_sweeps) == (1, 3)
    assert (certificate.step_hours, certificate.num_sweeps) == (1.0, 3)
    assert certificate.holds
    refined, certificate = certify(_network(coupling=0.6, num_sweeps=1), VALIDATION, CPU)
    factor = refined.config.num_substeps
    assert factor in (2, 4, 8)
    assert certificate.step_hours == 1 / factor
    assert certificate.num_sweeps == refined.config.num_sweeps == factor
    assert certificate.largest_error <= LARGEST_ERROR
    assert 0 < certificate.median_error < certificate.largest_error


def test_what_cannot_be_certified_says_so() -> None:
    """Sweeps that do not contract are refined three times and then given up."""
    served, certificate = certify(_network(coupling=40.0, num_sweeps=1), VALIDATION, CPU)
    assert not certificate.holds
    assert served.config.num_substeps == 8
    assert certificate.to_json()["holds"] is False


def test_the_certified_network_answers_on_the_certified_grid() -> None:
    """The dynamics themselves must know the grid, and the weights are those that were trained."""
    network = _network(coupling=0.6, num_sweeps=1)
    served, _ = certify(network, VALIDATION, CPU)
    assert served.dynamics.config == served.config
    assert network.config.num_sweeps == network.dynamics.config.num_sweeps == 1
    for name, value in network.state_dict().items():
        assert torch.equal(served.state_dict()[name], value)


def test_the_certified_error_is_the_one_that_a_reader_measures() -> None:
    served, certificate = certify(_network(coupling=0.1), VALIDATION, CPU)
    exact = copy.deepcopy(served)
    exact.config = exact.dynamics.config = replace(
        served.config,
        num_substeps=16 * served.config.num_substeps,
        num_sweeps=8 * served.config.num_sweeps,
    )
    errors = [
        answer_errors(VALIDATION.answer(served, window, CPU), VALIDATION.answer(exact, window, CPU))
        for window in VALIDATION.windows
    ]
    assert certificate.num_targets == sum(map(len, errors))
    assert np.concatenate(errors).max() == pytest.approx(certificate.largest_error, rel=0.3)
    assert "hours" not in certificate.text
    assert f"{certificate.num_targets:,} targets" in certificate.text


def test_an_error_is_a_share_of_the_predictive_deviation() -> None:
    """Two components by hand: standard deviation sqrt(2 scale^2 + spread of the locations)."""
    loc = np.array([[0.0, 1.0], [2.0, 1.0]])
    scale, weight = np.full((2, 2), 0.5), np.full((2, 2), 0.5)
    exact = NetworkAnswers(loc, scale, weight, np.zeros(1))
    moved = NetworkAnswers(loc + 0.3, scale, weight, np.zeros(1))
    deviation = np.sqrt([2 * 0.25 + 1.0, 2 * 0.25])
    np.testing.assert_allclose(answer_errors(moved, exact), 0.3 / deviation)
    wider = NetworkAnswers(loc, 2 * scale, weight, np.zeros(1))
    expected = np.sqrt([2 * 1.0 + 1.0, 2 * 1.0]) / deviation - 1
    np.testing.assert_allclose(answer_errors(wider, exact), expected)
