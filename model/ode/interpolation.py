"""Dense output: the solution between the knots of a fixed grid.

Cubic Hermite interpolation of states and derivatives at the knots (Hairer, Norsett, Wanner, Solving
ODEs I, section II.6). The derivative at a knot is the first stage of the next step, so it costs
nothing. Its error is of order 4 in the step.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class HermiteInterpolant:
    """States and derivatives at t0 + i * dt, i = 0 .. num_steps, for every sample.

    `t0` and `dt` are each sample's own. With num_steps = 0 the solution is the constant y0.
    """

    t0: Float[Tensor, " sample"]
    dt: Float[Tensor, " sample"]
    states: Float[Tensor, "knot sample state"]
    derivatives: Float[Tensor, "knot sample state"]

    def evaluate(
        self, times: Float[Tensor, " query"], samples: Int[Tensor, " query"]
    ) -> Float[Tensor, "query state"]:
        """Return y of sample `samples[i]` at `times[i]`.

        Times outside the grid are held at its ends: the solver never extrapolates.
        """
        num_knots, num_samples, width = self.states.shape
        position = (times - self.t0[samples]) / self.dt[samples]
        position = position.clamp(0.0, float(num_knots - 1))
        left = position.detach().floor().clamp(max=max(num_knots - 2, 0)).long()
        right = (left + 1).clamp(max=num_knots - 1)
        theta = (position - left).unsqueeze(-1)
        states = self.states.reshape(num_knots * num_samples, width)
        slopes = self.derivatives.reshape(num_knots * num_samples, width)
        left_row, right_row = left * num_samples + samples, right * num_samples + samples
        dt = self.dt[samples].unsqueeze(-1)
        return _hermite(
            theta,
            states.index_select(0, left_row),
            states.index_select(0, right_row),
            slopes.index_select(0, left_row) * dt,
            slopes.index_select(0, right_row) * dt,
        )


def _hermite(theta: Tensor, y0: Tensor, y1: Tensor, m0: Tensor, m1: Tensor) -> Tensor:
    """Cubic with values y0, y1 and scaled slopes m0, m1 at theta = 0, 1; exact at both ends."""
    difference = y1 - y0
    bend = m0 - difference + theta * (2 * difference - m0 - m1)
    return torch.lerp(y0, y1, theta) + theta * (1 - theta) * bend
