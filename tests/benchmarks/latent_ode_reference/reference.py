"""Training of the reference: the paper's loss, annealing and optimizer, for a bounded CPU time.

    loss       -log mean over 3 samples of exp(log p(x | z) - kl_weight KL)
    kl_weight  0 for ten epochs, then 1 - 0.99 ** epochs
    optimizer  Adamax, learning rate 1e-2, times 0.999 a step, down to a tenth

The paper's observation deviation of 0.01 is of values scaled to [0, 1] by their range; here values
are standardized, so it is a setting. As there, a forecast is trained on the second half of each
record from the first, an imputation on all values of a record from a part of them.
"""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from model.data.normalization import Normalization
from model.data.series import Cohort
from model.data.windows import Window, WindowMasks, forecast_masks, hidden_cells_masks
from model.metrics import mean_over_variables
from tests.benchmarks.latent_ode_reference.course import Course, Point
from tests.benchmarks.latent_ode_reference.grid import GridBatch
from tests.benchmarks.latent_ode_reference.network import ReferenceLatentODE
from tests.catalogues import CHALLENGE
from training.tasks import Task

_NUM_SAMPLES = 3
_LEARNING_RATE = 1e-2
_DECAY, _LOWEST = 0.999, 0.1
_EPOCHS_WITHOUT_DIVERGENCE = 10
_HIDDEN_FRACTION = 0.3
_VALIDATION_BATCH = 200


@dataclass(frozen=True)
class Settings:
    """What may be chosen."""

    grid_hours: float
    batch_size: int
    observation_deviation: float
    seed: int


@dataclass(frozen=True)
class Reference:
    """A cohort to train on and a window to judge on."""

    cohort: Cohort
    window: Window
    normalization: Normalization
    task: Task
    horizon_hours: float
    settings: Settings

    def train(self, cpu_seconds: float) -> Course:
        """Train until the CPU time is used up; the error is judged after every epoch and at the end."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)  # noqa: TID251  torch's layers take no generator
            return self._train(cpu_seconds)

    def _train(self, cpu_seconds: float) -> Course:
        network = ReferenceLatentODE(len(CHALLENGE), len(CHALLENGE.statics))
        optimizer = torch.optim.Adamax(network.parameters(), lr=_LEARNING_RATE)
        generator = np.random.default_rng(self.settings.seed)
        used, num_records, epoch = 0.0, 0, 0
        points: list[Point] = []
        while used < cpu_seconds:
            order = generator.permutation(len(self.cohort))
            for start in range(0, len(order), self.settings.batch_size):
                began = time.process_time()
                chosen = order[start : start + self.settings.batch_size]
                num_records += self._step(network, optimizer, chosen, epoch, generator)
                used += time.process_time() - began
                if used >= cpu_seconds:
                    break
            epoch += 1
            points.append(Point(used, self.error(network)))
        name = f"reference, {self.settings.grid_hours:g} h grid, batch {self.settings.batch_size}"
        return Course(name, num_records, used, tuple(points))

    @torch.no_grad()
    def error(self, network: ReferenceLatentODE) -> float:
        """Return the mean over variables of the mean absolute error, at the posterior mean."""
        misses = []
        for start in range(0, len(self.window.context), _VALIDATION_BATCH):
            chosen = np.arange(start, min(start + _VALIDATION_BATCH, len(self.window.context)))
            part = Window(self.window.context.select(chosen), self.window.target.select(chosen))
            batch = GridBatch.of(part, self.normalization, self.settings.grid_hours)
            found = network.decode(network.encode(batch).mean[None], batch)[0]
            misses.append((found - batch.target_values).abs().double().numpy())
        return mean_over_variables(np.concatenate(misses), self.window.target.channels)

    def _step(
        self,
        network: ReferenceLatentODE,
        optimizer: torch.optim.Optimizer,
        chosen: np.ndarray,
        epoch: int,
        generator: np.random.Generator,
    ) -> int:
        window = self._training_window(self.cohort.select(chosen), generator)
        if len(window.context) == 0:
            return 0
        batch = GridBatch.of(window, self.normalization, self.settings.grid_hours)
        loss = self._loss(network, batch, _divergence_weight(epoch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] = max(group["lr"] * _DECAY, _LEARNING_RATE * _LOWEST)
        return len(window.context)

    def _training_window(self, cohort: Cohort, generator: np.random.Generator) -> Window:
        if self.task is Task.FORECAST:
            first = cohort.times_hours[cohort.offsets[:-1]]
            last = cohort.times_hours[cohort.offsets[1:] - 1]
            masks = forecast_masks(
                cohort, context_end_hours=(first + last) / 2, horizon_hours=self.horizon_hours
            )
        else:
            hidden = hidden_cells_masks(
                cohort, hidden_fraction=_HIDDEN_FRACTION, generator=generator
            )
            masks = WindowMasks(hidden.context_mask, np.ones_like(hidden.target_mask))
        return masks.split(cohort, CHALLENGE)

    def _loss(self, network: ReferenceLatentODE, batch: GridBatch, weight: float) -> Tensor:
        posterior = network.encode(batch)
        z0 = posterior.rsample((_NUM_SAMPLES,))
        found = network.decode(z0, batch)
        misses = (found - batch.target_values) / self.settings.observation_deviation
        constant = math.log(self.settings.observation_deviation * math.sqrt(2 * math.pi))
        # The paper's likelihood of a record is the mean over its values.
        log_densities = -0.5 * misses**2 - constant
        sums = log_densities.new_zeros(_NUM_SAMPLES, batch.num_series)
        sums = sums.index_add(1, batch.target_series, log_densities)
        counts = torch.bincount(batch.target_series, minlength=batch.num_series)
        prior = Normal(torch.zeros_like(posterior.loc), torch.ones_like(posterior.scale))
        divergence = kl_divergence(posterior, prior).mean(-1)
        bounds = sums / counts.clamp(min=1) - weight * divergence
        return -(torch.logsumexp(bounds, 0) - math.log(_NUM_SAMPLES)).mean()


def _divergence_weight(epoch: int) -> float:
    return 1 - 0.99 ** max(0, epoch - _EPOCHS_WITHOUT_DIVERGENCE)
