"""Newton's form of the polynomial through the last derivatives, on each sample's own uneven knots.

Modified divided differences after Shampine and Gordon, Computer Solution of Ordinary Differential
Equations (1975), chapter 5; Hairer, Norsett, Wanner, Solving ODEs I, section III.5. Nothing here
assumes that two steps are alike, and step sizes may be negative: only their ratios enter.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from model.ode.sample_table import AbstractSampleTable

# Gauss-Legendre with 7 nodes integrates polynomials of degree 13 exactly; ours have at most 12.
_NUM_NODES = 7


@dataclass(frozen=True)
class History(AbstractSampleTable):
    """What a multistep method remembers at its newest knot t_n.

    `steps[m]` = t_{n-m} - t_{n-m-1}. With psi_m = t_n - t_{n-m}, `differences[j]` is
    psi_1 ... psi_j f[t_n, ..., t_{n-j}]; row 0 is f(t_n, y_n).
    """

    steps: Float[Tensor, "sample step"]
    differences: Float[Tensor, "sample row state"]

    @classmethod
    def start(
        cls,
        derivative: Float[Tensor, "sample state"],
        *,
        direction: Float[Tensor, " sample"],
        num_rows: int,
    ) -> "History":
        """Return the history of one derivative; the knots before it are placeholders."""
        zeros = torch.zeros_like(derivative).unsqueeze(1).expand(-1, num_rows - 1, -1)
        return cls(
            steps=direction.unsqueeze(-1).repeat(1, num_rows - 1),
            differences=torch.cat([derivative.unsqueeze(1), zeros], 1),
        )

    def advance(
        self,
        step: Float[Tensor, " sample"],
        derivative: Float[Tensor, "sample state"],
        extrapolations: Float[Tensor, "sample row state"],
    ) -> "History":
        """Return the history at t_n + step; `extrapolations` as from `extrapolate`."""
        return History(
            steps=torch.cat([step.unsqueeze(-1), self.steps[:, :-1]], 1),
            differences=derivative.unsqueeze(1) - extrapolations,
        )


def extrapolate(
    history: History, basis: Float[Tensor, "sample row"]
) -> Float[Tensor, "sample row state"]:
    """Return in row j the value of the polynomial through the last j derivatives (row 0: zero).

    `basis` is Newton's basis at the point; a derivative there minus row j is the j-th modified
    divided difference of the history that has the point as its newest knot.
    """
    terms = basis.unsqueeze(-1) * history.differences
    return torch.cat([torch.zeros_like(terms[:, :1]), terms[:, :-1].cumsum(1)], 1)


def newton_basis(
    offsets: Float[Tensor, "sample point"], steps: Float[Tensor, "sample step"]
) -> Float[Tensor, "sample row point"]:
    """Return prod_{m<j} (offset + psi_m) / psi_{m+1} in row j, offsets measured from t_n."""
    reach = steps.cumsum(1)
    previous = torch.cat([torch.zeros_like(reach[:, :1]), reach[:, :-1]], 1)
    factors = (offsets.unsqueeze(1) + previous.unsqueeze(-1)) / reach.unsqueeze(-1)
    return torch.cat([torch.ones_like(factors[:, :1]), factors.cumprod(1)], 1)


def integrate_newton_basis(
    start: Float[Tensor, " sample"],
    end: Float[Tensor, " sample"],
    steps: Float[Tensor, "sample step"],
) -> Float[Tensor, "sample row"]:
    """Return the integral of each basis polynomial between two offsets from t_n, exactly."""
    nodes, weights = (torch.as_tensor(half).to(steps) for half in _quadrature())
    length = (end - start).unsqueeze(-1)
    basis = newton_basis(start.unsqueeze(-1) + length * nodes, steps)
    return (basis * weights).sum(-1) * length


@cache
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(_NUM_NODES)
    return (nodes + 1) / 2, weights / 2
