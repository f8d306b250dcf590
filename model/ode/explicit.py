"""From a problem and a mesh to the states at the query times, with the chosen gradient."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from model.ode.checkpoint import checkpointed_walk
from model.ode.continuous_adjoint import ForwardSolution, attach_adjoint
from model.ode.differentiation import Adjoint, needs_gradient, require_known_parameters
from model.ode.mesh import Mesh
from model.ode.problem import InitialValueProblem
from model.ode.runge_kutta import evaluate, integrate, walk
from model.ode.tableau import ButcherTableau


def solve_on_mesh(
    problem: InitialValueProblem,
    mesh: Mesh,
    tableau: ButcherTableau,
    adjoint: Adjoint,
    parameters: tuple[Tensor, ...],
) -> Float[Tensor, "sample query state"]:
    """Step along the mesh; gradients of the states at the query times are made as `adjoint` says."""
    field, wanted = problem.vector_field, needs_gradient(problem, parameters)
    if wanted and adjoint is Adjoint.CHECKPOINT:
        return checkpointed_walk(field, problem.y0, mesh, problem.query_times, tableau)
    if not wanted or adjoint is Adjoint.DIRECT:
        return integrate(field, problem.y0, mesh, tableau).evaluate(problem.query_times)
    require_known_parameters(problem, parameters, adjoint)
    with torch.no_grad():
        start = (problem.y0, evaluate(field, problem.t0, problem.y0))
        # Samples that are done stay in the batch, so that every knot has every sample.
        found = walk(field, start, replace(mesh, num_steps=None), tableau)
        ys = found.solution.evaluate(problem.query_times)
    forward = ForwardSolution(mesh, torch.stack(found.states), torch.stack(found.derivatives), ys)
    return attach_adjoint(problem, forward, tableau=tableau, parameters=parameters, adjoint=adjoint)
