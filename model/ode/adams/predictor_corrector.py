"""One step of Adams-Bashforth-Moulton in PECE mode, each sample with its own order and history.

Order q: Adams-Bashforth through the last q - 1 derivatives predicts, the vector field is
evaluated, Adams-Moulton through these and the new derivative corrects, and the field is evaluated
again. The corrected value is carried on (local extrapolation), so q is the order of convergence;
the error estimate belongs to order q - 1. Shampine and Gordon (1975), chapters 5 and 6.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from model.ode.adams.active import History
from model.ode.adams.coefficients import basis_integrals


@dataclass(frozen=True)
class Prediction:
    """The predicted state, and what the corrector needs of the history.

    Parameters
    ----------
    last
        Row order - 1 of each sample in a flat table [row sample]; orders are at least 2.
    weights
        Integrals over the step of Newton's basis, scaled to 1 at its end.
    extrapolations
        Row j - 1: the value at the step's end of the polynomial through the last j derivatives.
    """

    y: Float[Tensor, "sample state"]
    last: Int64[Tensor, " sample"]
    weights: Float[Tensor, "row_plus_1 sample"]
    extrapolations: Float[Tensor, "row sample state"]

    @staticmethod
    def make(
        y: Float[Tensor, "sample state"],
        history: History,
        t1: Float[Tensor, " sample"],
        order: Int64[Tensor, " sample"],
    ) -> "Prediction":
        """Predict the state at t1."""
        num_rows = int(order.max())
        step = t1 - history.knots[0]
        places = (history.knots[:num_rows] - history.knots[0]) / step
        weights = (step * basis_integrals(places, torch.ones_like(step))).to(y.dtype)
        growth = torch.cat([torch.ones_like(places[:1]), (1 - places[:-1]) / -places[1:]])
        growth = growth.cumprod(0).to(y.dtype).unsqueeze(-1)
        terms = growth * history.differences[:num_rows]
        row = torch.arange(num_rows, device=order.device).unsqueeze(1)
        used = weights[:-1].masked_fill(row >= order - 1, 0).unsqueeze(-1)
        last = (order - 1) * len(order) + torch.arange(len(order), device=order.device)
        return Prediction(y + (used * terms).sum(0), last, weights, terms.cumsum(0))

    def correct(self, derivative: Float[Tensor, "sample state"]) -> Float[Tensor, "sample state"]:
        """Return the corrected state, given the derivative at the predicted one."""
        rows = self.last - len(self.last)
        difference = derivative - self.extrapolations.flatten(0, 1).index_select(0, rows)
        return torch.addcmul(self.y, self.new_weight(), difference)

    def new_weight(self) -> Float[Tensor, "sample 1"]:
        """Return the weight of the new derivative."""
        return self.weights.view(-1, 1).index_select(0, self.last)

    def errors(
        self,
        derivative: Float[Tensor, "sample state"],
        corrected: Float[Tensor, "sample state"],
        allowed: Float[Tensor, "sample state"],
    ) -> Float[Tensor, "3 sample"]:
        """Return what the order below, this one and the one above would have missed.

        The error of an order is its result minus that of the order below; given are the derivatives
        at the predicted and at the corrected state.
        """
        lags = torch.arange(2, -1, -1, device=self.last.device).unsqueeze(1) * len(self.last)
        rows = (self.last - lags).clamp(min=0)
        extrapolations = self.extrapolations.flatten(0, 1)[rows]
        found = torch.stack([derivative, derivative, corrected])
        parts = self.weights.diff(dim=0).abs().flatten()[rows]
        ratio = (found - extrapolations) / allowed
        return parts * torch.linalg.vector_norm(ratio, dim=-1) / max(1, ratio.shape[-1]) ** 0.5
