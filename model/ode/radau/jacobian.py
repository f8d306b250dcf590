"""The derivative of a vector field by its state, one d x d matrix for each sample."""

from typing import Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from model.ode.problem import PerSampleVectorField, VectorField, restrict
from model.ode.runge_kutta import evaluate


@runtime_checkable
class DifferentiatedField(Protocol):
    """A vector field that knows its Jacobian in closed form."""

    def jac(
        self, t: Float[Tensor, " sample"], y: Float[Tensor, "sample state"]
    ) -> Float[Tensor, "sample state state"]:
        """Return d f_i / d y_j at [sample, i, j]."""
        ...


class Jacobian:
    """Of a vector field: its own `jac`, else by autograd.

    Then it is one reverse pass over d copies of the rows, copy i with the cotangent e_i: it needs
    nothing of the field but that samples are independent.
    """

    def __init__(self, vector_field: VectorField) -> None:
        self._field = vector_field
        self._is_closed = isinstance(vector_field, DifferentiatedField)
        self._is_per_sample = isinstance(vector_field, PerSampleVectorField)

    def evaluate(
        self,
        samples: Int64[Tensor, " row"],
        t: Float[Tensor, " row"],
        y: Float[Tensor, "row state"],
    ) -> Float[Tensor, "row state state"]:
        """Return d f_i / d y_j at [row, i, j], without gradient."""
        if self._is_closed:
            own = restrict(self._field, samples) if self._is_per_sample else self._field
            return cast(DifferentiatedField, own).jac(t.to(y.dtype), y).detach()
        num_rows, width = y.shape
        with torch.inference_mode(False), torch.enable_grad():
            copies = y.detach().repeat(width, 1).requires_grad_()
            field = self._field
            if self._is_per_sample:
                field = restrict(field, samples.repeat(width))
            derivatives = evaluate(field, t.detach().repeat(width), copies)
            gradient: Tensor | None = None
            if derivatives.requires_grad:
                cotangents = torch.eye(width, dtype=y.dtype, device=y.device).unsqueeze(1)
                cotangents = cotangents.expand(width, num_rows, width).reshape(-1, width)
                (gradient,) = torch.autograd.grad(
                    derivatives, copies, cotangents, allow_unused=True
                )
        if gradient is None:
            return y.new_zeros(num_rows, width, width)
        return gradient.view(width, num_rows, width).transpose(0, 1)
