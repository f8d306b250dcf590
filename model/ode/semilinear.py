"""Semilinear problems with a forcing: the linear part is exact, and all times are solved at once.

    dy/dt = rates * (u(t) + f(t, y) - y)

`rates` is diagonal and positive, u is piecewise linear between equidistant knots, f is a smooth
contraction. An explicit method needs steps shorter than the fastest time scale and one step after
another. Here the exponential of the linear part is taken exactly (exponential time differencing;
Cox & Matthews 2002, J. Comput. Phys. 176), so that y at all knots is the drive u + f, filtered by one
exponential for each rate. Without f that is the solution, for any step. With f the drive is
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
from torch.nn import functional as F

# Below this |x| the closed forms of phi lose digits and their power series take over.
_SMALL = 0.05
# Knots that one small triangular matrix covers: work and memory grow linearly with the horizon.
_BLOCK = 8

Nonlinearity = Callable[
    [Float[Tensor, " knot"], Float[Tensor, "state sample series knot"]],
    Float[Tensor, "state sample series knot"],
]
"""f(t, y) at all knots at once.

The state is the first axis, so that a matrix times y needs no transposition, and the knot the last,
so that what depends on time alone is added along contiguous rows.
"""


@dataclass(frozen=True)
class SemilinearProblem:
    """y(0), the rates (per unit of time), the forcing at the knots 0, step, 2 step, ... and f."""

    y0: Float[Tensor, "sample series state"]
    rates: Float[Tensor, " state"]
    forcing: Float[Tensor, "state series knot"]
    step: float
    nonlinearity: Nonlinearity | None = None


@dataclass(frozen=True)
class SemilinearSolution:
    """States and drives u + f at the knots."""

    problem: SemilinearProblem
    states: Float[Tensor, "state sample series knot"]
    drives: Float[Tensor, "state sample series knot"]

    def at(
        self, times: Float[Tensor, " point"], series: Int64[Tensor, " point"]
    ) -> Float[Tensor, "sample point state"]:
        """Return the state of a series at a time; between knots the solution of the same equation.

        A time before zero is zero, one after the last knot is the last knot.
        """
        num_knots = self.states.shape[-1]
        if num_knots == 1:
            return self.states[..., 0].permute(1, 2, 0)[:, series]
        step, rates = self.problem.step, self.problem.rates.view(-1, 1, 1)
        left = torch.clamp((times / step).floor().long(), 0, num_knots - 2)
        since = torch.clamp(times - left.to(times.dtype) * step, 0.0, step)
        places = series * num_knots + left
        states, drives = self.states.flatten(2), self.drives.flatten(2)
        state, start = states.index_select(2, places), drives.index_select(2, places)
        rise = drives.index_select(2, places + 1) - start
        # Of a drive start + rise * share the state keeps y = drive - lag + (y0 - start) decay, where
        # lag = rise (1 - decay) / (rates * step) and 1 - decay = (1 + decay) tanh(rates * since / 2).
        decay = torch.exp(-rates * since)
        behind = (1 + decay) * torch.tanh(rates * since / 2) / (rates * step)
        found = start + decay * (state - start) + rise * (since / step - behind)
        return found.permute(1, 2, 0)


def solve_semilinear(problem: SemilinearProblem, *, num_sweeps: int) -> SemilinearSolution:
    """Solve the problem at all knots; `num_sweeps` is the number of evaluations of f."""
    num_knots, rates = problem.forcing.shape[-1], problem.rates
    response = _Response.of(rates, problem.step, num_knots)
    times = torch.arange(num_knots, device=rates.device).to(rates.dtype) * problem.step
    y0 = problem.y0.permute(2, 0, 1)
    drives = problem.forcing.unsqueeze(1).expand(-1, y0.shape[1], -1, -1)
    states = response(y0, drives)
    if problem.nonlinearity is not None:
        for _ in range(num_sweeps):
            drives = problem.forcing.unsqueeze(1) + problem.nonlinearity(times, states)
            states = response(y0, drives)
    return SemilinearSolution(problem, states, drives)


@dataclass(frozen=True)
class _Response:
    """How the states at the knots follow from the drive at the knots.

    Over a step y' = decay y + left d + right d', so that s = y - right d is a filter of one tap:
    s' = decay s + (left + decay right) d. Knots are taken in blocks: within a block the states are
    those of its own drives, the same small matrix for all blocks, and what its first s leaves.
    """

    right: Float[Tensor, "state 1 1"]
    within: Float[Tensor, "state knot knot"]
    end: Float[Tensor, "state knot 1"]
    between: Float[Tensor, "state block block"]
    decays: Float[Tensor, "state 1 knot"]

    @classmethod
    def of(cls, rates: Float[Tensor, " state"], step: float, num_knots: int) -> "_Response":
        """Return what holds for a number of knots. Matrices act from the right."""
        weights = _StepWeights.of(rates * step)
        gain = (weights.left + weights.decay * weights.right).view(-1, 1, 1)
        right, speed = weights.right.view(-1, 1, 1), (rates * step).view(-1, 1, 1)
        knots = torch.arange(_BLOCK, device=rates.device)
        blocks = torch.arange((num_knots + _BLOCK - 1) // _BLOCK, device=rates.device)
        lag = knots - knots.unsqueeze(1)
        return cls(
            right,
            gain * _powers(speed, lag - 1) + right * (lag == 0),
            gain * _powers(speed, _BLOCK - 1 - knots.unsqueeze(1)),
            _powers(speed * _BLOCK, blocks - blocks.unsqueeze(1)),
            _powers(speed, knots.unsqueeze(0)),
        )

    def __call__(
        self,
        y0: Float[Tensor, "state sample series"],
        drives: Float[Tensor, "state sample series knot"],
    ) -> Float[Tensor, "state sample series knot"]:
        """Return the states."""
        num_states, num_knots = drives.shape[0], drives.shape[-1]
        rows = drives.reshape(num_states, -1, num_knots)
        missing = -num_knots % _BLOCK
        # Zeros at the end change nothing before.
        whole = F.pad(rows, (0, missing)) if missing else rows
        own = whole.reshape(num_states, -1, _BLOCK)
        ends = (own @ self.end).view(num_states, rows.shape[1], -1)
        start = y0.flatten(1).unsqueeze(2) - self.right * rows[:, :, :1]
        firsts = torch.cat([start, ends[:, :, :-1]], dim=2) @ self.between
        states = own @ self.within + firsts.view(num_states, -1, 1) @ self.decays
        return states.view(num_states, rows.shape[1], -1)[:, :, :num_knots].view(drives.shape)


def _powers(
    speed: Float[Tensor, "state 1 1"], lag: Int64[Tensor, "row column"]
) -> Float[Tensor, "state row column"]:
    """Return e^(-speed lag), 0 for a negative lag."""
    return torch.exp(-speed * lag.clamp(min=0)) * (lag >= 0)


@dataclass(frozen=True)
class _StepWeights:
    """y after a step = decay * y + left * (drive at the left knot) + right * (drive at the right knot)."""

    decay: Float[Tensor, " state"]
    left: Float[Tensor, " state"]
    right: Float[Tensor, " state"]

    @classmethod
    def of(cls, x: Float[Tensor, " state"]) -> "_StepWeights":
        """Return the weights of a step over which the linear part decays by e^-x."""
        first, second = _phi(x)
        return cls(torch.exp(-x), x * (first - second), x * second)


def _phi(x: Float[Tensor, "*shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Return phi_1(-x) = (1 - e^-x) / x and phi_2(-x) = (1 - phi_1(-x)) / x for x >= 0."""
    is_small = x < _SMALL
    large = torch.where(is_small, _SMALL, x)
    first = -torch.expm1(-large) / large
    second = (1 - first) / large
    near_first = 1 - x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5 * (1 - x / 6))))
    near_second = 0.5 - x / 6 * (1 - x / 4 * (1 - x / 5 * (1 - x / 6 * (1 - x / 7))))
    return torch.where(is_small, near_first, first), torch.where(is_small, near_second, second)
