"""Training: the same numbers twice, the same numbers after a kill, and something learnt."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.data.catalogue import CATALOGUE
from model.data.normalization import Normalization
from model.data.series import Cohort
from tests.series import random_cohort
from training.checkpoint import Checkpoint, EpochRecord
from training.config import TrainingConfig
from training.loader import Loader
from training.loop import ResumeError, Trainer
from training.validation import Validation

CPU = torch.device("cpu")
COHORT = random_cohort(30, np.random.default_rng(4), mean_observations=40)
NORMALIZATION = Normalization.fit(COHORT, CATALOGUE)
CONFIG = TrainingConfig(
    seed=1,
    epochs=4,
    batch_size=8,
    latent_dim=4,
    encoder_dim=6,
    dynamics_dim=6,
    decoder_dim=8,
    step_hours=8.0,
)


class _Killed(Exception):  # noqa: N818  it stands for a signal, not for an error
    pass


@dataclass
class _Recorder:
    """Keeps the curve; stops the run before an epoch as a kill would."""

    kill_in_epoch: int | None = None
    records: list[EpochRecord] = field(default_factory=list)

    def on_batch(self, epoch: int, batch: int, num_batches: int, loss: float) -> None:
        if epoch == self.kill_in_epoch and batch == 1:
            raise _Killed

    def on_epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        self.records.append(record)


def _trainer(config: TrainingConfig = CONFIG, cohort: Cohort = COHORT) -> Trainer:
    loader = Loader(cohort, CATALOGUE, NORMALIZATION, config)
    validation = Validation.of(
        cohort.select(range(6)), CATALOGUE, NORMALIZATION, config.horizon_hours
    )
    return Trainer(loader, validation, data_sha256="data", device=CPU)


def _curve(records: list[EpochRecord]) -> list[EpochRecord]:
    return [replace(record, seconds=0.0) for record in records]


def test_two_runs_with_one_seed_have_one_loss_curve(tmp_path: Path) -> None:
    curves = []
    for name in ("first", "second"):
        recorder = _Recorder()
        _trainer().run(tmp_path / name, resume=False, progress=recorder)
        curves.append(_curve(recorder.records))
    assert curves[0] == curves[1]
    assert len(curves[0]) == CONFIG.epochs


def test_a_killed_run_resumes_to_the_curve_and_weights_of_an_unbroken_one(tmp_path: Path) -> None:
    unbroken = _Recorder()
    expected = _trainer().run(tmp_path / "unbroken", resume=False, progress=unbroken)

    with pytest.raises(_Killed):
        _trainer().run(tmp_path / "killed", resume=False, progress=_Recorder(kill_in_epoch=2))
    resumed = _trainer()
    found = resumed.run(tmp_path / "killed", resume=True, progress=_Recorder())

    assert _curve(resumed.history) == _curve(unbroken.records)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    _trainer().run(tmp_path / "run", resume=False, progress=_Recorder())
    other = _trainer(replace(CONFIG, learning_rate=1e-3))
    with pytest.raises(ResumeError, match="another configuration"):
        other.run(tmp_path / "run", resume=True, progress=_Recorder())


def test_a_kill_while_writing_leaves_the_older_checkpoint(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    _trainer(replace(CONFIG, epochs=1)).run(directory, resume=False, progress=_Recorder())
    directory.rename(tmp_path / "run.old")
    (tmp_path / "run.writing").mkdir()
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


def test_a_course_that_can_be_known_is_learnt(tmp_path: Path) -> None:
    """Two variables mirror each other, so that one hidden value follows from the other."""
    generator = np.random.default_rng(0)
    times = np.sort(generator.uniform(0, 48, (24, 20)), axis=1)
    levels = generator.normal(0, 1, (24, 20))
    heart_rate, temperature = CATALOGUE.channel("HR"), CATALOGUE.channel("Temp")
    cohort = Cohort(
        tuple(str(number) for number in range(24)),
        np.arange(25) * 40,
        np.repeat(times, 2, axis=1).ravel(),
        np.tile([heart_rate, temperature], 24 * 20),
        np.stack([80 + 10 * levels, 37 - 0.5 * levels], axis=-1).ravel(),
        np.full((24, len(CATALOGUE.statics)), np.nan),
    )
    normalization = Normalization.fit(cohort, CATALOGUE)
    config = replace(
        CONFIG,
        epochs=60,
        patience_epochs=60,
        batch_size=24,
        encoder_dim=16,
        decoder_dim=32,
        forecast_share=0.0,
        learning_rate=2e-2,
        warmup_steps=5,
        averaging_decay=0.9,
        step_hours=48.0,
    )
    trainer = Trainer(
        Loader(cohort, CATALOGUE, normalization, config),
        Validation.of(cohort, CATALOGUE, normalization, config.horizon_hours),
        data_sha256="data",
        device=CPU,
    )
    recorder = _Recorder()
    trainer.run(tmp_path / "run", resume=False, progress=recorder)
    first, last = recorder.records[0], recorder.records[-1]
    assert first.imputation_error is not None
    assert last.imputation_error is not None
    assert last.imputation_error < 0.7 * first.imputation_error
    assert last.loss < first.loss


def test_the_loader_makes_an_epoch_of_every_series_once() -> None:
    loader = Loader(COHORT, CATALOGUE, NORMALIZATION, CONFIG)
    num_series = sum(len(made.batch.row_counts) for made in loader.epoch(0))
    assert 0.8 * len(COHORT) <= num_series <= len(COHORT)
    first, again = list(loader.epoch(3)), list(loader.epoch(3))
    assert all(np.array_equal(a.targets, b.targets) for a, b in zip(first, again, strict=True))
    other = list(loader.epoch(4))
    assert not np.array_equal(first[0].targets, other[0].targets)


def test_stays_with_a_single_time_can_be_tuned_on_imputation_alone(tmp_path: Path) -> None:
    at_one_time = replace(COHORT, times_hours=np.zeros_like(COHORT.times_hours))
    order = np.lexsort((at_one_time.channels, at_one_time.series_indices))
    cohort = replace(at_one_time, channels=COHORT.channels[order], values=COHORT.values[order])
    recorder = _Recorder()
    _trainer(replace(CONFIG, epochs=2), cohort).run(tmp_path, resume=False, progress=recorder)
    assert recorder.records[-1].forecast_error is None
    assert "imputation" in recorder.records[-1].errors_text
    assert "forecast" not in recorder.records[-1].errors_text
