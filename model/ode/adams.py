"""Adams-Bashforth-Moulton methods of variable order and variable step (PECE).

Two evaluations of the vector field per step at any order: the method for expensive fields and tight
tolerances. Every coefficient is computed from the actual steps of the sample, so a method of order
q converges with order q on irregular grids too. Not for stiff problems.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from model.ode.adams_mesh import AdamsMesh
from model.ode.adams_replay import replay_adams
from model.ode.adams_search import AdamsSearch
from model.ode.order_selection import MIN_ORDER
from model.ode.problem import InitialValueProblem
from model.ode.solution import Solution, Statistics
from model.ode.step_size import Tolerance

MAX_ORDER = 12
# Beyond this, rounding in the graded start of a solve on given knots outweighs the order.
MAX_ORDER_ON_KNOTS = 8


def solve_adams(
    problem: InitialValueProblem,
    *,
    rtol: float | Tensor,
    atol: float | Tensor,
    max_steps: int = 10_000,
    max_order: int = MAX_ORDER,
) -> Solution:
    """Solve with steps and orders that each sample chooses for itself.

    With gradients enabled, the accepted steps are taken a second time under autograd: the gradient
    with respect to y0, query times, jumps and everything in the vector field is exactly that of
    the discrete solution, with step sizes and orders held constant. Under `torch.no_grad()` there
    is no second time.

    Parameters
    ----------
    rtol, atol
        The error allowed in a step is atol + rtol * |y|, as a root mean square over the state; a
        number, or a tensor that broadcasts to [sample state].
    max_steps
        Accepted and rejected ones together, for each sample.
    max_order
        2 to 12, the order of the corrector. A solution starts with order 2, which needs no past.

    Raises
    ------
    ValueError
        If a tolerance, `max_order` or a time of the problem is out of range.

    Notes
    -----
    `statistics` are those of the search: two evaluations for an accepted step, one for a rejected
    one (two where the corrected state has no finite derivative), two for a start.
    """
    _check_tolerances(rtol, atol)
    _check_order("max_order", max_order, MIN_ORDER, MAX_ORDER)
    problem.check_values()
    if not problem.query_times.numel():
        return _solution_of_nothing(problem)
    result = AdamsSearch(
        problem, tolerance=Tolerance(rtol, atol), max_steps=max_steps, max_order=max_order
    ).run()
    segments = result.segments
    if torch.is_grad_enabled():
        segments = replay_adams(problem, AdamsMesh.of(segments, problem.num_samples))
    ys = segments.evaluate(problem.query_times, problem.direction)
    return Solution(ys, result.status, result.last_times, result.statistics)


def solve_adams_on_knots(
    problem: InitialValueProblem, knots: Float[Tensor, "knot sample"], *, order: int
) -> Solution:
    """Solve with a given order (1 to 8) on given knots, however irregular they are.

    `knots[0]` is t0 and `knots[-1]` the farthest query time; the first interval is divided further
    where the order needs it (see `AdamsMesh.from_knots`).

    Raises
    ------
    ValueError
        If the knots do not lead from t0 to the end, or the problem has jumps.
    """
    _check_order("order", order, 1, MAX_ORDER_ON_KNOTS)
    problem.check_values()
    if problem.jumps is not None:
        raise ValueError("a solve on given knots has no jumps; use `solve_adams`")
    _check_knots(problem, knots)
    if not problem.query_times.numel():
        return _solution_of_nothing(problem)
    mesh = AdamsMesh.from_knots(knots.detach(), order=order)
    ys = replay_adams(problem, mesh).evaluate(problem.query_times, problem.direction)
    status = torch.zeros_like(mesh.counts)
    return Solution(ys, status, knots[-1].detach(), _fixed_cost(mesh.counts - 1))


def _fixed_cost(num_steps: Int64[Tensor, " sample"]) -> Statistics:
    zero = torch.zeros_like(num_steps)
    return Statistics(2 * num_steps + 1, num_steps, zero, zero.clone(), zero.clone())


def _solution_of_nothing(problem: InitialValueProblem) -> Solution:
    ys = problem.y0.new_empty(*problem.query_times.shape, problem.y0.shape[1])
    status = torch.zeros_like(problem.t0, dtype=torch.int64)
    statistics = Statistics.zeros(problem.num_samples, problem.y0.device)
    return Solution(ys, status, problem.t0.detach(), statistics)


def _check_tolerances(rtol: float | Tensor, atol: float | Tensor) -> None:
    relative, absolute = torch.as_tensor(rtol), torch.as_tensor(atol)
    valid = (relative >= 0).all() & (absolute >= 0).all() & (relative + absolute > 0).all()
    if not bool(valid):
        raise ValueError(f"`rtol` and `atol` must be >= 0 and not both 0, found {rtol}, {atol}")


def _check_order(name: str, order: int, lowest: int, highest: int) -> None:
    if not lowest <= order <= highest:
        raise ValueError(f"`{name}` must be from {lowest} to {highest}, found {order}")


def _check_knots(problem: InitialValueProblem, knots: Float[Tensor, "knot sample"]) -> None:
    if knots.shape[1:] != problem.t0.shape or len(knots) < 2:
        wanted = f"[2 or more, {problem.num_samples}]"
        raise ValueError(f"`knots` must have shape {wanted}, found {list(knots.shape)}")
    if bool((knots.diff(dim=0) * problem.direction <= 0).any()):
        raise ValueError("`knots` must run strictly from t0 toward the query times")
    reach = (problem.end_times - knots[-1]) * problem.direction
    if bool((knots[0] != problem.t0).any() or (reach > 0).any()):
        raise ValueError("`knots` must begin at t0 and reach the farthest query time")
