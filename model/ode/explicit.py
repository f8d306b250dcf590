"""From a problem and a mesh to the states at the query times, with the chosen gradient."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from model.ode.adaptive import AdaptiveSearch
from model.ode.checkpoint import checkpointed_walk
from model.ode.continuous_adjoint import adjoint_solve
from model.ode.differentiation import (
    Adjoint,
    field_parameters,
    needs_gradient,
    require_known_parameters,
)
from model.ode.interpolation import PiecewisePolynomial
from model.ode.mesh import Mesh
from model.ode.problem import InitialValueProblem
from model.ode.runge_kutta import evaluate, walk
from model.ode.solution import Solution, Status
from model.ode.step_size import Tolerance
from model.ode.tableau import ButcherTableau


@dataclass(frozen=True)
class MeshSolution:
    """The states asked for, and the dense solution where the way of the gradient leaves one."""

    ys: Float[Tensor, "sample query state"]
    polynomial: PiecewisePolynomial | None


def solve_on_mesh(
    problem: InitialValueProblem,
    mesh: Mesh,
    tableau: ButcherTableau,
    adjoint: Adjoint,
    parameters: Iterable[Tensor] | None,
) -> MeshSolution:
    """Step along the mesh; gradients of the result are made as `adjoint` says."""
    known = field_parameters(problem.vector_field, parameters)
    if adjoint is Adjoint.DIRECT or not needs_gradient(problem, known):
        f0 = evaluate(problem.vector_field, problem.t0, problem.y0)
        found = walk(problem.vector_field, (problem.y0, f0), mesh, tableau).solution
        return MeshSolution(found.evaluate(problem.query_times), found)
    require_known_parameters(problem, known, adjoint)
    if adjoint is Adjoint.CHECKPOINT:
        ys = checkpointed_walk(
            problem.vector_field, problem.y0, mesh, problem.query_times, tableau, known
        )
    else:
        ys = adjoint_solve(problem, mesh, tableau, known, adjoint)
    return MeshSolution(ys, None)


def solve_adaptive(
    problem: InitialValueProblem,
    *,
    tableau: ButcherTableau,
    tolerance: Tolerance,
    max_steps: int = 10_000,
    first_step: float | None = None,
    adjoint: Adjoint = Adjoint.DIRECT,
    parameters: Iterable[Tensor] | None = None,
) -> Solution:
    """Solve every sample with steps of its own, as large as the tolerance allows.

    Parameters
    ----------
    max_steps
        For each sample, rejected steps included.

    Raises
    ------
    ValueError
        If the problem's times have no meaning, or the method has no error estimate.
    """
    problem.check_values()
    known = field_parameters(problem.vector_field, parameters)
    wanted = needs_gradient(problem, known)
    search = AdaptiveSearch(
        problem,
        tableau,
        tolerance,
        max_steps=max_steps,
        first_step=first_step,
        dense=not wanted,
    )
    found = search.run()
    failed = found.status != int(Status.SUCCESS)
    # Beyond a failed sample's last time there is no mesh; what is read there is replaced below.
    sign = problem.direction.unsqueeze(1)
    lost = sign * (problem.query_times.detach() - found.last_times.unsqueeze(1)) > 0
    lost &= failed.unsqueeze(1)
    reachable = torch.where(lost, found.last_times.unsqueeze(1), problem.query_times)
    if found.solution is not None:
        ys = found.solution.evaluate(reachable)
    else:
        within = replace(problem, query_times=reachable)
        ys = solve_on_mesh(within, found.mesh, tableau, adjoint, parameters).ys
    ys = torch.where(lost.unsqueeze(-1), torch.nan, ys)
    return Solution(ys, found.status, found.last_times, found.statistics)

