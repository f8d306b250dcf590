"""What an adjoint needs: the parameters of a vector field, and vector-Jacobian products."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import torch
from torch import Tensor, nn

from model.ode.problem import InitialValueProblem, VectorField
from model.ode.runge_kutta import evaluate


class Adjoint(StrEnum):
    """How the gradient of a solution is made."""

    DIRECT = "direct"
    """Autograd through every step: exact, memory in proportion to the steps."""
    CHECKPOINT = "checkpoint"
    """Exact as well; stores some states and computes the steps between them again."""
    BACKSOLVE = "backsolve"
    """The adjoint equation together with the state, solved backward: constant memory, not exact."""
    INTERPOLATED = "interpolated"
    """The adjoint equation along the interpolated forward solution: stable, not exact."""


def field_parameters(
    vector_field: VectorField, parameters: Iterable[Tensor] | None
) -> tuple[Tensor, ...]:
    """Return the tensors that take a gradient: those given, else those of the module."""
    if parameters is None:
        parameters = vector_field.parameters() if isinstance(vector_field, nn.Module) else ()
    return tuple(parameter for parameter in parameters if parameter.requires_grad)


def needs_gradient(problem: InitialValueProblem, parameters: Sequence[Tensor]) -> bool:
    """Whether anything that the solution depends on wants a gradient."""
    if not torch.is_grad_enabled():
        return False
    inputs = [problem.y0, problem.t0, problem.query_times, *parameters]
    if problem.jumps is not None:
        inputs += [problem.jumps.times, problem.jumps.amounts]
    if any(tensor.requires_grad for tensor in inputs):
        return True
    return evaluate(problem.vector_field, problem.t0, problem.y0).requires_grad


def require_known_parameters(
    problem: InitialValueProblem, parameters: Sequence[Tensor], adjoint: Adjoint
) -> None:
    """Refuse a field that depends on tensors that the adjoint does not know of.

    Raises
    ------
    ValueError
        Rather than return gradients with parts missing.
    """
    if parameters:
        return
    with torch.enable_grad():
        found = evaluate(problem.vector_field, problem.t0.detach(), problem.y0.detach())
    if found.requires_grad:
        msg = (
            f"adjoint {adjoint.value!r} must know every tensor that the vector field takes a "
            "gradient for: pass `parameters=` (an nn.Module's own are found by themselves)"
        )
        raise ValueError(msg)


def gradients(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    cotangents: Sequence[Tensor],
) -> list[Tensor]:
    """Return the vector-Jacobian product with respect to each input; zeros where it has no part."""
    pairs = [(y, g) for y, g in zip(outputs, cotangents, strict=True) if y.requires_grad]
    if not pairs:
        return [torch.zeros_like(one) for one in inputs]
    found: tuple[Tensor | None, ...] = torch.autograd.grad(
        [y for y, _ in pairs],
        list(inputs),
        [g for _, g in pairs],
        allow_unused=True,
    )
    return [
        torch.zeros_like(one) if gradient is None else gradient
        for one, gradient in zip(inputs, found, strict=True)
    ]
