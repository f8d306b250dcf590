"""dz/dt: an MLP vector field with a leak on many time scales.

dz/dt = rate * (W tanh(MLP([z, t])) - z). The leak bounds the trajectory; the rates, one for each
latent dimension, start spread from one hour to four days, so that some dimensions remember the
whole stay.
"""

import math

import torch
from torch import nn

from model.config import LatentODEConfig
from model.ode import MLPField

_FASTEST_HOURS = 2.0
_SLOWEST_HOURS = 96.0
_DAY_HOURS = 24.0


class Dynamics(nn.Module):
    """Weights of the latent state's vector field; time is hours since the first observation."""

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

    def field(self) -> MLPField:
        """Return dz/dt per hour as a vector field that knows its form: z [sample latent]."""
        rate = self.log_rate.exp()
        return MLPField(self.network, time_scale=1 / _DAY_HOURS, gain=rate, decay=rate)
