"""Radau IIA of order 5, for stiff problems: batched, with a step size and factors for each sample.

Hairer, Wanner, Solving ODEs II (1996), section IV.8 (their code RADAU5). The method is L-stable; it
solves what explicit methods cannot, at the price of a Jacobian and two d x d factorizations.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from model.ode.implicit_gradient import attach_gradient
from model.ode.problem import InitialValueProblem
from model.ode.radau_active import RadauTolerance
from model.ode.radau_search import RadauSearch
from model.ode.radau_steps import sum_of_first_jumps
from model.ode.solution import Solution, Statistics


def solve_radau(
    problem: InitialValueProblem,
    *,
    rtol: float | Tensor,
    atol: float | Tensor,
    max_steps: int = 10_000,
    step_size: float | None = None,
) -> Solution:
    """Solve with steps that each sample chooses for itself.

    The field is called with any number of rows, each some sample at some time. Its Jacobian is
    `vector_field.jac(t, y)` [sample state state] where there is such a method, else by autograd.

    With gradients enabled the solution is differentiable (once) with respect to y0, t0, query
    times, jumps and everything in the field: by the implicit function theorem on the accepted
    steps, whose sizes are constant, so exact up to what the Newton iteration left.

    Parameters
    ----------
    rtol, atol
        Numbers, or tensors that broadcast to [sample state].
    max_steps
        Accepted and rejected ones together, for each sample.
    step_size
        For studies: steps of this size whatever the error; the tolerances then only bound what
        the Newton iteration leaves. A step is cut at jumps, and halved where that does not converge.

    Raises
    ------
    ValueError
        If a tolerance, `step_size` or a time of the problem is out of range.

    Notes
    -----
    `statistics` are those of the search. A Jacobian by autograd is not counted among the function
    evaluations; a Newton iteration counts three, one for each stage.
    """
    problem.check_values()
    if step_size is not None and not step_size > 0:
        raise ValueError(f"`step_size` must be positive, found {step_size}")
    tolerance = _tolerance(problem, rtol, atol)
    if not problem.num_samples:
        statistics = Statistics.zeros(0, problem.y0.device)
        ys = problem.y0.new_empty(*problem.query_times.shape, problem.y0.shape[1])
        return Solution(ys, statistics.num_jacobians.clone(), problem.t0.detach(), statistics)
    result = RadauSearch(
        problem, tolerance=tolerance, max_steps=max_steps, step_size=step_size
    ).run()
    steps, jumps = result.steps, problem.jumps_in_order()
    if torch.is_grad_enabled():
        steps = attach_gradient(problem, steps)
    sums = None if jumps is None else sum_of_first_jumps(jumps.amounts)
    ys = steps.evaluate(problem.query_times, problem.direction, sums)
    return Solution(ys, result.status, result.last_times, result.statistics)


def _tolerance(
    problem: InitialValueProblem, rtol: float | Tensor, atol: float | Tensor
) -> RadauTolerance:
    """Return the tolerances by sample and component."""
    both: list[Float[Tensor, "sample state"]] = []
    for name, value in (("rtol", rtol), ("atol", atol)):
        tensor = torch.as_tensor(value, dtype=problem.y0.dtype, device=problem.y0.device).detach()
        if not bool((tensor >= 0).all()):
            raise ValueError(f"`{name}` must be >= 0")
        both.append(tensor.expand(problem.y0.shape))
    if not bool((both[0] + both[1] > 0).all()):
        raise ValueError("`rtol` and `atol` must not both be 0")
    epsilon = torch.finfo(problem.y0.dtype).eps
    relative = both[0].clamp(min=100 * epsilon)
    smallest = relative.amin(1) if relative.shape[1] else relative.new_zeros(len(relative))
    rounding = 10 * epsilon / smallest
    newton = torch.maximum(rounding, smallest.sqrt().clamp(max=0.03))
    return RadauTolerance(relative, both[1], newton, rounding)
