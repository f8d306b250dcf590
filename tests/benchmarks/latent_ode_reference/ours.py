"""Training of our model for a bounded CPU time, through the public surface of the trainer."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from tests.benchmarks.latent_ode_reference.course import Course, Point
from tests.catalogues import CHALLENGE
from training.checkpoint import EpochRecord
from training.config import TrainingConfig
from training.fit import Prepared
from training.loader import Loader
from training.loop import Trainer
from training.tasks import Task
from training.validation import Validation

_FIRST_STEPS = 5


class _Stopwatch:
    """Counts the CPU time of training steps, without validation; implements `training.loop.Progress`.

    Judges the averaged weights also within the first epoch, after 5, 10, 20, ... steps.
    """

    def __init__(self, trainer: Trainer, task: Task, num_records: int, began: float) -> None:
        self._trainer, self._task, self._num_records = trainer, task, num_records
        self._since = began
        self.cpu_seconds = 0.0
        self._num_epochs = 0
        self.points: list[Point] = []

    @property
    def num_records(self) -> int:
        """Records of the finished epochs."""
        return self._num_epochs * self._num_records

    def on_batch(self, epoch: int, batch: int, num_batches: int, loss: float) -> None:
        """Add a training step."""
        self._stop()
        steps = batch + 1
        if epoch == 0 and steps % _FIRST_STEPS == 0 and (steps // _FIRST_STEPS).bit_count() == 1:
            trainer = self._trainer
            self._note(trainer.judge.errors(trainer.average, trainer.device)[self._task.value])
        self._since = time.process_time()

    def on_epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        """Note the error of the epoch; what passed since its last step was validation."""
        self._num_epochs += 1
        self._note(record.errors[self._task.value])
        self._since = time.process_time()

    def _stop(self) -> None:
        self.cpu_seconds += time.process_time() - self._since

    def _note(self, error: float) -> None:
        self.points.append(Point(self.cpu_seconds, error))


def train(
    prepared: Prepared,
    validation: Validation,
    config: TrainingConfig,
    task: Task,
    cpu_seconds: float,
) -> Course:
    """Train for as many epochs as fit into the CPU time, which a first epoch by itself tells."""
    trial = _run(prepared, validation, replace(config, epochs=1), task)
    num_epochs = max(1, round(cpu_seconds / trial.cpu_seconds))
    return _run(prepared, validation, replace(config, epochs=num_epochs), task)


def _run(prepared: Prepared, validation: Validation, config: TrainingConfig, task: Task) -> Course:
    # Everything of ours that this benchmark depends on is called here. What is fitted before the
    # first step counts too.
    began = time.process_time()
    loader = Loader(prepared.train, CHALLENGE, prepared.normalization, config)
    trainer = Trainer(
        loader, validation, data_sha256=prepared.dataset.sha256, device=torch.device("cpu")
    )
    stopwatch = _Stopwatch(trainer, task, len(prepared.train), began)
    with tempfile.TemporaryDirectory() as folder:
        trainer.run(Path(folder) / "checkpoint", resume=False, progress=stopwatch)
    name = f"Lacuna, preset {config.preset}, batch {config.batch_size}"
    return Course(name, stopwatch.num_records, stopwatch.cpu_seconds, tuple(stopwatch.points))
