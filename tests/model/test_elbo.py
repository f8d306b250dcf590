"""The bound against its definition, and the likelihood against the one that the server uses."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from model.data.query import Query
from model.decoder import DecodedQueries
from model.elbo import BoundParts, Targets, bound_parts, log_likelihood
from model.latent_ode import LatentODEOutput
from model.runtime.mixture import LaplaceMixture
from tests.catalogues import CHALLENGE
from tests.model.networks import COHORT, NORMALIZATION, answer, grid_query, random_network

NUM_QUERIES = 60
NUM_SERIES = 5
LATENT_DIM = 4


def random_decoded(seed: int, *, num_samples: int = 3) -> DecodedQueries:
    generator = torch.Generator().manual_seed(seed)
    shape = (num_samples, NUM_QUERIES, 3)
    logits, loc, log_scale = (torch.randn(shape, generator=generator) for _ in range(3))
    return DecodedQueries(logits, loc, log_scale.exp())


def random_targets(seed: int) -> Targets:
    """Densities, narrow and wide intervals, intervals that have no end on one side or on both."""
    generator = torch.Generator().manual_seed(seed)
    values = 2 * torch.randn(NUM_QUERIES, generator=generator)
    half = torch.rand(NUM_QUERIES, generator=generator)
    half[::4] = 0.0
    half[1::4] *= 0.01
    low, high = values - half, values + half
    low[2::8], high[3::8] = -torch.inf, torch.inf
    low[7], high[7] = -torch.inf, torch.inf
    series = torch.arange(NUM_QUERIES) % NUM_SERIES
    weights = torch.rand((2, NUM_QUERIES), generator=generator) + 0.1
    censoring = torch.zeros(NUM_QUERIES)
    return Targets(values, low, high, weights[0], weights[1], series, censoring)


def random_output(seed: int, *, num_samples: int = 3) -> LatentODEOutput:
    generator = torch.Generator().manual_seed(seed + 100)
    loc, log_scale = torch.randn((2, NUM_SERIES, LATENT_DIM), generator=generator)
    prior = Normal(torch.zeros_like(loc), torch.ones_like(loc))
    return LatentODEOutput(
        Normal(loc, log_scale.exp()), prior, random_decoded(seed, num_samples=num_samples)
    )


def objective(parts: BoundParts, *, kl_weight: float = 1.0, free_bits: float = 0.0) -> float:
    return float(parts.objective(parts.totals(), kl_weight=kl_weight, free_bits=free_bits))


def served_log_likelihood(decoded: DecodedQueries, targets: Targets, sample: int) -> np.ndarray:
    """Return what the server's own mixture says, in double precision."""
    loc, scale, weight = (
        part[sample].double().numpy().T
        for part in (decoded.loc, decoded.scale, decoded.logits.softmax(-1))
    )
    mixture = LaplaceMixture(loc, scale, weight, np.zeros(NUM_QUERIES, dtype=int))
    return mixture.log_likelihood(targets.low.double().numpy(), targets.high.double().numpy())


