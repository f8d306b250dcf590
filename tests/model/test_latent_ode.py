"""Laws of the model as a whole: whose answer depends on what."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from model.config import LatentODEConfig
from model.data.batch import Query, build_batch
from model.data.catalogue import CATALOGUE
from model.data.normalization import Normalization
from model.data.series import Cohort, offsets_from_counts
from model.elbo import evidence_lower_bound
from model.latent_ode import LatentODE, LatentODEOutput
from tests.series import random_cohort

COHORT = random_cohort(6, np.random.default_rng(11))
NORMALIZATION = Normalization.fit(COHORT, CATALOGUE)
CONFIG = LatentODEConfig(
    num_channels=len(CATALOGUE),
    num_statics=len(CATALOGUE.statics),
    latent_dim=8,
    encoder_dim=12,
    dynamics_dim=10,
    decoder_dim=14,
)
NOISE = torch.randn(3, 1, CONFIG.latent_dim, generator=torch.Generator().manual_seed(0))
TIMES = np.array([-1.0, 0.5, 7.25, 30.0, 55.0])


@pytest.fixture(scope="module")
def network() -> LatentODE:
    """A network whose every weight matters: no zero-initialized head."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)  # noqa: TID251  a fixed random network, undone by the fork
        made = LatentODE(CONFIG)
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return made.eval().requires_grad_(requires_grad=False)


def _query(
    num_series: int, times: np.ndarray = TIMES, channels: tuple[int, ...] = (14, 18, 10)
) -> Query:
    per_series = len(times) * len(channels)
    return Query(
        offsets_from_counts(np.full(num_series, per_series)),
        np.tile(np.repeat(times, len(channels)), num_series),
        np.tile(np.array(channels), len(times) * num_series),
    )


def _answer(network: LatentODE, cohort: Cohort, query: Query) -> LatentODEOutput:
    output: LatentODEOutput = network(
        build_batch(cohort, query, NORMALIZATION).map(torch.from_numpy), NOISE
    )
    return output


def _loc(network: LatentODE, cohort: Cohort, query: Query) -> Tensor:
    return _answer(network, cohort, query).decoded.loc


def test_a_series_alone_gets_the_answer_that_it_gets_in_company(network: LatentODE) -> None:
    together = _loc(network, COHORT, _query(len(COHORT))).view(3, len(COHORT), -1)
    for index in range(len(COHORT)):
        alone = _loc(network, COHORT.select([index]), _query(1))
        torch.testing.assert_close(alone, together[:, index], atol=2e-6, rtol=2e-6)


def test_the_order_of_series_does_not_matter(network: LatentODE) -> None:
    order = np.random.default_rng(0).permutation(len(COHORT))
    expected = _loc(network, COHORT, _query(len(COHORT))).view(3, len(COHORT), -1)[:, order]
    found = _loc(network, COHORT.select(order), _query(len(COHORT))).view(3, len(COHORT), -1)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=2e-6)


def test_adding_queries_changes_no_other_answer(network: LatentODE) -> None:
    few = _loc(network, COHORT, _query(len(COHORT), TIMES[:3], (14, 18)))
    many = _loc(network, COHORT, _query(len(COHORT), TIMES, (14, 18, 3)))
    chosen = many.view(3, len(COHORT), len(TIMES), 3)[:, :, :3, :2]
    torch.testing.assert_close(few.view(3, len(COHORT), 3, 2), chosen, atol=2e-6, rtol=2e-6)


def test_one_query_asked_twice_gets_one_answer(network: LatentODE) -> None:
    found = _loc(network, COHORT, _query(len(COHORT), np.array([7.0, 7.0]), (14,)))
    first, second = found.view(3, len(COHORT), 2).unbind(-1)
    torch.testing.assert_close(first, second, atol=2e-6, rtol=2e-6)


def test_a_common_shift_of_times_changes_nothing(network: LatentODE) -> None:
    shifted = replace(COHORT, times_hours=COHORT.times_hours + 8765.4321)
    query = _query(len(COHORT))
    moved = Query(query.offsets, query.times_hours + 8765.4321, query.channels)
    assert torch.equal(_loc(network, COHORT, query), _loc(network, shifted, moved))


def test_the_scale_never_shrinks_as_the_record_recedes(network: LatentODE) -> None:
    horizon = 60 + np.array([0.0, 0.1, 0.5, 1.0, 3.0, 8.0, 24.0])
    channels = tuple(range(len(CATALOGUE)))
    query = _query(len(COHORT), horizon, channels)
    scale = _answer(network, COHORT, query).decoded.scale
    by_time = scale.view(3, len(COHORT), len(horizon), len(channels))
    assert bool((by_time.diff(dim=2) >= 0).all())
    assert bool((by_time[:, :, -1] > by_time[:, :, 0]).all())


