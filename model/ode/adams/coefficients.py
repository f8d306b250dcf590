"""The coefficients of an Adams step on uneven knots, and of the polynomial that it integrates.

Time is counted in steps: 0 where the step begins, 1 where it ends; the knots so far lie at the
places s_0 = 0 > s_1 > s_2 ... . Newton's form of the polynomial through the last derivatives, in
the scaling of Shampine and Gordon, Computer Solution of Ordinary Differential Equations (1975),
chapter 5. Nothing assumes that two steps are alike.
"""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor


@cache
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes and weights on [0, 1], exact up to degree 13; our polynomials have at most 12."""
    nodes, weights = np.polynomial.legendre.leggauss(7)
    return (nodes + 1) / 2, weights / 2


def history_depth(order: Int64[Tensor, "..."]) -> int:
    """Return how many past derivatives steps of these orders use; at least one."""
    return max(1, int(order.max()) - 1) if order.numel() else 1


def distinct_places(
    places: Float[Tensor, "knot ..."], order: Int64[Tensor, "..."]
) -> Float[Tensor, "knot ..."]:
    """Return the places with those that the order does not use moved to beyond the others."""
    knot = _rows(len(places), order)
    used = torch.where(knot < order - 1, places, 0)
    return torch.where(knot < order - 1, places, used.amin(0) - knot.to(places))


def basis_integrals(
    places: Float[Tensor, "knot ..."], end: Float[Tensor, "..."]
) -> Float[Tensor, "row ..."]:
    """Return the integrals from 0 to `end` of N_j(x) = prod_{m<j} (x - s_m) / (1 - s_m); N_0 is 1."""
    shape = (-1, *[1] * end.ndim)
    nodes, weights = (torch.as_tensor(half).to(places).view(shape) for half in _quadrature())
    basis = [(end * weights).expand(len(nodes), *end.shape)]
    for factor in 1 - (1 - end * nodes) / (1 - places).unsqueeze(1):
        basis.append(basis[-1] * factor)
    return torch.stack(basis).sum(1)


def predictor_weights(
    integrals: Float[Tensor, "row ..."],
    places: Float[Tensor, "knot ..."],
    order: Int64[Tensor, "..."],
) -> Float[Tensor, "knot ..."]:
    """Return the weights of the last order - 1 derivatives; none for order 1 or less."""
    row = _rows(len(integrals), order)
    used = integrals.masked_fill(row >= order - 1, 0)
    return _from_extrapolations(used[:-1] - used[1:], places)


def corrector_weights(
    integrals: Float[Tensor, "row ..."],
    places: Float[Tensor, "knot ..."],
    order: Int64[Tensor, "..."],
) -> Float[Tensor, "knot ..."]:
    """Return the weights of the last order - 1 derivatives beside the new one.

    The new one, if it is that of the corrected state or the predicted one, has the weight
    `integrals[order - 1]`.
    """
    row = _rows(len(places), order)
    rise = (integrals[:-1] - integrals[1:]).masked_fill(row >= order - 1, 0)
    return _from_extrapolations(rise, places)


def _rows(count: int, order: Tensor) -> Tensor:
    return torch.arange(count, device=order.device).view(-1, *[1] * order.ndim)


def _from_extrapolations(
    factors: Float[Tensor, "knot ..."], places: Float[Tensor, "knot ..."]
) -> Float[Tensor, "knot ..."]:
    """Return the weights of the derivatives in a sum of extrapolations.

    Row j - 1 of the factors is that of the value at 1 of the polynomial through the newest j.
    """
    lagrange, total = torch.ones_like(places), torch.zeros_like(places)
    knot = _rows(len(places), places[0])
    for newest, factor in enumerate(factors):
        apart = torch.where(knot == newest, 1 - places[newest], places - places[newest])
        lagrange = lagrange * ((1 - places[newest]) / apart)
        total = torch.addcmul(total, torch.where(knot <= newest, factor, 0), lagrange)
    return total
