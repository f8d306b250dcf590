"""The training loop: epochs, averaged weights, validation, early stop, checkpoint, resume.

Random numbers come from (seed, epoch) alone, and a checkpoint is written after every epoch: a run
that is killed and resumed goes through the same numbers as one that is not.
"""

import copy
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from model.elbo import BoundParts, bound_parts
from model.latent_ode import LatentODE
from training.checkpoint import Checkpoint, EpochRecord
from training.config import TrainingConfig
from training.loader import Loader, TrainingBatch
from training.objective import VariableWeights
from training.residual_fit import fit_residual_base
from training.validation import Judge


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
    """Fits a network; `run` returns the best averaged weights.

    `judge` scores the averaged weights after every epoch. `scored_scale` is the size of a
    standardized unit, for each channel, in the units in which squared errors count (default 1).
    """

    def __init__(
        self,
        loader: Loader,
        judge: Judge,
        *,
        data_sha256: str,
        device: torch.device,
        scored_scale: Float[np.ndarray, " channel"] | None = None,
    ) -> None:
        self.loader, self.judge, self.config = loader, judge, loader.config
        self.device, self.rank = device, loader.rank
        self.identity = {"config": self.config.to_json(), "data_sha256": data_sha256}
        self.network = _new_network(loader).to(device)
        fit_residual_base(self.network, loader)
        self.average = copy.deepcopy(self.network).requires_grad_(requires_grad=False)
        self.best = _copy(self.average)
        self.optimizer = _optimizer(self.network, self.config)
        if scored_scale is None:
            scored_scale = np.ones(len(loader.catalogue))
        self.variable_weights = VariableWeights.of(loader, device, scored_scale)
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
            if self.rank.is_first:
                self._checkpoint().write(checkpoint_dir)
            progress.on_epoch(record, is_best=is_best)
        return self.best

    def _epoch(self, epoch: int, progress: Progress) -> EpochRecord:
        start = time.monotonic()
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        totals = []
        num_batches = self.loader.num_batches
        self.network.train()
        # Dropout draws from the global generator; the fork gives it back as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._dropout_seed(epoch))  # noqa: TID251  dropout, undone by the fork
            for number, batch in enumerate(self.loader.epoch(epoch)):
                totals.append(self._train_step(batch, generator, epoch + number / num_batches))
                progress.on_batch(epoch, number, num_batches, _loss(totals[-1]))
        summed = torch.stack(totals).sum(0)
        errors = self.judge.errors(self.average, self.device)
        weight, num_series = float(summed[2].clamp(min=1e-6)), float(summed[3].clamp(min=1))
        return EpochRecord(
            epoch=epoch,
            loss=_loss(summed),
            log_likelihood=float(summed[0]) / weight,
            squared_error=float(summed[1]) / weight,
            kl_divergence=float(summed[4:].sum()) / num_series,
            errors=dict(errors),
            seconds=time.monotonic() - start,
        )

    def _dropout_seed(self, epoch: int) -> int:
        return (self.config.seed * 1_000_003 + epoch) * 1_009 + self.rank.number

    def _train_step(
        self,
        training_batch: TrainingBatch | None,
        generator: torch.Generator,
        progress_epochs: float,
    ) -> Tensor:
        """Take one step; return the sums of the whole batch."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = _learning_rate(config, self.step, progress_epochs)
        noise = torch.randn(
            (config.num_samples, config.batch_size, config.latent_dim), generator=generator
        )
        self.optimizer.zero_grad()
        parts = self._parts(training_batch, noise)
        size = 4 + config.latent_dim
        own = torch.zeros(size, device=self.device) if parts is None else parts.totals()
        totals = self.rank.sum(own)
        if parts is not None:
            kl_weight = min(1.0, self.step / max(config.kl_warmup_steps, 1))
            objective = parts.objective(totals, kl_weight=kl_weight, free_bits=config.free_bits)
            (-objective).backward()
        parameters = list(self.network.parameters())
        self.rank.sum_gradients(parameters)
        clip_grad_norm_(parameters, config.gradient_clip)
        self.optimizer.step()
        self._update_average()
        self.step += 1
        return totals

    def _parts(
        self, training_batch: TrainingBatch | None, noise: Float[Tensor, "sample series latent"]
    ) -> BoundParts | None:
        """Run the network on this process' part of a batch."""
        if training_batch is None:
            return None
        batch = training_batch.batch.map(lambda array: torch.from_numpy(array).to(self.device))
        targets = self.variable_weights.targets(
            training_batch, self.device, self.config.largest_target
        )
        own_noise = noise[:, training_batch.places].to(self.device)
        is_low = self.config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=is_low):
            output = self.network(batch, own_noise)
        return bound_parts(output, targets)

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
                if p in self.optimizer.state  # what an ablation leaves unused has no moments
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
            if name not in checkpoint.tensors["step"]:
                continue
            self.optimizer.state[parameter] = {
                moment: checkpoint.tensors[moment][name].clone()
                for moment in ("exp_avg", "exp_avg_sq")
            } | {"step": checkpoint.tensors["step"][name].cpu()}
        self.history, self.step = list(checkpoint.history), checkpoint.step


def history_json(history: list[EpochRecord]) -> list[dict[str, float]]:
    """Return the loss curve for `metrics.json`."""
    return [asdict(record) for record in history]


def _loss(totals: Tensor) -> float:
    """Return the loss per unit of target weight, without the divergence."""
    return float((totals[1] - totals[0]) / totals[2].clamp(min=1e-6))


def _new_network(loader: Loader) -> LatentODE:
    architecture = loader.config.architecture(
        num_channels=len(loader.catalogue),
        num_statics=len(loader.catalogue.statics),
        reads_limits=bool(loader.cohort.censoring.any()),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(loader.config.seed)  # noqa: TID251  initial weights, undone by the fork
        return LatentODE(architecture)


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