def test_the_scale_is_largest_inside_a_gap(network: LatentODE) -> None:
    """One variable only, measured at the ends of a gap: the scale rises and then falls."""
    channel = 14
    cohort = Cohort(
        ("gap",),
        np.array([0, 2]),
        np.array([0.0, 10.0]),
        np.full(2, channel),
        np.array([80.0, 95.0]),
        np.full((1, len(CATALOGUE.statics)), np.nan),
    )
    query = _query(1, np.linspace(0.01, 9.99, 41), (channel,))
    scale = _answer(network, cohort, query).decoded.scale[0]
    middle = len(scale) // 2
    assert bool((scale[: middle + 1].diff() >= 0).all())
    assert bool((scale[middle:].diff() <= 0).all())
    assert float(scale[middle]) > 1.02 * float(scale[0])


def test_the_latent_state_follows_the_query_time(network: LatentODE) -> None:
    batch = build_batch(COHORT, _query(len(COHORT)), NORMALIZATION).map(torch.from_numpy)
    z0 = torch.zeros(1, len(COHORT), CONFIG.latent_dim)
    trajectory = network.latent_trajectory(z0, batch)
    first = batch.point_times < 0
    assert torch.equal(trajectory[0, first], torch.zeros_like(trajectory[0, first]))
    assert float(trajectory[0, ~first].abs().max()) > 0.01


def test_halving_the_step_moves_the_trajectory_little() -> None:
    batch = build_batch(COHORT, _query(len(COHORT)), NORMALIZATION).map(torch.from_numpy)
    z0 = torch.randn(1, len(COHORT), CONFIG.latent_dim, generator=torch.Generator().manual_seed(5))
    coarse = LatentODE(CONFIG).requires_grad_(requires_grad=False)
    fine = LatentODE(replace(CONFIG, step_hours=CONFIG.step_hours / 2))
    fine.requires_grad_(requires_grad=False).load_state_dict(coarse.state_dict())
    torch.testing.assert_close(
        coarse.latent_trajectory(z0, batch), fine.latent_trajectory(z0, batch), atol=1e-2, rtol=0
    )


def test_an_untrained_network_interpolates_linearly() -> None:
    untrained = LatentODE(CONFIG).requires_grad_(requires_grad=False)
    times = np.array([0.0, 4.0, 10.0])
    cohort = Cohort(
        ("one",),
        np.array([0, 2]),
        times[[0, 2]],
        np.array([14, 14]),
        np.array([80.0, 100.0]),
        np.full((1, 5), np.nan),
    )
    query = Query(np.array([0, 1]), times[[1]], np.array([14]))
    batch = build_batch(cohort, query, NORMALIZATION).map(torch.from_numpy)
    found = float(untrained(batch, NOISE).decoded.loc[0, 0])
    values = NORMALIZATION.apply(np.array([80.0, 88.0, 100.0]), np.array([14, 14, 14]))
    assert found == pytest.approx(values[1], abs=0.15 * (values[2] - values[0]))


def test_the_bound_is_the_mean_log_likelihood_minus_the_divergence(network: LatentODE) -> None:
    query = _query(len(COHORT))
    output = _answer(network, COHORT, query)
    targets = torch.linspace(-1, 1, len(query.channels))
    weights = torch.ones_like(targets)
    weights[::3] = 0
    bound = evidence_lower_bound(
        output, targets=targets, target_weights=weights, kl_weight=1.0, free_bits=0.0
    )
    loc, scale = output.decoded.loc, output.decoded.scale
    expected = -torch.log(2 * scale) - (targets - loc).abs() / scale
    likelihood = (expected * weights).sum(-1).mean()
    mean, deviation = output.posterior.loc, output.posterior.scale
    divergence = (0.5 * (mean**2 + deviation**2 - 1) - deviation.log()).sum()
    torch.testing.assert_close(bound.elbo, (likelihood - divergence) / weights.sum())
    torch.testing.assert_close(bound.kl_divergence, divergence / len(COHORT))


def test_a_masked_target_has_no_influence(network: LatentODE) -> None:
    query = _query(len(COHORT))
    output = _answer(network, COHORT, query)
    targets = torch.linspace(-1, 1, len(query.channels))
    weights = torch.ones_like(targets)
    weights[4] = 0
    changed = targets.clone()
    changed[4] = 1e6
    first, second = (
        evidence_lower_bound(
            output, targets=t, target_weights=weights, kl_weight=1.0, free_bits=0.1
        )
        for t in (targets, changed)
    )
    assert torch.equal(first.elbo, second.elbo)


def test_every_parameter_gets_a_gradient() -> None:
    trained = LatentODE(CONFIG)
    for parameter in trained.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    query = _query(len(COHORT))
    output = _answer(trained, COHORT, query)
    bound = evidence_lower_bound(
        output,
        targets=torch.zeros(len(query.channels)),
        target_weights=torch.ones(len(query.channels)),
        kl_weight=1.0,
        free_bits=0.0,
    )
    bound.elbo.backward()
    missing = [
        name
        for name, parameter in trained.named_parameters()
        if parameter.grad is None or not bool(parameter.grad.abs().max() > 0)
    ]
    assert missing == []
