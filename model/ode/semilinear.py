"""Semilinear problems with a forcing: the linear part is exact, and all times are solved at once.

    dy/dt = rates * (u(t) + f(t, y) - y)

`rates` is diagonal and positive, u is piecewise linear between equidistant knots, f is a smooth
contraction. An explicit method needs steps shorter than the fastest time scale and one step after
another. Here the exponential of the linear part is taken exactly (exponential time differencing;
Cox & Matthews 2002, J. Comput. Phys. 176), so that y at all knots is one triangular matrix for each
rate, times the drive u + f. Without f that is the solution, for any step. With f the drive is
found by sweeps y -> u + f(t, y) -> y over the whole horizon (waveform relaxation; Lelarasmee,
Ruehli & Sangiovanni-Vincentelli 1982): each sweep shrinks the error by the Lipschitz constant of f,
and f is a straight line between knots, which is second order in their distance. No sweep has a loop
over time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

# Below this |x| the closed forms of phi lose digits and their power series take over.
_SMALL = 0.05

Nonlinearity = Callable[
    [Float[Tensor, "knot 1 1 1"], Float[Tensor, "knot sample series state"]],
    Float[Tensor, "knot sample series state"],
]
"""f(t, y) at all knots at once."""


@dataclass(frozen=True)
class SemilinearProblem:
    """y(0), the rates (per unit of time), the forcing at the knots 0, step, 2 step, ... and f."""

    y0: Float[Tensor, "sample series state"]
    rates: Float[Tensor, " state"]
    forcing: Float[Tensor, "knot *_ series state"]
    step: float
    nonlinearity: Nonlinearity | None = None


@dataclass(frozen=True)
class SemilinearSolution:
    """States and drives u + f at the knots."""

    problem: SemilinearProblem
    states: Float[Tensor, "knot sample series state"]
    drives: Float[Tensor, "knot sample series state"]

    def at(
        self, times: Float[Tensor, " point"], series: Int64[Tensor, " point"]
    ) -> Float[Tensor, "sample point state"]:
        """Return the state of a series at a time; between knots the solution of the same equation.

        A time before zero is zero, one after the last knot is the last knot.
        """
        if self.states.shape[0] == 1:
            return self.states[0][:, series]
        step = self.problem.step
        left = torch.clamp((times / step).floor().long(), 0, self.states.shape[0] - 2)
        since = torch.clamp(times - left.to(times.dtype) * step, 0.0, step)
        weights = _StepWeights.of(self.problem.rates, since.unsqueeze(-1), step)
        return (
            weights.decay * _gather(self.states, left, series)
            + weights.left * _gather(self.drives, left, series)
            + weights.right * _gather(self.drives, left + 1, series)
        )


def solve_semilinear(problem: SemilinearProblem, *, num_sweeps: int) -> SemilinearSolution:
    """Solve the problem at all knots; `num_sweeps` is the number of evaluations of f."""
    places = torch.arange(problem.forcing.shape[0], device=problem.forcing.device)
    response = _response(problem.rates, problem.step, places)
    times = places.to(problem.rates.dtype).view(-1, 1, 1, 1) * problem.step
    free = problem.y0 * torch.exp(-problem.rates * times)
    forcing = problem.forcing.expand_as(free)
    drives = forcing
    states = free + _respond(response, drives)
    if problem.nonlinearity is not None:
        for _ in range(num_sweeps):
            drives = forcing + problem.nonlinearity(times, states)
            states = free + _respond(response, drives)
    return SemilinearSolution(problem, states, drives)


def _response(
    rates: Float[Tensor, " state"], step: float, places: Int64[Tensor, " knot"]
) -> Float[Tensor, "state knot knot"]:
    """Return what the drive at a knot (last axis) adds to the state at another.

    The drive at knot j acts over the step that it begins, and over the step that it ends.
    """
    weights = _StepWeights.of(rates, rates.new_tensor([step]), step)
    left, right = weights.left.unsqueeze(1), weights.right.unsqueeze(1)
    # It depends on the lag alone (but for the first knot, which ends no step): few exponentials.
    ends = right * torch.exp(-(rates * step).unsqueeze(1) * places)
    since = (places - 1).clamp(min=0)
    begins = left * torch.exp(-(rates * step).unsqueeze(1) * since) * (places > 0)
    lag = places.unsqueeze(1) - places
    response = (begins + ends)[:, lag.clamp(min=0)] * (lag >= 0)
    return torch.where(places == 0, begins.unsqueeze(2), response)


def _respond(
    response: Float[Tensor, "state knot knot"], drives: Float[Tensor, "knot sample series state"]
) -> Float[Tensor, "knot sample series state"]:
    flat = drives.flatten(1, 2).permute(2, 0, 1)
    return torch.bmm(response, flat).permute(1, 2, 0).unflatten(1, drives.shape[1:3])


@dataclass(frozen=True)
class _StepWeights:
    """y(since) = decay * y + left * (drive at the left knot) + right * (drive at the right knot)."""

    decay: Tensor
    left: Tensor
    right: Tensor

    @classmethod
    def of(cls, rates: Tensor, since: Tensor, step: float) -> "_StepWeights":
        """Return the weights `since` after the left knot of a step, for a drive linear over it."""
        x = rates * since
        first, second = _phi(x)
        share = since / step
        # The drive at `since` is (1 - share) left + share right; phi_2 weighs the end of the part.
        return cls(torch.exp(-x), x * (first - share * second), x * share * second)


def _phi(x: Float[Tensor, "*shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Return phi_1(-x) = (1 - e^-x) / x and phi_2(-x) = (1 - phi_1(-x)) / x for x >= 0."""
    is_small = x < _SMALL
    large = torch.where(is_small, _SMALL, x)
    first = -torch.expm1(-large) / large
    second = (1 - first) / large
    near_first = 1 - x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5 * (1 - x / 6))))
    near_second = 0.5 - x / 6 * (1 - x / 4 * (1 - x / 5 * (1 - x / 6 * (1 - x / 7))))
    return torch.where(is_small, near_first, first), torch.where(is_small, near_second, second)


def _gather(
    values: Float[Tensor, "knot sample series state"],
    knots: Int64[Tensor, " point"],
    series: Int64[Tensor, " point"],
) -> Float[Tensor, "sample point state"]:
    num_series = values.shape[2]
    flat = values.transpose(0, 1).flatten(1, 2)
    return flat.index_select(1, knots * num_series + series)