def double(targets: Targets) -> Targets:
    """Return the same targets in double precision."""
    return Targets(
        **{
            name: value if name == "series" else value.double()
            for name, value in vars(targets).items()
        }
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_likelihood_is_that_of_the_served_mixture(seed: int) -> None:
    decoded, targets = random_decoded(seed), random_targets(seed)
    exact = DecodedQueries(*(part.double() for part in vars(decoded).values()))
    found, rounded = log_likelihood(exact, double(targets)), log_likelihood(decoded, targets)
    for sample in range(3):
        expected = served_log_likelihood(exact, targets, sample)
        np.testing.assert_allclose(found[sample], expected, rtol=1e-9, atol=1e-9)
        # The width of a narrow interval is a difference of two numbers of single precision.
        np.testing.assert_allclose(rounded[sample], expected, rtol=0, atol=1e-3)


def test_a_narrow_interval_far_out_in_a_tail_keeps_its_digits() -> None:
    decoded = random_decoded(7)
    targets = replace(random_targets(7), values=torch.full((NUM_QUERIES,), 80.0))
    for shift in (80.0, -80.0):
        low, high = torch.full((2, NUM_QUERIES), shift).unbind()
        targets = replace(targets, low=low - 0.01, high=high + 0.01)
        expected = served_log_likelihood(decoded, targets, 0)
        assert np.all(expected < -5)
        np.testing.assert_allclose(log_likelihood(decoded, targets)[0], expected, rtol=1e-3)


def test_the_probabilities_of_all_cells_sum_to_one() -> None:
    edges = torch.cat(
        [torch.tensor([-torch.inf]), torch.linspace(-6, 6, 40), torch.tensor([torch.inf])]
    )
    decoded, targets = random_decoded(8), random_targets(8)
    cells = [
        log_likelihood(
            decoded,
            replace(targets, low=ends[0].expand(NUM_QUERIES), high=ends[1].expand(NUM_QUERIES)),
        )
        for ends in pairwise(edges)
    ]
    total = torch.logsumexp(torch.stack(cells), 0)
    torch.testing.assert_close(total, torch.zeros_like(total), rtol=0, atol=1e-5)


def test_likelihood_and_gradients_are_finite_at_infinite_ends_and_extreme_values() -> None:
    parameters = [
        part.clone().requires_grad_()
        for part in (random_decoded(3).logits, random_decoded(4).loc, random_decoded(5).scale)
    ]
    targets = random_targets(3)
    values = targets.values.clone()
    values[::10] = 1e3
    logits, loc, scale = parameters
    # At a location exactly, and at an end of an interval exactly.
    values[0], values[4] = loc[0, 0, 0].item(), loc[1, 4, 2].item()
    low, high = targets.low.clone(), targets.high.clone()
    low[0] = high[0] = values[0]
    low[1], high[5] = loc[0, 1, 0].item(), loc[0, 5, 1].item()
    high[1], low[5] = low[1] + 0.1, high[5] - 0.1
    made = replace(targets, values=values, low=low, high=high)
    found = log_likelihood(DecodedQueries(logits, loc, scale), made)
    assert bool(found.isfinite().all())
    found.sum().backward()
    for parameter in parameters:
        assert parameter.grad is not None
        assert bool(parameter.grad.isfinite().all())


def test_gradients_are_those_of_finite_differences() -> None:
    decoded, targets = random_decoded(6, num_samples=1), random_targets(6)
    some = slice(0, 12)
    few = Targets(**{name: value[some] for name, value in vars(double(targets)).items()})
    arguments = tuple(
        part[:, some].double().requires_grad_()
        for part in (decoded.logits, decoded.loc, decoded.scale)
    )
    assert torch.autograd.gradcheck(
        lambda *parts: log_likelihood(DecodedQueries(*parts), few), arguments, atol=1e-6
    )


def test_one_sample_is_the_evidence_lower_bound() -> None:
    output, targets = random_output(1, num_samples=1), random_targets(1)
    parts = bound_parts(output, targets)
    likelihood = (log_likelihood(output.decoded, targets)[0] * targets.weights).sum()
    mean, deviation = output.posterior.loc, output.posterior.scale
    divergence = (0.5 * (mean**2 + deviation**2 - 1) - deviation.log()).sum()
    squared = (output.decoded.mean[0] - targets.values) ** 2 * targets.mean_weights
    expected = (likelihood - divergence - squared.sum()) / targets.weights.sum()
    assert objective(parts) == pytest.approx(float(expected), rel=1e-5)
    torch.testing.assert_close(parts.divergence.sum(), divergence)
    assert float(parts.num_series) == NUM_SERIES


def test_equal_samples_are_worth_one() -> None:
    one, targets = random_output(2, num_samples=1), random_targets(2)
    decoded = DecodedQueries(*(part.repeat(5, 1, 1) for part in vars(one.decoded).values()))
    five = replace(one, decoded=decoded)
    assert objective(bound_parts(five, targets)) == pytest.approx(
        objective(bound_parts(one, targets)), rel=1e-5
    )


def test_samples_are_joined_series_by_series() -> None:
    """The logarithm of a mean over samples of whole series, not of single targets or of the batch."""
    output, targets = random_output(3), random_targets(3)
    each = log_likelihood(output.decoded, targets) * targets.weights
    expected = 0.0
    for series in range(NUM_SERIES):
        sums = each[:, targets.series == series].sum(1).double()
        expected += float(torch.logsumexp(sums, 0)) - math.log(len(sums))
    assert float(bound_parts(output, targets).log_likelihood) == pytest.approx(expected, rel=1e-5)


def test_the_bound_grows_with_the_number_of_samples() -> None:
    """In expectation (Burda et al. 2016, theorem 1): groups of k of the same 240 draws."""
    targets = random_targets(4)
    output = random_output(4, num_samples=240)
    bounds = []
    for size in (1, 2, 8, 40, 240):
        groups = [
            DecodedQueries(*(part[start : start + size] for part in vars(output.decoded).values()))
            for start in range(0, 240, size)
        ]
        likelihoods = [bound_parts(replace(output, decoded=group), targets) for group in groups]
        bounds.append(np.mean([float(parts.log_likelihood) for parts in likelihoods]))
    assert np.all(np.diff(bounds) > 0.1)


def test_parts_of_a_batch_add_up_to_the_whole() -> None:
    """Processes that share a batch know the totals; their objectives and gradients are added."""
    channels, times = (14, 18, 10), np.array([1.0, 9.0, 30.0])
    weights = random_targets(5)

    def parts_of(network: torch.nn.Module, chosen: np.ndarray) -> BoundParts:
        query = grid_query(len(chosen), times, channels)
        output = answer(network, COHORT.select(chosen), query)  # type: ignore[arg-type]
        rows = np.concatenate([np.arange(9) + 9 * index for index in chosen])
        series = torch.arange(len(chosen)).repeat_interleave(9)
        taken = {name: value[rows] for name, value in vars(weights).items()}
        return bound_parts(output, Targets(**taken | {"series": series}))

    def gradient(groups: list[np.ndarray]) -> tuple[float, Tensor]:
        network = random_network()
        parts = [parts_of(network, group) for group in groups]
        totals = torch.stack([part.totals() for part in parts]).sum(0)
        objectives = [part.objective(totals, kl_weight=0.7, free_bits=0.5) for part in parts]
        total = torch.stack(objectives).sum()
        total.backward()
        flat = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        return float(total.detach()), torch.cat(flat)

    everyone = np.arange(len(COHORT))
    whole, expected = gradient([everyone])
    split, found = gradient([everyone[::2], everyone[1::2]])
    assert split == pytest.approx(whole, rel=1e-5)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-4)


