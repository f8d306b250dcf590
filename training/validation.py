"""The errors that training watches: both tasks on the tuning subjects, always the same windows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch.distributions import kl_divergence

from model.data.batch import build_batch
from model.data.normalization import Normalization
from model.data.query import Query
from model.data.series import Cohort
from model.data.variables import Catalogue
from model.data.windows import Window, forecast_masks, hidden_cells_masks
from model.latent_ode import LatentODE
from model.metrics import mean_over_variables
from model.runtime.mixture import LaplaceMixture

_BATCH_SIZE = 128
_HIDDEN_FRACTION = 0.3
_SEED = 20_12
_MEDIAN = np.array([0.5])


class Judge(Protocol):
    """Scores a network while it is trained; training keeps the weights with the smallest mean error."""

    def errors(self, network: LatentODE, device: torch.device) -> Mapping[str, float]:
        """Return the error of each task by name."""
        ...


@dataclass(frozen=True)
class NetworkAnswers:
    """What the network says about every target of a window at the posterior mean of z0.

    Arrays of components are standardized; the weights of a query sum to one.
    """

    loc: Float[np.ndarray, "component query"]
    scale: Float[np.ndarray, "component query"]
    weight: Float[np.ndarray, "component query"]
    divergences: Float[np.ndarray, " series"]

    def mixture(
        self,
        channels: Int[np.ndarray, " query"],
        queries: slice | Int[np.ndarray, " chosen"] = slice(None),
    ) -> LaplaceMixture:
        """Return the distributions of some of the queries."""
        loc, scale, weight = (part[:, queries] for part in (self.loc, self.scale, self.weight))
        return LaplaceMixture(loc, scale, weight, channels[queries])


def ask(
    network: LatentODE, window: Window, normalization: Normalization, device: torch.device
) -> NetworkAnswers:
    """Run the network over a window."""
    network.eval()
    parts = list(_pieces(network, window, normalization, device))
    joined = [np.concatenate(column, axis=-1) for column in zip(*parts, strict=True)]
    return NetworkAnswers(*joined)


def _pieces(
    network: LatentODE, window: Window, normalization: Normalization, device: torch.device
) -> Iterator[tuple[np.ndarray, ...]]:
    config = network.config
    for start in range(0, len(window.context), _BATCH_SIZE):
        chosen = np.arange(start, min(start + _BATCH_SIZE, len(window.context)))
        context, target = window.context.select(chosen), window.target.select(chosen)
        batch = build_batch(
            context,
            Query.at(target),
            normalization,
            knot_hours=config.knot_hours,
            is_causal=config.direction == "filter",
        )
        tensors = batch.map(lambda array: torch.from_numpy(array).to(device))
        with torch.no_grad():
            output = network(tensors, torch.zeros(1, 1, config.latent_dim, device=device))
            divergence = kl_divergence(output.posterior, output.prior).sum(-1)
        decoded = output.decoded
        weight = decoded.logits.softmax(-1)
        components = (part[0].T for part in (decoded.loc, decoded.scale, weight))
        yield tuple(array.double().cpu().numpy() for array in (*components, divergence))


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
        """Cut every series in the middle of its span; hide 30 % of its observations.

        What is scored is measured: limits among the targets are left out.
        """
        first = cohort.times_hours[cohort.offsets[:-1]]
        last = cohort.times_hours[cohort.offsets[1:] - 1]
        forecast = forecast_masks(
            cohort, context_end_hours=(first + last) / 2, horizon_hours=horizon_hours
        )
        imputation = hidden_cells_masks(
            cohort, hidden_fraction=_HIDDEN_FRACTION, generator=np.random.default_rng(_SEED)
        )
        return cls(
            forecast.split(cohort, catalogue).measured(),
            imputation.split(cohort, catalogue).measured(),
            normalization,
        )

    @property
    def named_windows(self) -> Mapping[str, Window]:
        """The windows with something to score, by task."""
        named = {"forecast": self.forecast, "imputation": self.imputation}
        return {name: window for name, window in named.items() if len(window.context) > 0}

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows with something to score."""
        return tuple(self.named_windows.values())

    def errors(self, network: LatentODE, device: torch.device) -> Mapping[str, float]:
        """Return the mean over variables of the median's mean absolute error, standardized, by task."""
        return {
            name: self._error(network, window, device)
            for name, window in self.named_windows.items()
        }

    def answer(self, network: LatentODE, window: Window, device: torch.device) -> NetworkAnswers:
        """Run the network over a window."""
        return ask(network, window, self.normalization, device)

    def _error(self, network: LatentODE, window: Window, device: torch.device) -> float:
        target = window.target
        expected = self.normalization.apply(target.values, target.channels)
        mixture = self.answer(network, window, device).mixture(target.channels)
        median = mixture.standardized_quantiles(_MEDIAN)[0]
        return mean_over_variables(np.abs(median - expected), target.channels)
