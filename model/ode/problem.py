"""What is solved: dy/dt = vector_field(t, y) with y(t0) = y0, for a batch of independent samples."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class VectorField(Protocol):
    """The right-hand side of the equation.

    `t` is each sample's own time; the result has the shape of `y`. A sample's derivative may depend
    on that sample only.
    """

    def __call__(
        self, t: Float[Tensor, " sample"], y: Float[Tensor, "sample state"]
    ) -> Float[Tensor, "sample state"]:
        """Return dy/dt."""
        ...
