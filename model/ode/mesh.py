"""Where the steps of every sample begin and end.

An explicit solve is: find a mesh, then step along it. A step of size zero is the identity, so rows
are padded by repeating the last knot, and a jump is a step of size zero that adds an amount.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from model.ode.problem import InitialValueProblem


@dataclass(frozen=True)
class Mesh:
    """Accepted step boundaries, monotone for each sample; gradients may run through the times.

    Parameters
    ----------
    jumps
        What step i adds on arriving at knot i + 1.
    num_steps
        Where samples have different numbers of steps: how many of each sample's are not padding.
    uniform
        Whether the knots of every sample are equally spaced, which makes a query cheaper.
    """

    times: Float[Tensor, "knot sample"]
    jumps: Float[Tensor, "step sample state"] | None = None
    num_steps: Int64[Tensor, " sample"] | None = None
    uniform: bool = False

    def locate(self, query_times: Float[Tensor, "sample query"]) -> Int64[Tensor, "sample query"]:
        """Return the knot whose interval holds each time; the last knot for the end.

        At a jump, a sample that runs forward is told the knot after it, one that runs backward the
        knot before it.
        """
        times, queries = self.times.detach(), query_times.detach()
        last = len(times) - 1
        if self.uniform:
            return _place(queries, times[0].unsqueeze(1), times[-1].unsqueeze(1), last)
        sign = torch.where(times[-1] < times[0], -1, 1).to(times).unsqueeze(1)
        clock, wanted = (sign * times.T).contiguous(), (sign * queries).contiguous()
        knots = torch.searchsorted(clock, wanted, right=True) - 1
        if self.jumps is not None:
            before = torch.searchsorted(clock, wanted)
            knots = torch.where((sign < 0) & (before < knots), before, knots)
        if self.num_steps is not None:
            knots = torch.minimum(knots, self.num_steps.unsqueeze(1))
        return knots.clamp(0, last)


def _place(times: Tensor, first: Tensor, last: Tensor, num_steps: int) -> Tensor:
    span = last - first
    position = (times - first) / torch.where(span == 0, 1, span) * num_steps
    return position.floor().clamp(0, num_steps).long()


def uniform_mesh(
    start: Float[Tensor, " sample"], end: Float[Tensor, " sample"], num_steps: int
) -> Mesh:
    """Divide each sample's [start, end] into equal steps."""
    fraction = torch.linspace(0, 1, num_steps + 1, dtype=start.dtype, device=start.device)
    times = start + fraction.unsqueeze(1) * (end - start)
    return Mesh(torch.cat([times[:-1], end.unsqueeze(0)]), uniform=True)


def step_mesh(
    start: Float[Tensor, " sample"],
    step: Float[Tensor, " sample"] | float,
    num_steps: int,
) -> Mesh:
    """Lay equal steps of a given (signed) size from each sample's start."""
    index = torch.arange(num_steps + 1, dtype=start.dtype, device=start.device)
    return Mesh(start + index.unsqueeze(1) * step, uniform=True)


def query_mesh(problem: InitialValueProblem) -> Mesh:
    """Step from query time to query time, as torchdiffeq does when it is given no step size."""
    sign = problem.direction
    times = torch.cat([problem.t0.unsqueeze(1), problem.query_times], dim=1)
    return Mesh(sign * (sign.unsqueeze(1) * times).sort(dim=1).values.T)


def insert_jumps(mesh: Mesh, problem: InitialValueProblem) -> Mesh:
    """Return a mesh with two knots at each jump, between which its amount is added."""
    jumps = problem.jumps_in_order(beyond_end=True)
    if jumps is None:
        return mesh
    sign, last = problem.direction, mesh.times[-1].unsqueeze(1)
    inside = sign.unsqueeze(1) * (last - jumps.times) >= 0
    times = torch.where(inside, jumps.times, last).T
    amounts = torch.where(inside.unsqueeze(-1), jumps.amounts, 0).transpose(0, 1)
    none = amounts.new_zeros(len(mesh.times) + len(times), *amounts.shape[1:])
    clock, order = (sign * torch.cat([mesh.times, times, times])).sort(dim=0, stable=True)
    amounts = torch.cat([none, amounts])
    amounts = amounts.gather(0, order.unsqueeze(-1).expand(*order.shape, amounts.shape[-1]))
    return Mesh(sign * clock, amounts[1:])
