"""The latent neural ODE: encoder -> q(z0) -> ODE -> decoder (Rubanova et al. 2019, NeurIPS).

Time zero is each series' first context observation and z0 lives there. The trajectory is integrated
once on the series' own grid and read at its own query times.
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
from model.ode import RK4, solve_fixed_grid


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
        self, batch: Batch[Tensor], noise: Float[Tensor, "draw _ latent"]
    ) -> LatentODEOutput:
        """Answer every query of the batch.

        `noise` is standard normal and makes z0 = loc + scale * noise; with one row for all series
        the same draws are used for each, and an answer does not depend on a series' place in the
        batch.
        """
        encoding = self.encoder(batch)
        posterior = encoding.posterior
        z0 = posterior.loc + posterior.scale * noise
        latents = self.latent_trajectory(z0, batch)
        prior = Normal(torch.zeros_like(posterior.loc), torch.ones_like(posterior.scale), False)
        decoded = self.decoder(latents, encoding.past_states, encoding.future_states, batch)
        return LatentODEOutput(posterior, prior, decoded)

    def latent_trajectory(
        self, z0: Float[Tensor, "sample series latent"], batch: Batch[Tensor]
    ) -> Float[Tensor, "sample point latent"]:
        """Integrate from z0 and read the state at every point of the batch."""
        num_samples, num_series, latent_dim = z0.shape
        step = self.config.step_hours
        latest = float(batch.point_times.max()) if len(batch.point_times) else 0.0
        start = z0.new_zeros(num_samples * num_series)
        trajectory = solve_fixed_grid(
            self.dynamics,
            z0.reshape(-1, latent_dim),
            t0=start,
            dt=torch.full_like(start, step),
            num_steps=max(1, -int(-latest // step)),
            tableau=RK4,
        )
        first = torch.arange(num_samples, device=z0.device).unsqueeze(1) * num_series
        samples = (first + batch.point_series).flatten()
        states = trajectory.evaluate(batch.point_times.repeat(num_samples), samples)
        return states.view(num_samples, -1, latent_dim)
