"""What is served of a network: the mixture of every query, and how unusual a series is."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.data.batch import Batch
from model.latent_ode import LatentODE


class Served(nn.Module):
    """A network with the outputs of `NetworkOutput`, in its order. Exported as it is run."""

    def __init__(self, network: LatentODE) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, batch: Batch[Tensor], noise: Float[Tensor, "draw 1 latent"]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return logits, locations and scales, and KL(q(z0) || p(z0)) of each series in nats."""
        output = self.network(batch, noise)
        loc, scale = output.posterior.loc, output.posterior.scale
        # Of diagonal normals against the standard normal.
        divergence = (0.5 * (scale**2 + loc**2 - 1) - torch.log(scale)).sum(-1)
        decoded = output.decoded
        return decoded.logits, decoded.loc, decoded.scale, divergence
