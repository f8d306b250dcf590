"""Dense output: one polynomial in theta for every step of every sample.

From the stages of the step where the method has weights for it; else the cubic through states and
derivatives at both ends (Hairer, Norsett, Wanner, Solving ODEs I, section II.6), which costs nothing
because the derivative at a knot is the first stage of the next step.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from model.ode.mesh import Mesh
from model.ode.tableau import ButcherTableau


@dataclass(frozen=True)
class PiecewisePolynomial:
    """The solution on a mesh: y(t) = sum of coefficient_p * theta^p, theta = (t - knot) / step.

    Where a step has no size, and at the last knot, theta counts in units of time: the polynomial
    there is the tangent, so that a query at the very end has the right derivative in time.

    Parameters
    ----------
    coefficients
        One row for each interval of each sample, and one for each sample's last knot.
    rows
        Where the row of a knot and sample is; None for the order knot * num_samples + sample.
    """

    mesh: Mesh
    coefficients: Float[Tensor, "row power state"]
    rows: Int64[Tensor, "knot sample"] | None = None

    def evaluate(
        self, query_times: Float[Tensor, "sample query"]
    ) -> Float[Tensor, "sample query state"]:
        """Return every sample's state at its own times, held at the ends of its mesh."""
        num_samples, num_queries = query_times.shape
        samples = torch.arange(num_samples, device=query_times.device)
        found = self.evaluate_at(
            query_times.flatten(),
            samples.repeat_interleave(num_queries),
            self.mesh.locate(query_times).flatten(),
        )
        return found.view(num_samples, num_queries, self.coefficients.shape[-1])

    def evaluate_at(
        self,
        times: Float[Tensor, " query"],
        samples: Int64[Tensor, " query"],
        knots: Int64[Tensor, " query"],
    ) -> Float[Tensor, "query state"]:
        """Return the state of sample `samples[i]` at `times[i]`, which lies after `knots[i]`."""
        place = knots * self.mesh.times.shape[1] + samples
        rows = place if self.rows is None else self.rows.flatten()[place]
        size = step_sizes(self.mesh).flatten()[place]
        theta = (times - self.mesh.times.flatten()[place]) / torch.where(size == 0, 1, size)
        theta = theta.clamp(torch.zeros_like(theta), (size != 0).to(theta))
        theta = theta.unsqueeze(-1).to(self.coefficients.dtype)
        # Unbound at once: a slice for each power would have a gradient as large as the whole.
        *lower, value = self.coefficients.index_select(0, rows).unbind(1)
        for coefficient in reversed(lower):
            value = torch.addcmul(coefficient, value, theta)
        return value


def step_sizes(mesh: Mesh) -> Float[Tensor, "knot sample"]:
    """Return the size of the step that begins at each knot; zero at the last."""
    return torch.cat([mesh.times.diff(dim=0), torch.zeros_like(mesh.times[:1])])


def hermite_coefficients(
    y0: Float[Tensor, "row state"],
    y1: Float[Tensor, "row state"],
    f0: Float[Tensor, "row state"],
    f1: Float[Tensor, "row state"],
    step: Float[Tensor, "row 1"],
) -> Float[Tensor, "row 4 state"]:
    """Return the cubic with values y0, y1 and derivatives f0, f1 at the ends of the step."""
    slope0, slope1 = step * f0, step * f1
    rise = torch.where(step == 0, 0, y1 - y0)
    bend = slope0 + slope1 - 2 * rise
    linear = torch.where(step == 0, f0, slope0)
    return torch.stack([y0, linear, rise - slope0 - bend, bend], dim=1)


def stage_coefficients(
    y0: Float[Tensor, "row state"],
    stages: Float[Tensor, "stage row state"],
    step: Float[Tensor, "row 1"],
    tableau: ButcherTableau,
) -> Float[Tensor, "row power state"]:
    """Return the tableau's own interpolant, from the stages of each step."""
    assert tableau.dense is not None
    weights = torch.tensor(
        [[float(weight) for weight in row] for row in tableau.dense],
        dtype=y0.dtype,
        device=y0.device,
    )
    powers = (weights.T @ stages.flatten(1)).view(weights.shape[1], *y0.shape)
    linear = torch.where(step == 0, stages[0], step * powers[0])
    return torch.stack([y0, linear, *(step * power for power in powers[1:])], dim=1)
