"""Training: the same numbers twice, the same numbers after a kill, and something learnt."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from model.data.normalization import Normalization
from model.data.series import Cohort
from model.latent_ode import LatentODE
from tests.catalogues import CHALLENGE
from tests.series import random_cohort
from training.checkpoint import Checkpoint, EpochRecord
from training.config import TrainingConfig
from training.loader import Loader
from training.loop import ResumeError, Trainer
from training.validation import Validation

CPU = torch.device("cpu")
COHORT = random_cohort(30, np.random.default_rng(4), mean_observations=40)
NORMALIZATION = Normalization.fit(COHORT, CHALLENGE)
CONFIG = TrainingConfig(
    seed=1,
    epochs=4,
    batch_size=8,
    latent_dim=4,
    encoder_dim=8,
    encoder_layers=1,
    dynamics_dim=6,
    decoder_dim=8,
    knot_hours=4.0,
    num_samples=2,
)


class _Killed(Exception):  # noqa: N818  it stands for a signal, not for an error
    pass


@dataclass
class _Recorder:
    """Keeps the curve; stops the run before an epoch as a kill would."""

    kill_in_epoch: int | None = None
    records: list[EpochRecord] = field(default_factory=list)
    best: list[bool] = field(default_factory=list)

    def on_batch(self, epoch: int, batch: int, num_batches: int, loss: float) -> None:
        if epoch == self.kill_in_epoch and batch == 1:
            raise _Killed

    def on_epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        self.records.append(record)
        self.best.append(is_best)


def _trainer(config: TrainingConfig = CONFIG, cohort: Cohort = COHORT) -> Trainer:
    loader = Loader(cohort, CHALLENGE, NORMALIZATION, config)
    validation = Validation.of(
        cohort.select(range(6)), CHALLENGE, NORMALIZATION, config.horizon_hours
    )
    return Trainer(loader, validation, data_sha256="data", device=CPU)


def _curve(records: list[EpochRecord]) -> list[EpochRecord]:
    return [replace(record, seconds=0.0) for record in records]


def test_two_runs_with_one_seed_have_one_loss_curve(tmp_path: Path) -> None:
    assert CONFIG.dropout > 0
    curves = []
    for name in ("first", "second"):
        recorder = _Recorder()
        _trainer().run(tmp_path / name, resume=False, progress=recorder)
        curves.append(_curve(recorder.records))
    assert curves[0] == curves[1]
    assert len(curves[0]) == CONFIG.epochs
    other = _Recorder()
    changed = _trainer(replace(CONFIG, seed=2, epochs=1))
    changed.run(tmp_path / "other", resume=False, progress=other)
    assert other.records[0].loss != curves[0][0].loss


def test_the_global_generator_is_left_as_it_was(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    _trainer(replace(CONFIG, epochs=1)).run(tmp_path / "run", resume=False, progress=_Recorder())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_killed_run_resumes_to_the_curve_and_weights_of_an_unbroken_one(tmp_path: Path) -> None:
    unbroken = _Recorder()
    expected = _trainer().run(tmp_path / "unbroken", resume=False, progress=unbroken)

    with pytest.raises(_Killed):
        _trainer().run(tmp_path / "killed", resume=False, progress=_Recorder(kill_in_epoch=2))
    # Another process does not find the global generator where the killed one left it.
    torch.rand(3)
    resumed = _trainer()
    found = resumed.run(tmp_path / "killed", resume=True, progress=_Recorder())

    assert _curve(resumed.history) == _curve(unbroken.records)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert resumed.step == CONFIG.epochs * resumed.loader.num_batches


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    _trainer().run(tmp_path / "run", resume=False, progress=_Recorder())
    other = _trainer(replace(CONFIG, learning_rate=1e-3))
    with pytest.raises(ResumeError, match="another configuration"):
        other.run(tmp_path / "run", resume=True, progress=_Recorder())


def test_a_kill_while_writing_leaves_the_older_checkpoint(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    _trainer(replace(CONFIG, epochs=1)).run(directory, resume=False, progress=_Recorder())
    directory.rename(tmp_path / ".run.old")
    (tmp_path / ".run.1.partial").mkdir()
    found = Checkpoint.read(directory, CPU)
    assert found is not None
    assert len(found.history) == 1


def test_resuming_without_a_checkpoint_starts_afresh(tmp_path: Path) -> None:
    recorder = _Recorder()
    _trainer(replace(CONFIG, epochs=1)).run(tmp_path / "none", resume=True, progress=recorder)
    assert [record.epoch for record in recorder.records] == [0]


def test_training_stops_when_validation_no_longer_improves(tmp_path: Path) -> None:
    frozen = replace(CONFIG, learning_rate=0.0, epochs=9, patience_epochs=2)
    recorder = _Recorder()
    _trainer(frozen).run(tmp_path / "run", resume=False, progress=recorder)
    assert len(recorder.records) == 3


def test_the_best_averaged_weights_are_returned(tmp_path: Path) -> None:
    """Errors are prescribed: the second epoch is the best one."""

    @dataclass
    class Prescribed:
        pending: list[float]
        seen: list[dict[str, Tensor]] = field(default_factory=list)

        def errors(self, network: LatentODE, device: torch.device) -> dict[str, float]:
            self.seen.append({name: value.clone() for name, value in network.state_dict().items()})
            return {"forecast": self.pending.pop(0)}

    judge = Prescribed([3.0, 1.0, 2.0, 1.5])
    loader = Loader(COHORT, CHALLENGE, NORMALIZATION, CONFIG)
    trainer = Trainer(loader, judge, data_sha256="data", device=CPU)
    recorder = _Recorder()
    found = trainer.run(tmp_path / "run", resume=False, progress=recorder)
    assert [record.validation_error for record in recorder.records] == [3.0, 1.0, 2.0, 1.5]
    assert recorder.best == [True, True, False, False]
    assert all(torch.equal(found[name], judge.seen[1][name]) for name in found)
    assert not torch.equal(
        judge.seen[1]["encoder.head.0.weight"], judge.seen[3]["encoder.head.0.weight"]
    )


def test_a_course_that_can_be_known_is_learnt(tmp_path: Path) -> None:
    """Two variables mirror each other, so that one hidden value follows from the other."""
    cohort = _mirrored_cohort(np.random.default_rng(0))
    normalization = Normalization.fit(cohort, CHALLENGE)
    config = replace(
        CONFIG,
        epochs=40,
        patience_epochs=40,
        batch_size=24,
        encoder_dim=16,
        decoder_dim=32,
        cells_share=1.0,
        rows_share=0.0,
        dropout=0.0,
        learning_rate=2e-2,
        warmup_steps=5,
        averaging_decay=0.9,
        knot_hours=12.0,
    )
    trainer = Trainer(
        Loader(cohort, CHALLENGE, normalization, config),
        Validation.of(cohort, CHALLENGE, normalization, config.horizon_hours),
        data_sha256="data",
        device=CPU,
    )
    recorder = _Recorder()
    trainer.run(tmp_path / "run", resume=False, progress=recorder)
    first, last = recorder.records[0], recorder.records[-1]
    assert last.errors["imputation"] < 0.7 * first.errors["imputation"]
    assert last.log_likelihood > first.log_likelihood + 0.2


def _mirrored_cohort(generator: np.random.Generator) -> Cohort:
    times = np.sort(generator.uniform(0, 48, (24, 20)), axis=1)
    levels = generator.normal(0, 1, (24, 20))
    heart_rate, temperature = CHALLENGE.channel("HR"), CHALLENGE.channel("Temp")
    return Cohort(
        tuple(str(number) for number in range(24)),
        np.arange(25) * 40,
        np.repeat(times, 2, axis=1).ravel(),
        np.tile([heart_rate, temperature], 24 * 20),
        np.stack([80 + 10 * levels, 37 - 0.5 * levels], axis=-1).ravel(),
        np.full((24, len(CHALLENGE.statics)), np.nan),
    )


def test_stays_with_a_single_time_can_be_tuned_on_imputation_alone(tmp_path: Path) -> None:
    at_one_time = replace(COHORT, times_hours=np.zeros_like(COHORT.times_hours))
    order = np.lexsort((at_one_time.channels, at_one_time.series_indices))
    cohort = replace(at_one_time, channels=COHORT.channels[order], values=COHORT.values[order])
    recorder = _Recorder()
    _trainer(replace(CONFIG, epochs=2), cohort).run(tmp_path, resume=False, progress=recorder)
    assert set(recorder.records[-1].errors) == {"imputation"}
    assert recorder.records[-1].errors_text.startswith("imputation ")


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder": "gru"},
        {"direction": "filter"},
        {"use_control": False},
        {"use_residual": False},
        {"horizon_rows": 3, "cells_share": 0.0, "rows_share": 0.0},
        {"likelihood_exponent": 0.5, "mean_exponent": 1.0},
    ],
    ids=str,
)
def test_every_variant_trains_and_resumes(tmp_path: Path, changes: dict[str, Any]) -> None:
    """An ablation leaves weights unused, of which the optimizer knows nothing."""
    config = replace(CONFIG, epochs=2, **changes)
    whole, resumed = _trainer(config), _trainer(config)
    start = {name: value.clone() for name, value in whole.network.state_dict().items()}
    whole.run(tmp_path / "whole", resume=False, progress=_Recorder())
    with pytest.raises(_Killed):
        _trainer(config).run(tmp_path / "cut", resume=False, progress=_Recorder(kill_in_epoch=1))
    resumed.run(tmp_path / "cut", resume=True, progress=_Recorder())
    assert _curve(resumed.history) == _curve(whole.history)
    assert all(np.isfinite(record.loss) for record in whole.history)
    found = whole.network.state_dict()
    assert sum(not value.equal(start[name]) for name, value in found.items()) > 10
    assert all(value.equal(found[name]) for name, value in resumed.network.state_dict().items())


def test_the_learning_rate_rises_and_then_falls_to_zero(tmp_path: Path) -> None:
    rates: list[float] = []

    @dataclass
    class Watching(_Recorder):
        trainer: Trainer | None = None

        def on_batch(self, epoch: int, batch: int, num_batches: int, loss: float) -> None:
            assert self.trainer is not None
            rates.append(self.trainer.optimizer.param_groups[0]["lr"])

    trainer = _trainer(replace(CONFIG, warmup_steps=4))
    trainer.run(tmp_path / "run", resume=False, progress=Watching(trainer=trainer))
    peak = int(np.argmax(rates))
    assert peak <= 4
    assert np.all(np.diff(rates[: peak + 1]) > 0)
    assert np.all(np.diff(rates[peak:]) < 0)
    assert max(rates) <= CONFIG.learning_rate
    assert rates[-1] < 0.1 * CONFIG.learning_rate


def test_a_batch_in_which_nothing_is_asked_changes_no_weight() -> None:
    """No series of it has both context and target."""
    trainer = _trainer(replace(CONFIG, weight_decay=0.0))
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    totals = trainer._train_step(None, torch.Generator().manual_seed(0), 0.0)
    assert not totals.any()
    assert all(value.equal(before[name]) for name, value in trainer.network.state_dict().items())
