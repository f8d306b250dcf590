"""Explicit Runge-Kutta on a fixed grid that belongs to each sample, with an estimate of its error.

No host synchronization, and no control flow that depends on data, unless a step size asks for a
number of steps. With `num_steps` the grid spans [t0, end] of each sample; with `step_size` it does
not depend on the queries at all.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from model.ode.differentiation import Adjoint
from model.ode.explicit import solve_on_mesh
from model.ode.interpolation import PiecewisePolynomial
from model.ode.mesh import Mesh, insert_jumps, query_mesh, step_mesh, uniform_mesh
from model.ode.problem import InitialValueProblem, VectorField
from model.ode.runge_kutta import evaluate, walk
from model.ode.solution import Solution, Statistics, Status
from model.ode.tableau import ButcherTableau


@dataclass(frozen=True)
class Grid:
    """The steps of every sample: so many over its own span, or of a given size from its t0.

    With neither, one step from each query time to the next.
    """

    num_steps: int | None = None
    step_size: float | None = None

    def __post_init__(self) -> None:
        if self.num_steps is not None and self.step_size is not None:
            raise ValueError("give `num_steps` or `step_size`, not both")
        if self.num_steps is not None and self.num_steps < 1:
            raise ValueError(f"`num_steps` must be at least 1, found {self.num_steps}")
        if self.step_size is not None and not self.step_size > 0:
            raise ValueError(f"`step_size` must be positive, found {self.step_size}")

    def mesh(self, problem: InitialValueProblem) -> Mesh:
        """Return the knots, jumps included."""
        if self.num_steps is not None:
            end = _differentiable_end(problem)
            return insert_jumps(uniform_mesh(problem.t0, end, self.num_steps), problem)
        if self.step_size is not None:
            span = (problem.end_times - problem.t0.detach()).abs()
            longest = float(span.max()) if span.numel() else 0.0
            # A hair less, so that rounding makes no step for nothing.
            num_steps = max(1, -int(-(longest / self.step_size - 1e-9) // 1))
            step = problem.direction * self.step_size
            return insert_jumps(step_mesh(problem.t0, step, num_steps), problem)
        return insert_jumps(query_mesh(problem), problem)

    def halved(self, mesh: Mesh) -> tuple["Grid", float] | None:
        """Return a grid with half the steps, and how much longer its steps are; None if too few."""
        if self.num_steps is not None and self.num_steps >= 2:
            coarse = self.num_steps // 2
            return Grid(num_steps=coarse), self.num_steps / coarse
        if self.step_size is not None and len(mesh.times) > 2:
            return Grid(step_size=2 * self.step_size), 2.0
        return None


def _differentiable_end(problem: InitialValueProblem) -> Float[Tensor, " sample"]:
    if not problem.query_times.shape[1]:
        return problem.t0
    sign = problem.direction
    return sign * (sign.unsqueeze(1) * problem.query_times).amax(1)


def integrate(
    vector_field: VectorField,
    y0: Float[Tensor, "sample state"],
    mesh: Mesh,
    tableau: ButcherTableau,
) -> PiecewisePolynomial:
    """Step along the mesh and return the dense solution, with gradients through every step."""
    f0 = evaluate(vector_field, mesh.times[0], y0)
    return walk(vector_field, (y0, f0), mesh, tableau).solution


def solve_fixed_grid(
    problem: InitialValueProblem,
    *,
    tableau: ButcherTableau,
    grid: Grid,
    adjoint: Adjoint = Adjoint.DIRECT,
    parameters: Iterable[Tensor] | None = None,
    error_estimate: bool = False,
) -> Solution:
    """Solve every sample on its own grid.

    `error_estimate` costs half as much again: the solution with half as many steps, compared at the
    query times and at the coarse knots (Richardson; Hairer, Norsett, Wanner, section II.4). It is
    absent for a single step and for steps between query times.
    """
    mesh = grid.mesh(problem)
    found = solve_on_mesh(problem, mesh, tableau, adjoint, parameters)
    return Solution(
        *_checked(problem, found.ys),
        _counters(problem, tableau, len(mesh.times) - 1),
        _estimate(problem, tableau, grid, mesh, found.polynomial) if error_estimate else None,
    )


def _checked(problem: InitialValueProblem, ys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ys, NaN from the first time on at which a sample is not finite, status, last times."""
    sign, ends = problem.direction.unsqueeze(1), problem.end_times
    clock = sign * problem.query_times.detach()
    # 0 * y is NaN where y is not finite; a reduction of numbers is far quicker than one of flags.
    broken = (ys.detach() * 0).sum(-1) != 0
    never = clock.new_full((len(clock), 1), torch.inf)
    first_bad = torch.cat([torch.where(broken, clock, torch.inf), never], 1).amin(1, keepdim=True)
    start = sign * problem.t0.detach().unsqueeze(1)
    reached = torch.cat([start, torch.where(clock < first_bad, clock, start)], 1).amax(1)
    failed = broken.any(1)
    ys = torch.where((clock >= first_bad).unsqueeze(-1), torch.nan, ys)
    status = torch.where(failed, int(Status.NOT_FINITE), int(Status.SUCCESS))
    return ys, status, torch.where(failed, sign.squeeze(1) * reached, ends)


def _counters(problem: InitialValueProblem, tableau: ButcherTableau, num_steps: int) -> Statistics:
    counters = Statistics.zeros(problem.num_samples, problem.y0.device)
    counters.num_function_evaluations.fill_(1 + num_steps * tableau.evaluations_per_step)
    counters.num_accepted_steps.fill_(num_steps)
    return counters


@torch.no_grad()
def _estimate(
    problem: InitialValueProblem,
    tableau: ButcherTableau,
    grid: Grid,
    mesh: Mesh,
    fine: PiecewisePolynomial | None,
) -> Float[Tensor, " sample"] | None:
    halved = grid.halved(mesh)
    if halved is None:
        return None
    coarse_grid, ratio = halved
    coarse_mesh = coarse_grid.mesh(problem)
    times = torch.cat([problem.query_times, coarse_mesh.times.T], dim=1)
    if fine is None:
        fine = integrate(problem.vector_field, problem.y0, mesh, tableau)
    coarse = integrate(problem.vector_field, problem.y0, coarse_mesh, tableau)
    largest = (fine.evaluate(times) - coarse.evaluate(times)).abs().flatten(1).amax(1)
    return largest / (ratio**tableau.dense_order - 1)
