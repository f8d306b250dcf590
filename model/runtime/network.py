"""The network as the runtime sees it: arrays in, the components of every query out. Numpy only."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from model.config import LatentODEConfig
from model.data.batch import Batch


@dataclass(frozen=True)
class NetworkOutput:
    """The mixture of every query for every posterior draw, standardized, float32.

    Weights are softmax(logits). `divergences` are KL(q(z0) || p(z0)) of each series, in nats.
    """

    logits: Float[np.ndarray, "draw query component"]
    loc: Float[np.ndarray, "draw query component"]
    scale: Float[np.ndarray, "draw query component"]
    divergences: Float[np.ndarray, " series"]


@runtime_checkable
class Network(Protocol):
    """A trained network, whatever computes it."""

    @property
    def config(self) -> LatentODEConfig:
        """Its architecture."""
        ...

    @property
    def computed_by(self) -> str:
        """Library and device, for people."""
        ...

    @property
    def max_queries(self) -> int:
        """How many queries it answers best together: more take memory and save no time."""
        ...

    def run(
        self, batch: Batch[np.ndarray], noise: Float[np.ndarray, "draw 1 latent"]
    ) -> NetworkOutput:
        """Answer every query of the batch for every draw of the latent noise."""
        ...
