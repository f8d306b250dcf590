"""The derivative of a vector field by its state, one d x d matrix for each sample."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from model.ode.problem import VectorField, restrict


@runtime_checkable
class DifferentiatedField(Protocol):
    """A vector field that knows its Jacobian in closed form."""

    def jac(
        self, t: Float[Tensor, " sample"], y: Float[Tensor, "sample state"]
    ) -> Float[Tensor, "sample state state"]:
        """Return d f_i / d y_j at [sample, i, j]."""
        ...


def batched_jacobian(
    vector_field: VectorField,
    samples: Int64[Tensor, " sample"],
    t: Float[Tensor, " sample"],
    y: Float[Tensor, "sample state"],
) -> Float[Tensor, "sample state state"]:
    """Return d f_i / d y_j at [sample, i, j] of some samples: their `jac`, else one reverse pass.

    The reverse pass is over d copies of the samples, copy i with the cotangent e_i. It needs
    nothing of the field but that samples are independent. The result carries no gradient.
    """
    own = restrict(vector_field, samples)
    if isinstance(own, DifferentiatedField):
        return own.jac(t, y).detach()
    num_samples, width = y.shape
    with torch.inference_mode(False), torch.enable_grad():
        copies = y.detach().repeat(width, 1).requires_grad_()
        field = restrict(vector_field, samples.repeat(width))
        derivatives = field(t.detach().repeat(width), copies)
        if not derivatives.requires_grad:
            return y.new_zeros(num_samples, width, width)
        cotangents = torch.eye(width, dtype=y.dtype, device=y.device)
        gradient: Tensor | None
        (gradient,) = torch.autograd.grad(
            derivatives,
            copies,
            cotangents.repeat_interleave(num_samples, 0),
            allow_unused=True,
        )
    if gradient is None:
        return y.new_zeros(num_samples, width, width)
    return gradient.view(width, num_samples, width).transpose(0, 1)
