"""Explicit Runge-Kutta on a fixed grid that belongs to each sample, with an estimate of its error.

After the check of its times a solve does not wait for the device, and its control flow does not
depend on data, unless a step size asks for a number of steps. With `num_steps` the grid spans
[t0, end] of each sample; with `step_size` it does not depend on the queries at all.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from model.ode.differentiation import Adjoint, needs_gradient
from model.ode.explicit import solve_on_mesh
from model.ode.interpolation import PiecewisePolynomial
from model.ode.kernel import Kernel, solve_fused
from model.ode.kernel import applies as kernel_applies
from model.ode.kernel import load as load_kernel
from model.ode.mesh import Mesh, insert_jumps, query_mesh, step_mesh, uniform_mesh
from model.ode.mlp import MLPField
from model.ode.problem import InitialValueProblem
from model.ode.runge_kutta import integrate
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


def solve_fixed_grid(
    problem: InitialValueProblem,
    *,
    tableau: ButcherTableau,
    grid: Grid,
    adjoint: Adjoint,
    parameters: tuple[Tensor, ...],
    error_estimate: bool = False,
    fused: bool | None = None,
) -> Solution:
    """Solve every sample on its own grid.

    Parameters
    ----------
    error_estimate
        Solve with half as many steps too, for half as much again, and compare at the query times and
        at the coarse knots (Richardson; Hairer, Norsett, Wanner, section II.4). Absent for a single
        step and for steps between query times.
    fused
        Use the compiled kernel for an `MLPField`: None where it is built and applies, True always,
        False never. Its numbers are those of the torch path to rounding.

    Raises
    ------
    ValueError
        If the problem's times have no meaning, or `fused` is True and the kernel cannot be used.
    """
    problem.check_values()
    mesh = grid.mesh(problem)
    kernel = _kernel(problem, mesh, tableau, adjoint, fused)
    dense = None
    if kernel is not None:
        ys = _solve_fused(problem, mesh, tableau, kernel, keep_stages=adjoint is Adjoint.DIRECT)
    elif needs_gradient(problem, parameters):
        ys = solve_on_mesh(problem, mesh, tableau, adjoint, parameters)
    else:
        dense = integrate(problem.vector_field, problem.y0, mesh, tableau)
        ys = dense.evaluate(problem.query_times)
    return Solution(
        *_checked(problem, ys),
        _counters(problem, tableau, len(mesh.times) - 1),
        _estimate(problem, tableau, grid, mesh, kernel, dense) if error_estimate else None,
    )


def _kernel(
    problem: InitialValueProblem,
    mesh: Mesh,
    tableau: ButcherTableau,
    adjoint: Adjoint,
    fused: bool | None,
) -> Kernel | None:
    """Return the compiled kernel where it is to be used."""
    if fused is False:
        return None
    exact = adjoint in (Adjoint.DIRECT, Adjoint.CHECKPOINT)
    applies = exact and mesh.uniform and kernel_applies(problem, tableau)
    kernel = load_kernel() if applies else None
    if kernel is None and fused:
        reason = (
            "is not built: `python -m model.ode.kernel` builds it"
            if applies
            else "needs an `MLPField` in float32 on the CPU, equal steps, no jumps and an exact adjoint"
        )
        raise ValueError(f"`fused` is True, but the kernel {reason}")
    return kernel


def _solve_fused(
    problem: InitialValueProblem,
    mesh: Mesh,
    tableau: ButcherTableau,
    kernel: Kernel,
    *,
    keep_stages: bool = False,
) -> Float[Tensor, "sample query state"]:
    num_steps = len(mesh.times) - 1
    step = (mesh.times[-1] - mesh.times[0]) / num_steps
    field, times = problem.vector_field, problem.query_times
    assert isinstance(field, MLPField)
    start = (field, problem.y0, problem.t0, step, num_steps)
    return solve_fused(*start, times, tableau, kernel, keep_stages=keep_stages).ys


def _checked(problem: InitialValueProblem, ys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ys, NaN from the first time on at which a sample is not finite, status, last times."""
    # 0 * y is NaN where y is not finite; a reduction of numbers is far quicker than one of flags.
    broken = (ys.detach() * 0).sum(-1) != 0
    status = torch.zeros_like(problem.t0, dtype=torch.int64)
    if ys.device.type == "cpu" and not bool(broken.any()):
        return ys, status, problem.end_times
    sign = problem.direction.unsqueeze(1)
    clock = sign * problem.query_times.detach()
    never = clock.new_full((len(clock), 1), torch.inf)
    first_bad = torch.cat([torch.where(broken, clock, torch.inf), never], 1).amin(1, keepdim=True)
    start = sign * problem.t0.detach().unsqueeze(1)
    reached = torch.cat([start, torch.where(clock < first_bad, clock, start)], 1).amax(1)
    failed = broken.any(1)
    ys = torch.where((clock >= first_bad).unsqueeze(-1), torch.nan, ys)
    status = torch.where(failed, int(Status.NOT_FINITE), status)
    last_times = torch.where(failed, sign.squeeze(1) * reached, problem.end_times)
    return ys, status, last_times


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
    kernel: Kernel | None,
    dense: PiecewisePolynomial | None,
) -> Float[Tensor, " sample"] | None:
    """Return each sample's largest difference from the coarse solution, as an error of the fine."""
    halved = grid.halved(mesh)
    if halved is None:
        return None
    coarse_grid, ratio = halved
    coarse_mesh = coarse_grid.mesh(problem)
    compared = replace(
        problem, query_times=torch.cat([problem.query_times, coarse_mesh.times.T], dim=1)
    )

    def states(on: Mesh, known: PiecewisePolynomial | None) -> Tensor:
        if kernel is not None:
            return _solve_fused(compared, on, tableau, kernel)
        known = known or integrate(problem.vector_field, problem.y0, on, tableau)
        return known.evaluate(compared.query_times)

    largest = (states(mesh, dense) - states(coarse_mesh, None)).abs().flatten(1).amax(1)
    return largest / (ratio**tableau.dense_order - 1)
