"""The latent neural ODE: encoder -> q(z0) -> ODE -> decoder (Rubanova et al. 2019, NeurIPS).

Time zero is each series' first context observation and z0 lives there. The trajectory is integrated
once on the series' own grid and read at its own query times.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.distributions import Normal

from model.config import LatentODEConfig
from model.data.batch import Batch
from model.decoder import DecodedQueries, Decoder
from model.dynamics import Dynamics
from model.encoder import Encoder
from model.ode import RK4, InitialValueProblem, Options, solve


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
        num_samples, _, latent_dim = z0.shape
        times, place = _by_series(batch)
        starts = z0.reshape(-1, latent_dim)
        problem = InitialValueProblem(
            self.dynamics.field(),
            starts,
            starts.new_zeros(len(starts)),
            times.repeat(num_samples, 1),
        )
        options = Options(step_size=self.config.step_hours)
        states = solve(problem, method=RK4.name, options=options).ys
        found: Tensor = states.view(num_samples, -1, latent_dim)[:, place]
        return found


def _by_series(
    batch: Batch[Tensor],
) -> tuple[Float[Tensor, "series query"], Int64[Tensor, " point"]]:
    """Return the times of the points, a row for each series, and where each point is among them.

    Rows are filled up with time zero, and a time before zero is zero: z0 is the state there.
    """
    num_series = len(batch.row_counts)
    counts = torch.bincount(batch.point_series, minlength=num_series)
    first = counts.cumsum(0) - counts
    longest = int(counts.max()) if len(batch.point_times) else 0
    index = torch.arange(len(batch.point_times), device=first.device)
    place = batch.point_series * longest + index - first[batch.point_series]
    times = batch.point_times.new_zeros(num_series * longest)
    times[place] = batch.point_times.clamp(min=0.0)
    return times.view(num_series, longest), place
