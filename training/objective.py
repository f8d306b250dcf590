"""How much a target counts: weights of the likelihood and of the squared error, by variable."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from model.data.windows import queryable
from model.elbo import Targets
from training.loader import Loader, TrainingBatch


@dataclass(frozen=True)
class VariableWeights:
    """One number for each channel, with mean 1 over the observations of the training cohort.

    `mean` has the factor of the squared error in it.
    """

    likelihood: Float[Tensor, " channel"]
    mean: Float[Tensor, " channel"]

    @classmethod
    def of(
        cls, loader: Loader, device: torch.device, scored_scale: Float[np.ndarray, " channel"]
    ) -> "VariableWeights":
        """Weigh by the counts of the training cohort.

        A squared error counts in the units in which it is scored: `scored_scale` is the size of a
        standardized unit there, for each channel.
        """
        config = loader.config
        return cls(
            _weights(loader, config.likelihood_exponent, np.ones_like(scored_scale)).to(device),
            config.mean_weight * _weights(loader, config.mean_exponent, scored_scale**2).to(device),
        )

    def targets(
        self, training_batch: TrainingBatch, device: torch.device, largest_target: float
    ) -> Targets:
        """Move what a batch should have said to the device, clipped and weighted."""
        channels = torch.from_numpy(training_batch.batch.query_channels).to(device)
        series = training_batch.batch.point_series[training_batch.batch.query_points]
        arrays = (training_batch.values, training_batch.low, training_batch.high)
        values, low, high = (torch.from_numpy(array).to(device) for array in arrays)
        # The interval of an extreme value moves with it, as the cell at the limit.
        shift = values.clamp(-largest_target, largest_target) - values
        return Targets(
            values=values + shift,
            low=low + shift,
            high=high + shift,
            weights=self.likelihood[channels],
            mean_weights=self.mean[channels],
            series=torch.from_numpy(series).to(device),
            censoring=torch.from_numpy(training_batch.censoring).to(device, values.dtype),
        )


def _weights(loader: Loader, exponent: float, factor: Float[np.ndarray, " channel"]) -> Tensor:
    counts = np.bincount(loader.cohort.channels, minlength=len(loader.catalogue)).astype(float)
    is_asked = queryable(loader.catalogue) & (counts > 0)
    weights = np.where(is_asked, factor * (counts + 1) ** -exponent, 0.0)
    weights *= counts.sum() / max((weights * counts).sum(), 1e-12)
    return torch.from_numpy(np.minimum(weights, loader.config.largest_weight).astype(np.float32))
