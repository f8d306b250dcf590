"""dz/dt: an MLP vector field with a leak on many time scales.

dz/dt = rate * (W tanh(MLP([z, t])) - z). The leak bounds the trajectory; the rates, one for each
latent dimension, start spread from one hour to four days, so that some dimensions remember the
whole stay.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.config import LatentODEConfig

_FASTEST_HOURS = 2.0
_SLOWEST_HOURS = 96.0
_DAY_HOURS = 24.0


class Dynamics(nn.Module):
    """The vector field of the latent state; time is hours since the first observation."""

    def __init__(self, config: LatentODEConfig) -> None:
        super().__init__()
        width = config.dynamics_dim
        self.network = nn.Sequential(
            nn.Linear(config.latent_dim + 1, width),
            nn.Tanh(),
            nn.Linear(width, width),
            nn.Tanh(),
            nn.Linear(width, config.latent_dim),
        )
        self.log_rate = nn.Parameter(
            -torch.linspace(math.log(_FASTEST_HOURS), math.log(_SLOWEST_HOURS), config.latent_dim)
        )

    def forward(
        self, t: Float[Tensor, " sample"], y: Float[Tensor, "sample latent"]
    ) -> Float[Tensor, "sample latent"]:
        """Return dz/dt per hour."""
        clock = (t / _DAY_HOURS).unsqueeze(-1)
        return self.log_rate.exp() * (self.network(torch.cat([y, clock], dim=-1)) - y)