def limits_at(values: Tensor, side: int) -> Targets:
    """Return a limit at each value instead of a target."""
    far = torch.full_like(values, torch.inf)
    low, high = (-far, values) if side < 0 else (values, far)
    censoring = torch.full_like(values, float(side))
    return replace(random_targets(0), values=values, low=low, high=high, censoring=censoring)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_wider_limit_is_never_less_likely_and_its_gradients_are_finite(side: int) -> None:
    decoded = random_decoded(3)
    parts = [part.requires_grad_() for part in vars(decoded).values()]
    likelihoods = []
    for limit in (-1e3, -8.0, -1.0, 0.0, 1.0, 8.0, 1e3):
        found = log_likelihood(decoded, limits_at(torch.full((NUM_QUERIES,), limit), side))
        gradients = torch.autograd.grad(found.sum(), parts)
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
        likelihoods.append(found.detach())
    steps = side * torch.diff(torch.stack(likelihoods), dim=0)
    assert torch.all(steps <= 1e-6)
    assert torch.all(likelihoods[0 if side > 0 else -1].abs() < 1e-6)


def test_both_sides_of_a_limit_are_everything() -> None:
    decoded, values = random_decoded(4), random_targets(4).values
    both = [log_likelihood(decoded, limits_at(values, side)) for side in (-1, 1)]
    torch.testing.assert_close(torch.logaddexp(*both), torch.zeros_like(both[0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_mean_on_the_allowed_side_of_a_limit_is_no_error(side: int) -> None:
    output = random_output(5)
    far = torch.full((NUM_QUERIES,), 50.0)
    allowed, forbidden = (
        float(bound_parts(output, limits_at(-side * sign * far, side)).squared_error)
        for sign in (1, -1)
    )
    assert allowed == 0
    measured = replace(limits_at(side * far, side), censoring=torch.zeros(NUM_QUERIES))
    assert forbidden == float(bound_parts(output, measured).squared_error) > 0


def test_only_the_divergence_above_the_free_bits_is_charged() -> None:
    parts = bound_parts(random_output(6), random_targets(6))
    each = parts.divergence / parts.num_series
    limit = float(each.median())
    free = objective(parts, kl_weight=0.0)
    charged = (each - limit).clamp(min=0).sum() * parts.num_series / parts.weight
    found = objective(parts, kl_weight=0.5, free_bits=limit)
    assert found == pytest.approx(free - 0.5 * float(charged), rel=1e-5)
    assert objective(parts, free_bits=1e6) == pytest.approx(free)


@pytest.mark.parametrize("extreme", [5e3, -5e3])
def test_a_masked_target_has_no_influence(extreme: float) -> None:
    network, query = random_network(), grid_query(len(COHORT), np.array([3.0, 20.0]), (14, 18))
    results = []
    for value in (0.3, extreme):
        targets = _targets(query)
        values, low, high = targets.values.clone(), targets.low.clone(), targets.high.clone()
        values[4], low[4], high[4] = value, value - 0.1, value + 0.1
        weights, mean_weights = targets.weights.clone(), targets.mean_weights.clone()
        weights[4] = mean_weights[4] = 0.0
        made = replace(
            targets,
            values=values,
            low=low,
            high=high,
            weights=weights,
            mean_weights=mean_weights,
        )
        network.zero_grad()
        parts = bound_parts(answer(network, COHORT, query), made)
        bound = parts.objective(parts.totals(), kl_weight=1.0, free_bits=0.0)
        bound.backward()
        gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        results.append(torch.cat([bound.detach().view(1), *gradients]))
    assert torch.equal(*results)


def _targets(query: Query) -> Targets:
    """Return targets for a query, recorded with the steps of the catalogue."""
    generator = np.random.default_rng(0)
    low, high = np.array([item.plausible_range for item in CHALLENGE])[query.channels].T
    values = low + (high - low) * generator.uniform(0.3, 0.6, len(low))
    standardized = NORMALIZATION.apply(values, query.channels)
    ends = NORMALIZATION.interval(values, query.channels)
    middle, start, end = (torch.from_numpy(array).float() for array in (standardized, *ends))
    series = torch.from_numpy(query.series_of_queries)
    ones, zeros = torch.ones(len(values)), torch.zeros(len(values))
    return Targets(middle, start, end, ones, ones, series, zeros)
