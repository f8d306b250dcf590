"""The network in PyTorch, on a CPU or a CUDA device."""

from types import MappingProxyType
from typing import final

import numpy as np
import torch
from jaxtyping import Float

from model.artifact import Artifact
from model.config import LatentODEConfig
from model.data.batch import Batch
from model.latent_ode import LatentODE
from model.runtime.network import NetworkOutput
from model.served import Served

_MAX_QUERIES = MappingProxyType({"cpu": 2**11, "cuda": 2**17})


@final
class TorchNetwork:
    """Runs a network without gradients on the device where its parameters are."""

    def __init__(self, network: LatentODE) -> None:
        self._network = network.eval()
        self._device = next(network.parameters()).device
        self._served = Served(network)

    @classmethod
    def load(cls, artifact: Artifact, *, device: str = "cpu") -> "TorchNetwork":
        """Run the network of an artifact."""
        return cls(load_network(artifact).to(torch.device(device)))

    @property
    def config(self) -> LatentODEConfig:
        """The architecture of the network."""
        return self._network.config

    @property
    def computed_by(self) -> str:
        """What computes it."""
        return f"torch on {self._device.type}"

    @property
    def max_queries(self) -> int:
        """Where a CPU's cache, or what a GPU does at a time, is full."""
        return _MAX_QUERIES[self._device.type]

    def run(
        self, batch: Batch[np.ndarray], noise: Float[np.ndarray, "draw 1 latent"]
    ) -> NetworkOutput:
        """Answer every query of the batch; see `Network`."""
        with torch.no_grad():
            parts = self._served(batch.map(self._move), self._move(noise).float())
        return NetworkOutput(*(part.cpu().numpy() for part in parts))

    def _move(self, array: np.ndarray) -> torch.Tensor:
        """Hand an array to the device; to a GPU from pinned memory, without waiting for it."""
        tensor = torch.from_numpy(array)
        if self._device.type == "cuda":
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor


def load_network(artifact: Artifact) -> LatentODE:
    """Return the network of an artifact with its weights, without gradients."""
    network = LatentODE(artifact.config)
    network.load_state_dict(
        {name: torch.from_numpy(np.array(value)) for name, value in artifact.weights.items()}
    )
    return network.eval().requires_grad_(False)
