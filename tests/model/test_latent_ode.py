"""Laws of the model as a whole: whose answer depends on what."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from model.data.batch import FARTHEST_HOURS, build_batch
from model.data.query import Query
from model.data.series import Cohort
from model.data.windows import forecast_masks
from model.decoder import DecodedQueries
from model.latent_ode import LatentODE
from tests.catalogues import CHALLENGE
from tests.model.networks import (
    COHORT,
    CONFIG,
    NOISE,
    NORMALIZATION,
    NUM_SAMPLES,
    answer,
    grid_query,
    random_network,
    untrained_network,
)

TIMES = np.array([-1.0, 0.5, 7.25, 30.0, 55.0])
CHANNELS = (14, 18, 10)
HR = CHALLENGE.channel("HR")
TOLERANCE = 1e-5


@pytest.fixture(
    scope="module",
    params=[(encoder, way) for encoder in ("attention", "gru") for way in ("smooth", "filter")],
    ids=" ".join,
)
def network(request: pytest.FixtureRequest) -> LatentODE:
    encoder, direction = request.param
    return random_network(encoder=encoder, direction=direction).requires_grad_(requires_grad=False)


def _query(times: np.ndarray = TIMES, channels: tuple[int, ...] = CHANNELS) -> Query:
    return grid_query(len(COHORT), times, channels)


def _numbers(decoded: DecodedQueries) -> Tensor:
    """Return everything that is said about each query."""
    return torch.cat([decoded.logits, decoded.loc, decoded.scale], dim=-1)


def _answers(network: LatentODE, cohort: Cohort, query: Query) -> Tensor:
    """Return what is said, [series query number]."""
    found = _numbers(answer(network, cohort, query).decoded)
    return found.unflatten(1, (len(cohort), -1)).movedim(0, 2)


def _assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_a_series_alone_gets_the_answer_that_it_gets_in_company(network: LatentODE) -> None:
    together = _answers(network, COHORT, _query())
    for index in range(len(COHORT)):
        alone = _answers(network, COHORT.select([index]), grid_query(1, TIMES, CHANNELS))
        _assert_close(alone[0], together[index])


def test_the_order_of_series_does_not_matter(network: LatentODE) -> None:
    order = np.random.default_rng(0).permutation(len(COHORT))
    expected = _answers(network, COHORT, _query())[order]
    _assert_close(_answers(network, COHORT.select(order), _query()), expected)


def test_adding_queries_changes_no_other_answer(network: LatentODE) -> None:
    few = _answers(network, COHORT, _query(TIMES[:3], (14, 18)))
    many = _answers(network, COHORT, _query(TIMES, (14, 18, 3))).unflatten(1, (len(TIMES), 3))
    _assert_close(few, many[:, :3, :2].flatten(1, 2))


def test_one_query_asked_twice_gets_one_answer(network: LatentODE) -> None:
    first, second = _answers(network, COHORT, _query(np.array([7.0, 7.0]), (14,))).unbind(1)
    _assert_close(first, second)


def test_a_common_shift_of_times_changes_no_bit(network: LatentODE) -> None:
    shifted = replace(COHORT, times_hours=COHORT.times_hours + 8765.4321)
    query = _query()
    moved = replace(query, times_hours=query.times_hours + 8765.4321)
    assert torch.equal(_answers(network, COHORT, query), _answers(network, shifted, moved))


def test_every_answer_is_finite_wherever_it_is_asked(network: LatentODE) -> None:
    """A single observation; a variable that was never observed; long before and long after."""
    single = COHORT.keep(np.isin(np.arange(len(COHORT.values)), COHORT.offsets[:-1]))
    assert single.counts.tolist() == [1] * len(COHORT)
    times = np.array([-5000.0, -1e-6, 0.0, 1e-6, 47.0, 5000.0])
    for cohort in (single, COHORT):
        query = _query(times, tuple(range(len(CHALLENGE))))
        output = answer(network, cohort, query)
        assert bool(_numbers(output.decoded).isfinite().all())
        assert bool((output.decoded.scale >= network.config.min_scale).all())


def test_a_batch_without_queries_has_a_posterior(network: LatentODE) -> None:
    output = answer(network, COHORT, _query(TIMES[:0]))
    assert output.decoded.loc.shape == (NUM_SAMPLES, 0, CONFIG.num_components)
    assert bool(output.posterior.loc.isfinite().all())


def test_every_input_matters(network: LatentODE) -> None:
    """The laws above would hold for a network that reads nothing."""
    expected = _answers(network, COHORT, _query(TIMES[1:]))
    doubled = replace(COHORT, values=COHORT.values * 1.05)
    statics = replace(COHORT, statics=np.where(np.isnan(COHORT.statics), 1.0, COHORT.statics + 1))
    stretched = replace(COHORT, times_hours=COHORT.times_hours * 1.1)
    for changed in (doubled, statics, stretched):
        moved = (_answers(network, changed, _query(TIMES[1:])) - expected).abs().amax((1, 2, 3))
        assert bool((moved > 1e-4).all())
    other_noise = _numbers(answer(network, COHORT, _query(), NOISE + 1).decoded)
    assert not torch.allclose(other_noise, _numbers(answer(network, COHORT, _query()).decoded))


def _moved_by_the_future(network: LatentODE, time: float, *, remove: bool) -> Tensor:
    """Change every observation after a time; return how far the answers up to it move."""
    origins = COHORT.times_hours[COHORT.offsets[:-1]]
    is_later = COHORT.times_hours - origins[COHORT.series_indices] > time
    assert is_later.mean() > 0.2
    if remove:
        changed = COHORT.keep(~is_later)
    else:
        changed = replace(COHORT, values=np.where(is_later, COHORT.values * 1.3, COHORT.values))
    query = _query(np.array([0.0, 0.3 * time, time]), (14, 18, 10, 3))
    asked = replace(query, times_hours=query.times_hours + origins[query.series_of_points])
    found, expected = (_answers(network, cohort, asked) for cohort in (changed, COHORT))
    return (found - expected).abs().amax()


FILTERS = pytest.mark.parametrize("encoder", ["attention", "gru"])


@FILTERS
@pytest.mark.parametrize("time", [0.0, 5.0, 24.0])
def test_no_later_value_changes_the_answer_of_a_filter_at_a_knot(encoder: str, time: float) -> None:
    network = random_network(encoder=encoder, direction="filter").requires_grad_(
        requires_grad=False
    )
    assert float(_moved_by_the_future(network, time, remove=False)) < TOLERANCE


@FILTERS
def test_no_later_value_changes_the_answer_of_a_filter_between_knots(encoder: str) -> None:
    network = random_network(encoder=encoder, direction="filter").requires_grad_(
        requires_grad=False
    )
    assert float(_moved_by_the_future(network, 5.4, remove=False)) < TOLERANCE


@FILTERS
def test_the_end_of_the_record_changes_no_earlier_answer_of_a_filter(encoder: str) -> None:
    network = random_network(encoder=encoder, direction="filter").requires_grad_(
        requires_grad=False
    )
    assert float(_moved_by_the_future(network, 23.9, remove=True)) < TOLERANCE


@FILTERS
def test_the_answers_of_a_smoother_use_the_future(encoder: str) -> None:
    network = random_network(encoder=encoder, direction="smooth")
    with torch.no_grad():
        moved = _moved_by_the_future(network, 5.4, remove=False)
    assert float(moved) > 1e-2


def test_a_forecast_from_a_cut_context_knows_nothing_after_the_cut(network: LatentODE) -> None:
    masks = forecast_masks(COHORT, context_end_hours=20.0, horizon_hours=30.0)
    wild = replace(
        COHORT, values=np.where(masks.context_mask, COHORT.values, COHORT.values * 1.5 + 1)
    )
    windows = [masks.split(cohort, CHALLENGE) for cohort in (COHORT, wild)]
    first, second = (answer(network, w.context, Query.at(w.target)).decoded for w in windows)
    assert torch.equal(_numbers(first), _numbers(second))


def test_without_control_the_trajectory_knows_z0_alone() -> None:
    generator = np.random.default_rng(2)
    other = replace(COHORT, values=generator.permuted(COHORT.values))
    z0 = torch.randn(1, len(COHORT), CONFIG.latent_dim, generator=torch.Generator().manual_seed(3))
    for use_control in (False, True):
        network = random_network(use_control=use_control)
        first, second = (_trajectory(network, cohort, z0) for cohort in (COHORT, other))
        assert torch.equal(first, second) != use_control
        assert not torch.allclose(first, _trajectory(network, COHORT, z0 + 1))


def _trajectory(network: LatentODE, cohort: Cohort, z0: Tensor) -> Tensor:
    batch = build_batch(cohort, _query(), NORMALIZATION).map(torch.from_numpy)
    with torch.no_grad():
        return network.latent_trajectory(z0, network.encoder(batch), batch)


def test_without_the_residual_the_decoder_knows_the_latent_state_alone() -> None:
    batch = build_batch(COHORT, _query(), NORMALIZATION).map(torch.from_numpy)
    blinded = replace(
        batch,
        points=batch.points.map(torch.zeros_like),
        records=batch.records.map(torch.zeros_like),
    )
    shape = (1, len(batch.point_times), CONFIG.latent_dim)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    for use_residual in (False, True):
        decoder = random_network(use_residual=use_residual).decoder
        first, second = (_numbers(decoder(latents, made)) for made in (batch, blinded))
        assert torch.equal(first, second) != use_residual
        assert not torch.allclose(first, _numbers(decoder(latents + 1, batch)))


def test_the_latent_state_is_z0_until_the_first_observation() -> None:
    network = random_network()
    batch = build_batch(COHORT, _query(), NORMALIZATION).map(torch.from_numpy)
    z0 = torch.randn(1, len(COHORT), CONFIG.latent_dim, generator=torch.Generator().manual_seed(3))
    latents = _trajectory(network, COHORT, z0)
    is_before = batch.point_times <= 0
    assert bool(is_before.any())
    _assert_close(latents[:, is_before], z0[:, batch.point_series[is_before]])
    assert float((latents - z0[:, batch.point_series])[:, ~is_before].abs().max()) > 0.01


def test_after_the_record_the_latent_state_goes_to_the_set_point_and_stays() -> None:
    network = untrained_network(CONFIG).eval()
    query = _query(np.array([47.0 + FARTHEST_HOURS, 50.0 + FARTHEST_HOURS, 9000.0]))
    batch = build_batch(COHORT, query, NORMALIZATION).map(torch.from_numpy)
    with torch.no_grad():
        network.dynamics.log_rates.clamp_(min=-1.0)
        network.dynamics.log_forgetting.fill_(-1.0)
        encoding = network.encoder(batch)
        z0 = torch.zeros(1, len(COHORT), CONFIG.latent_dim)
        latents = network.latent_trajectory(z0, encoding, batch)[0].unflatten(0, (len(COHORT), 3))
        at_end = encoding.knots[torch.arange(len(COHORT)), encoding.knot_counts - 1]
        set_point = network.dynamics.set_point(at_end)
    for at_time in latents.unbind(1):
        _assert_close(at_time, set_point)


def test_more_steps_and_sweeps_move_an_answer_little() -> None:
    network = random_network(std=0.1)
    fine = random_network(std=0.1, num_substeps=4, num_sweeps=12)
    with torch.no_grad():
        coarse, exact = (_answers(each, COHORT, _query()) for each in (network, fine))
    moved = (coarse - exact).abs().max()
    assert 0 < float(moved) < 1e-2


def test_every_parameter_gets_a_gradient(network: LatentODE) -> None:
    trained = random_network(
        encoder=network.config.encoder, direction=network.config.direction
    ).train()
    output = answer(trained, COHORT, _query(channels=tuple(range(len(CHALLENGE)))))
    total = _numbers(output.decoded).square().sum() + output.posterior.scale.square().sum()
    total.backward()
    missing = {
        name
        for name, parameter in trained.named_parameters()
        if parameter.grad is None or not bool(parameter.grad.abs().max() > 0)
    }
    # The knots of a filter reach as far as it is asked, so that it needs no set-point.
    beyond = {"dynamics.log_forgetting", "dynamics.set_point.weight", "dynamics.set_point.bias"}
    assert missing == (beyond if network.config.direction == "filter" else set())
