"""A third of a variable's values are known as limits only: what training learns from them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from model.data.batch import build_batch
from model.data.normalization import Normalization
from model.data.query import Query
from model.data.series import AT_OR_BELOW, MEASURED, Cohort, offsets_from_counts
from model.data.variables import Catalogue, Static, Variable
from model.elbo import log_likelihood
from model.latent_ode import LatentODE
from training.checkpoint import EpochRecord
from training.config import TrainingConfig
from training.loader import Loader
from training.loop import Trainer
from training.tasks import Task, make_window
from training.validation import Validation

CPU = torch.device("cpu")
CATALOGUE = Catalogue(
    (
        Variable(
            name="Marker",
            description="A marker with a limit of detection",
            unit="1",
            codes=("1-8",),
            plausible_range=(0.0, 20.0),
            range_source="simulated",
        ),
    ),
    (Static(name="age", description="Age", unit="a", plausible_range=(0.0, 100.0)),),
)
LIMIT = 9.5
NUM_SERIES, NUM_OBSERVATIONS = 240, 16
CONFIG = TrainingConfig(
    seed=1,
    epochs=12,
    batch_size=16,
    learning_rate=1e-2,
    warmup_steps=20,
    averaging_decay=0.95,
    latent_dim=4,
    encoder_dim=8,
    encoder_layers=1,
    dynamics_dim=6,
    decoder_dim=16,
    dropout=0.0,
    knot_hours=4.0,
)


def simulate(num_series: int, seed: int) -> Cohort:
    """Draw values around a level of each series; those below the limit are the limit."""
    generator = np.random.default_rng(seed)
    size = num_series * NUM_OBSERVATIONS
    levels = np.repeat(generator.standard_normal(num_series), NUM_OBSERVATIONS)
    values = 10 + levels + 0.5 * generator.standard_normal(size)
    is_limit = values <= LIMIT
    return Cohort(
        tuple(f"s{number}" for number in range(num_series)),
        offsets_from_counts(np.full(num_series, NUM_OBSERVATIONS)),
        np.tile(np.arange(NUM_OBSERVATIONS) * 2.0, num_series),
        np.zeros(size, dtype=np.int64),
        np.where(is_limit, LIMIT, values),
        np.full((num_series, 1), np.nan),
        np.where(is_limit, AT_OR_BELOW, MEASURED).astype(np.int8),
    )


COHORT = simulate(NUM_SERIES, 0)
NORMALIZATION = Normalization.fit(COHORT, CATALOGUE)


class _Silent:
    def on_batch(self, epoch: int, batch: int, num_batches: int, loss: float) -> None:
        assert np.isfinite(loss)

    def on_epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        pass


@dataclass(frozen=True)
class Learned:
    """A trained network, and what it says of records that it has not seen."""

    network: LatentODE
    trainer: Trainer

    def mean_after(self, side: int) -> float:
        """Return the mean two hours after three values at the limit, of a side."""
        context = Cohort(
            ("s",),
            np.array([0, 3]),
            np.array([0.0, 2.0, 4.0]),
            np.zeros(3, dtype=np.int64),
            np.full(3, LIMIT),
            np.full((1, 1), np.nan),
            np.full(3, side, dtype=np.int8),
        )
        query = Query.grid([np.array([6.0])], [np.zeros(1, dtype=np.int64)])
        batch = build_batch(context, query, NORMALIZATION, knot_hours=CONFIG.knot_hours)
        with torch.no_grad():
            output = self.network(batch.map(torch.from_numpy), torch.zeros(1, 1, CONFIG.latent_dim))
        return float(output.decoded.mean.mean())


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    loader = Loader(COHORT, CATALOGUE, NORMALIZATION, CONFIG)
    tuning = simulate(40, 1)
    validation = Validation.of(tuning, CATALOGUE, NORMALIZATION, CONFIG.horizon_hours)
    trainer = Trainer(loader, validation, data_sha256="", device=CPU)
    folder: Path = tmp_path_factory.mktemp("limits") / "checkpoint"
    best = trainer.run(folder, resume=False, progress=_Silent())
    trainer.average.load_state_dict(best)
    return Learned(trainer.average.eval(), trainer)


def test_training_finds_how_probable_a_limit_is(learned: Learned) -> None:
    unseen = Loader(simulate(NUM_SERIES, 2), CATALOGUE, NORMALIZATION, CONFIG)
    masses, is_limit = [], []
    for made in unseen.epoch(0):
        assert made is not None
        batch = made.batch.map(torch.from_numpy)
        with torch.no_grad():
            output = learned.network(batch, torch.zeros(1, 1, CONFIG.latent_dim))
        limit = NORMALIZATION.apply(np.array([LIMIT]), np.array([0])).astype(np.float32)
        targets = learned.trainer.variable_weights.targets(made, CPU, CONFIG.largest_target)
        all_limits = type(targets)(
            **{
                **vars(targets),
                "low": torch.full_like(targets.values, -torch.inf),
                "high": torch.full_like(targets.values, float(limit[0])),
            }
        )
        masses.append(log_likelihood(output.decoded, all_limits)[0].exp().numpy())
        is_limit.append(made.censoring != 0)
    mass, happened = np.concatenate(masses), np.concatenate(is_limit)
    assert 0.25 < happened.mean() < 0.42
    assert mass.mean() == pytest.approx(happened.mean(), abs=0.05)
    # Knowing the record must help: better than the share of limits alone, by Brier's score.
    assert np.mean((mass - happened) ** 2) < 0.75 * happened.mean() * (1 - happened.mean())


def test_after_a_limit_the_answer_lies_lower_than_after_the_value_itself(learned: Learned) -> None:
    assert learned.mean_after(AT_OR_BELOW) < learned.mean_after(MEASURED)


def test_limits_are_no_targets_of_an_error_and_are_counted() -> None:
    window = make_window(COHORT, CATALOGUE, Task.IMPUTATION, seed=0)
    assert window.target.measured_mask.all()
    assert not window.context.measured_mask.all()
    hidden = 0.3 * np.sum(~COHORT.measured_mask)
    assert window.num_limits == pytest.approx(hidden, rel=0.15)
