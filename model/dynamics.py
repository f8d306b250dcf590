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
from model.data.batch import SOLVER_BLOCK
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
        blocks: Int64[Tensor, " block"],
    ) -> SemilinearSolution:
        """Solve from z0 at time zero over blocks of knots 0, 1, ..., in full precision."""
        knots = torch.arange(SOLVER_BLOCK, device=blocks.device)
        places = (blocks.unsqueeze(1) * SOLVER_BLOCK + knots).flatten()
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
            SemilinearProblem(z0, self.log_rates.exp(), forcing, step, self._nonlinearity),
            num_sweeps=self.config.num_sweeps,
        )

    def _nonlinearity(
        self, times: Float[Tensor, " knot"], z: Float[Tensor, "latent sample series knot"]
    ) -> Float[Tensor, "latent sample series knot"]:
        """Run `network` on the state and the day, without putting the two together first."""
        first, last = self.network[0], self.network[2]
        assert isinstance(first, nn.Linear)
        assert isinstance(last, nn.Linear)
        of_time = first.bias.unsqueeze(1) + first.weight[:, -1:] * (times / _DAY_HOURS)
        of_state = (first.weight[:, :-1] @ z.flatten(1)).unflatten(1, (-1, times.shape[0]))
        hidden = torch.tanh(of_state + of_time.unsqueeze(1)).flatten(1)
        return (last.weight @ hidden + last.bias.unsqueeze(1)).view(z.shape)

    def _forcing(
        self, encoding: Encoding, places: Int64[Tensor, " knot"]
    ) -> Float[Tensor, "latent series knot"]:
        """Return u at the knots 0, 1, ...: the control, then its way to the set-point."""
        num_series, longest = encoding.knots.shape[:2]
        if not self.config.use_control:
            return encoding.knots.new_zeros(self.config.latent_dim, num_series, places.shape[0])
        knots = encoding.knots.to(self.control.weight.dtype).flatten(0, 1)
        last = (encoding.knot_counts - 1).unsqueeze(1)
        # A filter's line from a knot to the next may not know the next: it lags by one knot.
        known = (places - 1).clamp(min=0) if self.config.direction == "filter" else places
        index = torch.minimum(known, last)
        rows = torch.arange(num_series, device=places.device).unsqueeze(1) * longest
        held = self.control(knots).T.index_select(1, (rows + index).flatten())
        held = held.view(-1, num_series, places.shape[0])
        set_point = self.set_point(knots.index_select(0, (rows + last).flatten())).T.unsqueeze(2)
        since = (known - index).to(held.dtype) * self.config.knot_hours
        weight = torch.exp(-since * self.log_forgetting.exp().view(-1, 1, 1))
        return set_point + (held - set_point) * weight


def _refine(
    forcing: Float[Tensor, "latent series knot"], num_substeps: int
) -> Float[Tensor, "latent series fine_knot"]:
    """Read a forcing that is linear between knots on a finer grid; after the last it stays."""
    if num_substeps == 1:
        return forcing
    shares = torch.arange(num_substeps, device=forcing.device) / num_substeps
    following = torch.cat([forcing[..., 1:], forcing[..., -1:]], dim=-1)
    return (forcing.unsqueeze(-1) + (following - forcing).unsqueeze(-1) * shares).flatten(2)
