"""The latent neural ODE: encoder -> q(z0) -> ODE -> decoder (Rubanova et al. 2019, NeurIPS).

Time zero is each series' first context observation and z0 lives there. The trajectory is solved
once on the series' own knots and read at its own query times.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Normal

from model.config import LatentODEConfig
from model.data.batch import Batch
from model.decoder import DecodedQueries, Decoder
from model.dynamics import Dynamics
from model.encoder import Encoder
from model.encoding import Encoding


@dataclass(frozen=True)
class LatentODEOutput:
    """The posterior of z0, its prior, and the observation distribution of every query."""

    posterior: Normal
    prior: Normal
    decoded: DecodedQueries


class LatentODE(nn.Module):
    """Encoder, dynamics and decoder in one module."""

    def __init__(self, config: LatentODEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.dynamics = Dynamics(config)
        self.decoder = Decoder(config)

    def forward(
        self, batch: Batch[Tensor], noise: Float[Tensor, "sample _ latent"]
    ) -> LatentODEOutput:
        """Answer every query of the batch.

        `noise` is standard normal and makes z0 = loc + scale * noise; with one row for all series
        the same draws are used for each, and an answer does not depend on a series' place in the
        batch.
        """
        encoding = self.encoder(batch)
        posterior = encoding.posterior
        z0 = posterior.loc + posterior.scale * noise
        latents = self.latent_trajectory(z0, encoding, batch)
        prior = Normal(torch.zeros_like(posterior.loc), torch.ones_like(posterior.scale), False)
        return LatentODEOutput(posterior, prior, self.decoder(latents, batch))

    def latent_trajectory(
        self, z0: Float[Tensor, "sample series latent"], encoding: Encoding, batch: Batch[Tensor]
    ) -> Float[Tensor, "sample point latent"]:
        """Solve from z0 and read the state at every point of the batch.

        A point before the first knot has the state there.
        """
        times = batch.point_times.clamp(min=0.0)
        return self.dynamics(z0, encoding, batch.solver_blocks).at(times, batch.point_series)
