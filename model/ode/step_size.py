"""How large a step may be: tolerances, the error norm, the first step and the PI controller.

Everything is per sample. Hairer, Norsett, Wanner, Solving ODEs I, section II.4; Gustafsson 1991,
ACM TOMS 17, for the PI controller.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class Tolerance:
    """The error allowed in one step: atol + rtol * |y|.

    A number for all, or a tensor that broadcasts to [sample state].

    Raises
    ------
    ValueError
        If one is negative or NaN, or both are zero.
    """

    rtol: float | Tensor
    atol: float | Tensor

    def __post_init__(self) -> None:
        rtol, atol = torch.as_tensor(self.rtol), torch.as_tensor(self.atol)
        if not bool(((rtol >= 0) & (atol >= 0) & (rtol + atol > 0)).all()):
            raise ValueError("`rtol` and `atol` must not be negative, and not both zero")

    def for_samples(self, samples: Int64[Tensor, " row"]) -> "Tolerance":
        """Return the tolerance of some samples of the batch."""
        return Tolerance(_select(self.rtol, samples), _select(self.atol, samples))

    def norm(
        self, error: Float[Tensor, "sample state"], scale: Float[Tensor, "sample state"]
    ) -> Float[Tensor, " sample"]:
        """Return each sample's root mean square of error / (atol + rtol * |scale|)."""
        if not error.shape[1]:
            return error.new_zeros(len(error))
        ratio = error / (self.atol + self.rtol * scale.abs())
        return ratio.square().mean(dim=1).sqrt()


def _select(value: float | Tensor, samples: Tensor) -> float | Tensor:
    if isinstance(value, float | int) or value.ndim < 2 or value.shape[0] == 1:
        return value
    return value[samples]


@dataclass(frozen=True)
class StepSizeController:
    """The next step from this step's error norm and the one before (proportional-integral)."""

    order: int
    safety: float = 0.9
    min_factor: float = 0.2
    max_factor: float = 10.0
    proportional: float = 0.7
    integral: float = 0.4

    def factor(
        self, error: Float[Tensor, " sample"], previous_error: Float[Tensor, " sample"]
    ) -> Float[Tensor, " sample"]:
        """Return by what to multiply the step. An error that is not finite gives the smallest."""
        error = torch.where(error.isfinite(), error, torch.inf).clamp(min=1e-10)
        memory = previous_error.clamp(min=1e-4)
        wanted = error ** (-self.proportional / self.order) * memory ** (self.integral / self.order)
        return (self.safety * wanted).clamp(self.min_factor, self.max_factor)
