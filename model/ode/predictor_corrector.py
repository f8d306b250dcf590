"""One step of Adams-Bashforth-Moulton in PECE mode, each sample with its own order and history.

Order q: Adams-Bashforth through the last q - 1 derivatives predicts, the vector field is
evaluated, Adams-Moulton through these and the new derivative corrects, and the field is evaluated
again. The corrected value is carried on (local extrapolation), so q is the order of convergence;
the error estimate belongs to order q - 1. Order 1 predicts y itself.
Shampine and Gordon (1975), chapters 5 and 6.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from model.ode.divided_differences import (
    History,
    extrapolate,
    integrate_newton_basis,
    newton_basis,
)
from model.ode.sample_table import AbstractSampleTable


@dataclass(frozen=True)
class Prediction(AbstractSampleTable):
    """The predicted state, and what the corrector needs of the history."""

    y: Float[Tensor, "sample state"]
    # Integral over the step of Newton's basis, scaled to 1 at its end.
    weights: Float[Tensor, "sample row"]
    extrapolations: Float[Tensor, "sample row state"]


def predict(
    y: Float[Tensor, "sample state"],
    history: History,
    step: Float[Tensor, " sample"],
    order: Int[Tensor, " sample"],
) -> Prediction:
    """Return the prediction at t_n + step; step sizes and orders are constants to autograd."""
    basis = newton_basis(step.unsqueeze(-1), history.steps).squeeze(-1)
    integrals = integrate_newton_basis(torch.zeros_like(step), step, history.steps)
    row = torch.arange(basis.shape[1], device=basis.device)
    # The rows beyond the order may be stale: they are masked, not trusted to be small.
    used = torch.where(row < order.unsqueeze(-1) - 1, integrals, 0.0).to(y.dtype)
    known = torch.where(row < order.unsqueeze(-1), basis, 0.0).to(y.dtype)
    return Prediction(
        y=y + (used.unsqueeze(-1) * history.differences).sum(1),
        weights=(integrals / basis).to(y.dtype),
        extrapolations=extrapolate(history, known),
    )


def correct(
    prediction: Prediction,
    derivative: Float[Tensor, "sample state"],
    order: Int[Tensor, " sample"],
) -> Float[Tensor, "sample state"]:
    """Return the corrected state, given the derivative at the predicted one."""
    difference = derivative - take_row(prediction.extrapolations, order - 1)
    return prediction.y + take_row(prediction.weights, order - 1).unsqueeze(-1) * difference


def defect(
    prediction: Prediction,
    derivative: Float[Tensor, "sample state"],
    corrected_derivative: Float[Tensor, "sample state"],
    order: Int[Tensor, " sample"],
) -> Float[Tensor, "sample state"]:
    """Return by how much one more correction would miss the corrected state."""
    weight = take_row(prediction.weights, order - 1).unsqueeze(-1)
    return weight * (derivative - corrected_derivative)


def local_error(
    prediction: Prediction,
    differences: Float[Tensor, "sample row state"],
    order: Int[Tensor, " sample"],
) -> Float[Tensor, "sample state"]:
    """Return the result of order `order` minus that of the order below (order >= 2)."""
    weight = take_row(prediction.weights, order - 1) - take_row(prediction.weights, order - 2)
    return weight.unsqueeze(-1) * take_row(differences, order - 1)


def take_row(table: Tensor, row: Int[Tensor, " sample"]) -> Tensor:
    """Return row `row[i]` of sample i; rows before the first are the first."""
    index = row.clamp(0, table.shape[1] - 1).reshape(-1, 1, *(1 for _ in table.shape[2:]))
    return table.gather(1, index.expand(-1, 1, *table.shape[2:])).squeeze(1)
