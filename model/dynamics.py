"""The latent state between observations: a forced ODE on many time scales.

    dz/dt = rates * (u(t) + f(z, t) - z)

The rates, one for each latent dimension, start spread from ten minutes to a hundred hours: the fast
dimensions follow the control closely, the slow ones remember the stay. u is the control, piecewise
linear between the knots of the encoder; after the last knot it goes to a set-point of the patient
with a learned time constant, so that a forecast is the solution of an autonomous equation. f is a
small network that starts at zero.
"""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from model.config import LatentODEConfig
from model.encoding import Encoding
from model.ode.semilinear import SemilinearProblem, SemilinearSolution, solve_semilinear

_FASTEST_HOURS = 1 / 6
_SLOWEST_HOURS = 100.0
_FORGETTING_HOURS = 12.0
_DAY_HOURS = 24.0


class Dynamics(nn.Module):
    """Rates, control and vector field; time is hours since the first observation."""

    def __init__(self, config: LatentODEConfig) -> None:
        super().__init__()
        self.config = config
        spread = torch.linspace(
            math.log(_FASTEST_HOURS), math.log(_SLOWEST_HOURS), config.latent_dim
        )
        self.log_rates = nn.Parameter(-spread)
        last = nn.Linear(config.dynamics_dim, config.latent_dim)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(
            nn.Linear(config.latent_dim + 1, config.dynamics_dim), nn.Tanh(), last
        )
        self.control = nn.Linear(config.encoder_dim, config.latent_dim)
        self.set_point = nn.Linear(config.encoder_dim, config.latent_dim)
        self.log_forgetting = nn.Parameter(
            torch.full((config.latent_dim,), -math.log(_FORGETTING_HOURS))
        )

    def forward(
        self,
        z0: Float[Tensor, "sample series latent"],
        encoding: Encoding,
        places: Int64[Tensor, " knot"],
    ) -> SemilinearSolution:
        """Solve from z0 at time zero over the knots 0, 1, ..., in full precision."""
        device = z0.device.type
        if torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                return self._solve(z0, encoding, places)
        return self._solve(z0, encoding, places)

    def _solve(
        self,
        z0: Float[Tensor, "sample series latent"],
        encoding: Encoding,
        places: Int64[Tensor, " knot"],
    ) -> SemilinearSolution:
        step = self.config.knot_hours / self.config.num_substeps
        forcing = _refine(self._forcing(encoding, places), self.config.num_substeps)
        return solve_semilinear(
            SemilinearProblem(
                z0, self.log_rates.exp(), forcing.unsqueeze(1), step, self._nonlinearity
            ),
            num_sweeps=self.config.num_sweeps,
        )

    def _nonlinearity(
        self,
        times: Float[Tensor, "knot 1 1 1"],
        z: Float[Tensor, "knot sample series latent"],
    ) -> Float[Tensor, "knot sample series latent"]:
        days = (times / _DAY_HOURS).expand(*z.shape[:-1], 1)
        result: Tensor = self.network(torch.cat([z, days], dim=-1))
        return result

    def _forcing(
        self, encoding: Encoding, places: Int64[Tensor, " knot"]
    ) -> Float[Tensor, "knot series latent"]:
        """Return u at the knots 0, 1, ...: the control, then its way to the set-point."""
        num_series = encoding.knots.shape[0]
        if not self.config.use_control:
            return encoding.knots.new_zeros(places.shape[0], num_series, self.config.latent_dim)
        knots = encoding.knots.to(self.control.weight.dtype)
        control = self.control(knots)
        last = (encoding.knot_counts - 1).unsqueeze(1)
        # A filter's line from a knot to the next may not know the next: it lags by one knot.
        known = (places - 1).clamp(min=0) if self.config.direction == "filter" else places
        index = torch.minimum(known, last)
        held = control.gather(1, index.unsqueeze(-1).expand(-1, -1, control.shape[-1]))
        at_end = knots.gather(1, last.unsqueeze(-1).expand(-1, -1, knots.shape[-1]))
        set_point = self.set_point(at_end)
        since = (known - index).to(control.dtype).unsqueeze(-1) * self.config.knot_hours
        weight = torch.exp(-since * self.log_forgetting.exp())
        forcing: Tensor = (set_point + (held - set_point) * weight).transpose(0, 1)
        return forcing


def _refine(
    forcing: Float[Tensor, "knot series latent"], num_substeps: int
) -> Float[Tensor, "fine_knot series latent"]:
    """Read a piecewise linear forcing on a finer grid."""
    if num_substeps == 1:
        return forcing
    shares = torch.arange(num_substeps, device=forcing.device).view(-1, 1, 1) / num_substeps
    steps = forcing[:-1, None] + shares * (forcing[1:] - forcing[:-1]).unsqueeze(1)
    return torch.cat([steps.flatten(0, 1), forcing[-1:]])
