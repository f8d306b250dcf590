"""The training loop: epochs, averaged weights, validation, early stop, checkpoint, resume.

Random numbers come from (seed, epoch) alone, and a checkpoint is written after every epoch: a run
that is killed and resumed goes through the same numbers as one that is not.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from model.data.windows import queryable
from model.elbo import EvidenceLowerBound, evidence_lower_bound
from model.latent_ode import LatentODE
from training.checkpoint import Checkpoint, EpochRecord
from training.config import TrainingConfig
from training.loader import Loader, TrainingBatch
from training.validation import Validation

_MAX_VARIABLE_WEIGHT = 20.0


class ResumeError(ValueError):
    """Raised when a checkpoint belongs to another configuration or data set."""


class Progress(Protocol):
    """Is told how training goes."""

    def on_batch(self, epoch: int, batch: int, num_batches: int, loss: float) -> None:
        """Receive the loss of a batch."""
        ...

    def on_epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        """Receive the line of the loss curve that was just finished."""
        ...


class Trainer:
    """Fits a network; `run` returns the best averaged weights."""

    def __init__(
        self, loader: Loader, validation: Validation, *, data_sha256: str, device: torch.device
    ) -> None:
        self.loader, self.validation, self.config = loader, validation, loader.config
        self.device = device
        self.identity = {"config": self.config.to_json(), "data_sha256": data_sha256}
        architecture = self.config.architecture(
            num_channels=len(loader.catalogue), num_statics=len(loader.catalogue.statics)
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)  # noqa: TID251  initial weights, undone by the fork
            self.network = LatentODE(architecture).to(device)
        self.average = LatentODE(architecture).to(device)
        self.average.load_state_dict(self.network.state_dict())
        self.best = _copy(self.average)
        self.optimizer = _optimizer(self.network, self.config)
        self.variable_weights = _variable_weights(loader, device)
        self.history: list[EpochRecord] = []
        self.step = 0

    def run(self, checkpoint_dir: Path, *, resume: bool, progress: Progress) -> dict[str, Tensor]:
        """Train to the end, from the checkpoint if there is one and `resume` is set."""
        if resume:
            self._restore(checkpoint_dir)
        for epoch in range(len(self.history), self.config.epochs):
            if self._is_stale():
                break
            record = self._epoch(epoch, progress)
            is_best = record.validation_error < self._best_error()
            self.history.append(record)
            if is_best:
                self.best = _copy(self.average)
            self._checkpoint().write(checkpoint_dir)
            progress.on_epoch(record, is_best=is_best)
        return self.best

    def _epoch(self, epoch: int, progress: Progress) -> EpochRecord:
        start = time.monotonic()
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        bounds = []
        num_batches = self.loader.num_batches
        self.network.train()
        for number, batch in enumerate(self.loader.epoch(epoch)):
            bound = self._train_step(batch, generator, epoch + number / num_batches)
            bounds.append(
                [
                    float(term.detach())
                    for term in (
                        bound.elbo,
                        bound.reconstruction_log_likelihood,
                        bound.kl_divergence,
                    )
                ]
            )
            progress.on_batch(epoch, number, num_batches, -bounds[-1][0])
        elbo, reconstruction, divergence = np.mean(bounds, axis=0)
        errors = self.validation.errors(self.average, self.device)
        return EpochRecord(
            epoch=epoch,
            loss=-float(elbo),
            reconstruction_log_likelihood=float(reconstruction),
            kl_divergence=float(divergence),
            forecast_error=errors.forecast,
            imputation_error=errors.imputation,
            seconds=time.monotonic() - start,
        )

    def _train_step(
        self, training_batch: TrainingBatch, generator: torch.Generator, progress_epochs: float
    ) -> EvidenceLowerBound:
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = _learning_rate(config, self.step, progress_epochs)
        batch = training_batch.batch.map(lambda array: torch.from_numpy(array).to(self.device))
        noise = torch.randn(
            (config.num_samples, len(batch.row_counts), config.latent_dim), generator=generator
        )
        bound = evidence_lower_bound(
            self.network(batch, noise.to(self.device)),
            targets=torch.from_numpy(training_batch.targets).to(self.device),
            target_weights=self.variable_weights[batch.query_channels],
            kl_weight=min(1.0, progress_epochs / max(config.kl_warmup_epochs, 1e-6)),
            free_bits=config.free_bits,
        )
        self.optimizer.zero_grad()
        (-bound.elbo).backward()
        clip_grad_norm_(self.network.parameters(), config.gradient_clip)
        self.optimizer.step()
        self._update_average()
        self.step += 1
        return bound

    @torch.no_grad()
    def _update_average(self) -> None:
        # The average forgets the untrained start quickly: its memory grows with the number of
        # steps.
        decay = min(self.config.averaging_decay, (1 + self.step) / (10 + self.step))
        averaged: list[Tensor] = list(self.average.parameters())
        current: list[Tensor] = list(self.network.parameters())
        torch._foreach_lerp_(averaged, current, 1 - decay)

    def _best_error(self) -> float:
        return min((record.validation_error for record in self.history), default=math.inf)

    def _is_stale(self) -> bool:
        errors = [record.validation_error for record in self.history]
        return (
            bool(errors) and len(errors) - 1 - int(np.argmin(errors)) >= self.config.patience_epochs
        )

    def _checkpoint(self) -> Checkpoint:
        names = [name for name, _ in self.network.named_parameters()]
        parameters = list(self.network.parameters())
        moments = {
            moment: {
                name: self.optimizer.state[p][moment]
                for name, p in zip(names, parameters, strict=True)
            }
            for moment in ("exp_avg", "exp_avg_sq", "step")
        }
        tensors = {
            "network": _copy(self.network),
            "average": _copy(self.average),
            "best": self.best,
            **moments,
        }
        return Checkpoint(
            tensors=tensors, history=tuple(self.history), step=self.step, identity=self.identity
        )

    def _restore(self, checkpoint_dir: Path) -> None:
        checkpoint = Checkpoint.read(checkpoint_dir, self.device)
        if checkpoint is None:
            return
        if _comparable(checkpoint.identity) != _comparable(self.identity):
            raise ResumeError(
                f"the checkpoint in {checkpoint_dir} belongs to another configuration or data set; "
                "give the settings of the interrupted run, or train without --resume"
            )
        self.network.load_state_dict(checkpoint.tensors["network"])
        self.average.load_state_dict(checkpoint.tensors["average"])
        self.best = dict(checkpoint.tensors["best"])
        for name, parameter in self.network.named_parameters():
            self.optimizer.state[parameter] = {
                moment: checkpoint.tensors[moment][name].clone()
                for moment in ("exp_avg", "exp_avg_sq")
            } | {"step": checkpoint.tensors["step"][name].cpu()}
        self.history, self.step = list(checkpoint.history), checkpoint.step


def history_json(history: list[EpochRecord]) -> list[dict[str, float]]:
    """Return the loss curve for `metrics.json`."""
    return [asdict(record) for record in history]


def _comparable(identity: Mapping[str, object]) -> str:
    """Return a text in which a tuple and the list that JSON makes of it are the same."""
    return json.dumps(identity, sort_keys=True)


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _optimizer(network: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """Return AdamW that decays matrices only; biases and rates are left alone."""
    parameters = list(network.parameters())
    return torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
    )


def _learning_rate(config: TrainingConfig, step: int, progress_epochs: float) -> float:
    """Rise linearly, then fall along a cosine to zero at the last epoch."""
    rise = min(1.0, (step + 1) / config.warmup_steps)
    return (
        config.learning_rate * rise * (1 + math.cos(math.pi * progress_epochs / config.epochs)) / 2
    )


def _variable_weights(loader: Loader, device: torch.device) -> Tensor:
    """Return a weight for each channel, (count) ** -exponent, with mean 1 over the observations."""
    counts = np.bincount(loader.cohort.channels, minlength=len(loader.catalogue)).astype(float)
    weights = np.where(
        queryable(loader.catalogue), (counts + 1) ** -loader.config.balance_exponent, 0
    )
    weights *= counts.sum() / max((weights * counts).sum(), 1e-9)
    return torch.from_numpy(np.minimum(weights, _MAX_VARIABLE_WEIGHT).astype(np.float32)).to(device)
