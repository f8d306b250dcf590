"""The errors that training watches: both tasks on the tuning subjects, always the same windows."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch.distributions import kl_divergence

from model.data.batch import Query, build_batch
from model.data.normalization import Normalization
from model.data.series import Cohort
from model.data.variables import Catalogue
from model.data.windows import Window, forecast_masks, hidden_cells_masks
from model.latent_ode import LatentODE
from model.metrics import mean_over_variables

_BATCH_SIZE = 128
_HIDDEN_FRACTION = 0.3
_SEED = 20_12


@dataclass(frozen=True)
class ValidationErrors:
    """Mean over variables of the mean absolute error, standardized; None without any target."""

    forecast: float | None
    imputation: float | None


@dataclass(frozen=True)
class NetworkAnswers:
    """What the network says about every target of a window at the posterior mean of z0."""

    loc: Float[np.ndarray, " query"]
    scale: Float[np.ndarray, " query"]
    divergences: Float[np.ndarray, " series"]


@dataclass(frozen=True)
class Validation:
    """Fixed windows of the tuning subjects."""

    forecast: Window
    imputation: Window
    normalization: Normalization

    @classmethod
    def of(
        cls,
        cohort: Cohort,
        catalogue: Catalogue,
        normalization: Normalization,
        horizon_hours: float,
    ) -> "Validation":
        """Cut every series in the middle of its span; hide 30 % of its observations."""
        first = cohort.times_hours[cohort.offsets[:-1]]
        last = cohort.times_hours[cohort.offsets[1:] - 1]
        forecast = forecast_masks(
            cohort, context_end_hours=(first + last) / 2, horizon_hours=horizon_hours
        )
        imputation = hidden_cells_masks(
            cohort, hidden_fraction=_HIDDEN_FRACTION, generator=np.random.default_rng(_SEED)
        )
        return cls(
            forecast.split(cohort, catalogue), imputation.split(cohort, catalogue), normalization
        )

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows with something to score."""
        return tuple(one for one in (self.forecast, self.imputation) if len(one.context) > 0)

    def errors(self, network: LatentODE, device: torch.device) -> ValidationErrors:
        """Score a network on both tasks."""
        return ValidationErrors(
            self._error(network, self.forecast, device),
            self._error(network, self.imputation, device),
        )

    def answer(self, network: LatentODE, window: Window, device: torch.device) -> NetworkAnswers:
        """Run the network over a window."""
        network.eval()
        parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for start in range(0, len(window.context), _BATCH_SIZE):
            chosen = np.arange(start, min(start + _BATCH_SIZE, len(window.context)))
            context, target = window.context.select(chosen), window.target.select(chosen)
            batch = build_batch(context, Query.at(target), self.normalization)
            tensors = batch.map(lambda array: torch.from_numpy(array).to(device))
            with torch.no_grad():
                noise = torch.zeros(1, 1, network.config.latent_dim, device=device)
                output = network(tensors, noise)
                divergence = kl_divergence(output.posterior, output.prior).sum(-1)
            arrays = (output.decoded.loc[0], output.decoded.scale[0], divergence)
            loc, scale, divergences = (array.double().cpu().numpy() for array in arrays)
            parts.append((loc, scale, divergences))
        joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
        return NetworkAnswers(*joined)

    def _error(self, network: LatentODE, window: Window, device: torch.device) -> float | None:
        if len(window.context) == 0:
            return None
        target = window.target
        expected = self.normalization.apply(target.values, target.channels)
        answers = self.answer(network, window, device)
        return mean_over_variables(np.abs(answers.loc - expected), target.channels)
