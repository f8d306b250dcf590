"""Radau IIA of order 5, for stiff problems: batched, with a step size and factors for each sample.

Hairer, Wanner, Solving ODEs II (1996), section IV.8 (their code RADAU5). The method is L-stable; it
solves what explicit methods cannot, at the price of Jacobians and of factoring matrices.
"""

import torch
from torch import Tensor

from model.ode.differentiation import Adjoint, needs_gradient
from model.ode.problem import InitialValueProblem
from model.ode.radau.implicit_gradient import attach_gradient
from model.ode.radau.path import RadauPath
from model.ode.radau.rows import COUNTERS
from model.ode.radau.search import RadauSearch
from model.ode.runge_kutta import evaluate
from model.ode.solution import Solution, Statistics, Status
from model.ode.step_size import Tolerance


def solve_radau(
    problem: InitialValueProblem,
    *,
    tolerance: Tolerance,
    max_steps: int = 10_000,
    first_step: float | None = None,
    step_size: float | None = None,
    adjoint: Adjoint = Adjoint.DIRECT,
) -> Solution:
    """Solve with steps that each sample chooses for itself.

    The field is called with any number of rows, each some sample at some time. Its Jacobian is
    `vector_field.jac(t, y)` [sample state state] where there is such a method, else by autograd.

    With gradients enabled the solution is differentiable (once) with respect to y0, t0, query
    times, jumps and everything in the field: by the implicit function theorem on the accepted
    steps, whose sizes are constant, so exact up to what the Newton iteration left.

    Parameters
    ----------
    max_steps
        Accepted and rejected ones together, for each sample.
    first_step
        The size of the first one; by itself where it is None.
    step_size
        For studies: steps of this size whatever the error; the tolerance then only bounds what
        the Newton iteration leaves. A step is cut at jumps, and halved where that does not converge.
    adjoint
        `direct` and `checkpoint` are the same: the steps and their stages are kept.

    Raises
    ------
    ValueError
        If a tolerance, a step size or a time of the problem is out of range, or `adjoint` would
        solve the adjoint equation.

    Notes
    -----
    `statistics` are those of the search. A Jacobian by autograd is not counted among the function
    evaluations; a Newton iteration counts three, one for each stage.
    """
    problem.check_values()
    _check(tolerance, first_step, step_size, adjoint)
    path = RadauSearch(
        problem, tolerance, max_steps=max_steps, first_step=first_step, step_size=step_size
    ).run()
    status, last_times, *counts = (
        torch.from_numpy(path.records[name].copy()).to(problem.y0.device)
        for name in ("status", "t", *COUNTERS)
    )
    ys = _read(problem, path, status != int(Status.SUCCESS), last_times)
    return Solution(ys, status, last_times, Statistics(*counts))


def _read(
    problem: InitialValueProblem, path: RadauPath, failed: Tensor, last_times: Tensor
) -> Tensor:
    """Return the states at the query times; NaN beyond the last time of a sample that failed."""
    with torch.no_grad():
        slopes = evaluate(problem.vector_field, last_times, path.last_states)
        slopes = slopes.nan_to_num(0.0, 0.0, 0.0)
    if needs_gradient(problem, ()):
        path = attach_gradient(problem, path)
    last = last_times.unsqueeze(1)
    ahead = problem.direction.unsqueeze(1) * (problem.query_times.detach() - last)
    lost = failed.unsqueeze(1) & (ahead > 0)
    ys = path.polynomial(slopes).evaluate(torch.where(lost, last, problem.query_times))
    return torch.where(lost.unsqueeze(-1), torch.nan, ys)


def _check(
    tolerance: Tolerance, first_step: float | None, step_size: float | None, adjoint: Adjoint
) -> None:
    for name, value in (("rtol", tolerance.rtol), ("atol", tolerance.atol)):
        if not bool((torch.as_tensor(value) >= 0).all()):
            raise ValueError(f"`{name}` must be >= 0")
    if not bool((torch.as_tensor(tolerance.rtol) + torch.as_tensor(tolerance.atol) > 0).all()):
        raise ValueError("`rtol` and `atol` must not both be 0")
    for name, size in (("first_step", first_step), ("step_size", step_size)):
        if size is not None and not size > 0:
            raise ValueError(f"`{name}` must be positive, found {size}")
    if adjoint is Adjoint.BACKSOLVE:
        msg = (
            "adjoint 'backsolve' would solve a stiff system backward in time, where what decays "
            "grows: use 'checkpoint', which is exact and keeps only the steps"
        )
        raise ValueError(msg)
    if adjoint is Adjoint.INTERPOLATED:
        msg = (
            "adjoint 'interpolated' has no use for 'radau': 'checkpoint' is exact at the same cost "
            "in time and memory"
        )
        raise ValueError(msg)
