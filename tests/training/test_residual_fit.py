"""The residual base finds the rule that made the data, and stays at interpolation without data."""

from dataclasses import replace

import numpy as np
import torch

from model.data.normalization import Normalization
from model.data.series import Cohort
from model.decoder import NUM_REGIMES, Record
from model.latent_ode import LatentODE
from tests.catalogues import CHALLENGE
from tests.series import random_cohort
from training.config import TrainingConfig
from training.loader import Loader
from training.residual_fit import fit_residual_base

HR, TEMP = CHALLENGE.channel("HR"), CHALLENGE.channel("Temp")
CONFIG = TrainingConfig(
    seed=1, batch_size=64, latent_dim=4, encoder_dim=8, dynamics_dim=4, decoder_dim=8
)
BOTH = 3


def autoregressive_cohort(
    num_series: int, persistence: float, generator: np.random.Generator
) -> Cohort:
    """Heart rates every hour, x' = persistence x + noise, around a mean that all share."""
    noise = generator.standard_normal((num_series, 30)) * np.sqrt(1 - persistence**2)
    levels = np.empty_like(noise)
    levels[:, 0] = generator.standard_normal(num_series)
    for hour in range(1, 30):
        levels[:, hour] = persistence * levels[:, hour - 1] + noise[:, hour]
    return Cohort(
        tuple(str(number) for number in range(num_series)),
        np.arange(num_series + 1) * 30,
        np.tile(np.arange(30.0), num_series),
        np.full(num_series * 30, HR),
        (80 + 10 * levels).ravel(),
        np.full((num_series, len(CHALLENGE.statics)), np.nan),
    )


def fitted(cohort: Cohort, config: TrainingConfig = CONFIG) -> tuple[LatentODE, LatentODE, Loader]:
    """Return a network before and after, and the loader."""
    loader = Loader(cohort, CHALLENGE, Normalization.fit(cohort, CHALLENGE), config)
    architecture = config.architecture(
        num_channels=len(CHALLENGE), num_statics=len(CHALLENGE.statics)
    )
    before, after = (LatentODE(architecture) for _ in range(2))
    fit_residual_base(after, loader)
    return before, after, loader


def judged(network: LatentODE, loader: Loader) -> tuple[Record, np.ndarray, np.ndarray]:
    """Return what the base reads and says about an epoch that it was not fitted on, and the truth."""
    parts = []
    for made in loader.epoch(7):
        assert made is not None
        batch = made.batch.map(torch.from_numpy)
        record = Record.of(batch)
        base = network.decoder.base(record, batch.query_channels)
        parts.append((record, base.numpy(), made.values))
    records, bases, values = zip(*parts, strict=True)
    columns = zip(*(vars(record).values() for record in records), strict=True)
    return Record(*map(torch.cat, columns)), np.concatenate(bases), np.concatenate(values)


def test_it_recovers_the_rule_of_an_autoregression() -> None:
    """Nothing beats persistence times the last value; carrying it forward costs a quarter more."""
    config = replace(
        CONFIG, cells_share=0.0, rows_share=0.0, context_share=(0.5, 0.9), horizon_rows=1
    )
    cohort = autoregressive_cohort(800, 0.6, np.random.default_rng(0))
    before, after, loader = fitted(cohort, config)
    record, carried, truth = judged(before, loader)
    _, base, _ = judged(after, loader)
    last = record.candidates[:, 0].numpy()
    np.testing.assert_allclose(carried, last, atol=1e-5)
    best = ((0.6 * last - truth) ** 2).mean()
    assert ((carried - truth) ** 2).mean() > 1.1 * best
    assert ((base - truth) ** 2).mean() < 1.03 * best
    assert np.corrcoef(base, last)[0, 1] > 0.98


def test_between_two_neighbors_it_recovers_the_best_linear_rule() -> None:
    """One hidden hour between two: persistence / (1 + persistence^2) of their sum."""
    config = replace(CONFIG, cells_share=1.0, rows_share=0.0, hidden_fraction=(0.05, 0.05))
    cohort = autoregressive_cohort(800, 0.2, np.random.default_rng(1))
    before, after, loader = fitted(cohort, config)
    record, line, truth = judged(before, loader)
    _, base, _ = judged(after, loader)
    last, following = record.candidates[:, :2].numpy().T
    chosen = (record.regime == BOTH).numpy()
    best = ((0.2 / 1.04 * (last + following) - truth)[chosen] ** 2).mean()
    assert ((line - truth)[chosen] ** 2).mean() > 1.15 * best
    assert ((base - truth)[chosen] ** 2).mean() < 1.03 * best


def test_rules_without_targets_stay_at_interpolation() -> None:
    before, after, _ = fitted(autoregressive_cohort(50, 0.5, np.random.default_rng(2)))
    start, weights = before.decoder.base.weights, after.decoder.base.weights
    others = [channel for channel in range(len(CHALLENGE)) if channel != HR]
    assert torch.equal(weights[others], start[others])
    assert not torch.allclose(weights[HR, BOTH], start[HR, BOTH], atol=0.05)
    # The heart rate is always observed: the rule of a variable that never was has no target.
    assert torch.equal(weights[HR, 0], start[HR, 0])


def test_a_rule_with_a_handful_of_targets_hardly_leaves_interpolation() -> None:
    """Five series have one wild temperature pair; twenty ridges hold the rule where it was."""
    cohort = autoregressive_cohort(200, 0.5, np.random.default_rng(3))
    rare = np.arange(0, 5 * 30, 15)
    channels, values = cohort.channels.copy(), cohort.values.copy()
    channels[rare], values[rare] = TEMP, 37 + np.random.default_rng(4).normal(0, 1, len(rare))
    before, after, _ = fitted(replace(cohort, channels=channels, values=values))
    moved = (after.decoder.base.weights - before.decoder.base.weights).abs()
    assert 0 < float(moved[TEMP].max()) < 0.35
    assert float(moved[HR].max()) > 0.2


def test_the_fit_is_the_ridge_solution_on_the_same_targets() -> None:
    """The gradient of the ridge's objective is zero at the weights that were found."""
    cohort = random_cohort(120, np.random.default_rng(5))
    before, after, loader = fitted(cohort)
    start = before.decoder.base.weights.double()
    weights = after.decoder.base.weights.double().requires_grad_()
    objective = 20.0 * (weights - start).square().sum()
    for made in loader.epoch(1_000_000):
        assert made is not None
        batch = made.batch.map(torch.from_numpy)
        record = Record.of(batch)
        rules = weights[batch.query_channels, record.regime]
        base = (rules * record.features.double()).sum(-1)
        objective = objective + (base - torch.from_numpy(made.values).clamp(-8, 8)).square().sum()
    objective.backward()
    assert weights.grad is not None
    assert weights.shape[1] == NUM_REGIMES
    assert float(weights.grad.abs().max()) < 1e-3
