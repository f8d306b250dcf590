"""Adams-Bashforth-Moulton methods of variable order and variable step (PECE).

Two evaluations of the vector field per step at any order: the method for expensive fields and tight
tolerances. Every coefficient is computed from the actual steps of the sample, so a method of order
q converges with order q on irregular grids too. Not for stiff problems.
"""

from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from model.ode.adams.search import AdamsSearch, SearchResult
from model.ode.adams.walk import walk_adams
from model.ode.continuous_adjoint import ForwardSolution, attach_adjoint
from model.ode.differentiation import Adjoint, needs_gradient, require_known_parameters
from model.ode.mesh import Mesh
from model.ode.problem import InitialValueProblem, Jumps, restrict
from model.ode.solution import Solution, Status
from model.ode.step_size import Tolerance
from model.ode.tableau import DOPRI5


def solve_adams(
    problem: InitialValueProblem,
    *,
    tolerance: Tolerance,
    max_steps: int,
    first_step: float | None = None,
    adjoint: Adjoint,
    parameters: tuple[Tensor, ...],
) -> Solution:
    """Solve with steps and orders (2 to 12) that each sample chooses for itself.

    `direct` and `checkpoint` take the accepted steps a second time under autograd: the gradient
    with respect to y0, t0, query times, jumps and everything in the vector field is exactly that of
    the discrete solution, with step sizes and orders held constant. The other adjoints solve the
    adjoint equation by `dopri5` on the accepted steps.

    Parameters
    ----------
    max_steps
        Accepted and rejected ones together, for each sample; jumps do not count.

    Raises
    ------
    ValueError
        If a time of the problem has no meaning.

    Notes
    -----
    `statistics` are those of the search: two evaluations for a step, accepted or not, and two for
    the start and for each jump (one if `first_step` is given). A jump is an accepted step.
    """
    problem.check_values()
    precision, problem = problem.t0.dtype, _timed_precisely(problem)
    wanted = needs_gradient(problem, parameters)
    found = AdamsSearch(
        problem, tolerance=tolerance, max_steps=max_steps, first_step=first_step
    ).run()
    last, sign = found.last_times.unsqueeze(1), problem.direction.unsqueeze(1)
    failed = (found.status != int(Status.SUCCESS)).unsqueeze(1)
    lost = failed & (sign * (problem.query_times.detach() - last) > 0)
    # What is read there is replaced below.
    start = problem.t0.detach().unsqueeze(1)
    within = replace(problem, query_times=torch.where(lost, start, problem.query_times))
    if not wanted:
        ys = _read(found, within.query_times)
    elif adjoint in (Adjoint.DIRECT, Adjoint.CHECKPOINT):
        ys = _walk(within, found, keep_graph=adjoint is Adjoint.DIRECT)
    else:
        require_known_parameters(problem, parameters, adjoint)
        dense = found.dense
        forward = ForwardSolution(
            found.mesh, dense.states, dense.derivatives, _read(found, within.query_times.detach())
        )
        ys = attach_adjoint(within, forward, tableau=DOPRI5, parameters=parameters, adjoint=adjoint)
    ys = torch.where(lost.unsqueeze(-1), torch.nan, ys)
    return Solution(ys, found.status, found.last_times.to(precision), found.statistics)


def _timed_precisely(problem: InitialValueProblem) -> InitialValueProblem:
    """Return the problem with times in double precision: high orders amplify their rounding."""
    jumps = problem.jumps
    return replace(
        problem,
        t0=problem.t0.double(),
        query_times=problem.query_times.double(),
        jumps=None if jumps is None else Jumps(jumps.times.double(), jumps.amounts),
    )


def _read(
    found: SearchResult, query_times: Float[Tensor, "sample query"]
) -> Float[Tensor, "sample query state"]:
    """Return the solution that the search has found."""
    num_samples, num_queries = query_times.shape
    samples = torch.arange(num_samples, device=query_times.device).repeat_interleave(num_queries)
    knots = found.mesh.locate(query_times).flatten()
    ys = found.dense.evaluate_at(query_times.flatten(), samples, knots)
    return ys.view(num_samples, num_queries, ys.shape[-1])


def _walk(
    problem: InitialValueProblem, found: SearchResult, *, keep_graph: bool
) -> Float[Tensor, "sample query state"]:
    """Take the steps again; the field of a sample that failed at once must not be differentiated."""
    times = problem.query_times
    mesh, orders = _needed_part(found, times)
    assert mesh.num_steps is not None
    rows = ((mesh.num_steps > 0) | (found.status == int(Status.SUCCESS))).nonzero().squeeze(1)
    if len(rows) == len(times):
        return walk_adams(problem, mesh, orders, times, keep_graph=keep_graph)
    part = InitialValueProblem(
        restrict(problem.vector_field, rows), problem.y0[rows], problem.t0[rows], times[rows]
    )
    jumps = None if mesh.jumps is None else mesh.jumps[:, rows]
    some = Mesh(mesh.times[:, rows], jumps, mesh.num_steps[rows])
    ys = walk_adams(part, some, orders[:, rows], times[rows], keep_graph=keep_graph)
    still = problem.y0.unsqueeze(1).expand(-1, times.shape[1], -1)
    return still.index_copy(0, rows, ys)


def _needed_part(
    found: SearchResult, query_times: Float[Tensor, "sample query"]
) -> tuple[Mesh, Int64[Tensor, "knot sample"]]:
    """Return mesh and orders without the steps of failed samples beyond their last good query.

    Close to where a solution ceases to exist, the same steps taken again need not be finite.
    """
    mesh, orders = found.mesh, found.dense.orders
    failed = found.status != int(Status.SUCCESS)
    if mesh.num_steps is None or not query_times.shape[1] or not bool(failed.any()):
        return mesh, orders
    reached = torch.minimum(mesh.num_steps, mesh.locate(query_times).amax(1) + 1)
    num_steps = torch.where(failed, reached, mesh.num_steps)
    knot = torch.arange(len(mesh.times), device=orders.device).unsqueeze(1)
    times = mesh.times.gather(0, torch.minimum(knot, num_steps))
    gone = knot >= num_steps
    jumps = None if mesh.jumps is None else mesh.jumps.masked_fill(gone[:-1].unsqueeze(-1), 0)
    return Mesh(times, jumps, num_steps), orders.masked_fill(gone, 0)
