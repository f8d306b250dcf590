"""The matrix of a simplified Newton iteration for the Radau stages, ready to solve with.

M = (A^-1 / h) x I - I x J. In the eigenbasis of A it falls apart into gamma/h I - J, real, and
(alpha + i beta)/h I - J, complex (Hairer, Wanner, Solving ODEs II, section IV.8).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from model.ode.radau.collocation import A_INVERSE, NUM_STAGES, radau_tableau

# Up to this width the 3d x 3d matrix as a whole costs less than its parts, in fewer calls.
_WIDEST_WHOLE = 4


class AbstractStageFactors(ABC):
    """Some form of M for each row."""

    def __init__(self, *tensors: Tensor) -> None:
        self._tensors = tensors

    def take(self, rows: Tensor) -> "AbstractStageFactors":
        """Return those of some rows."""
        return type(self)(*(tensor[rows] for tensor in self._tensors))

    def put(self, rows: Tensor, part: "AbstractStageFactors") -> "AbstractStageFactors":
        """Return these with some rows replaced."""
        pairs = zip(self._tensors, part._tensors, strict=True)
        return type(self)(*(old.index_copy(0, rows, new) for old, new in pairs))

    @abstractmethod
    def solve(self, right: Tensor) -> Tensor:
        """Return M^-1 right [row stage*state 1]."""

    @abstractmethod
    def solve_real(self, right: Tensor) -> Tensor:
        """Return (gamma/h I - J)^-1 right [row state 1]."""


class WholeStages(AbstractStageFactors):
    """LU factors of M itself."""

    def solve(self, right: Tensor) -> Tensor:
        """Return M^-1 right."""
        return torch.linalg.lu_solve(*self._tensors, right)

    def solve_real(self, right: Tensor) -> Tensor:
        """Return (gamma/h I - J)^-1 right: M applied to the real eigenvector times it."""
        num_rows, width, _ = right.shape
        direction = radau_tableau(right.dtype, right.device).from_eigenbasis[:, 0]
        lifted = (direction.view(-1, 1, 1) * right.unsqueeze(1)).view(
            num_rows, NUM_STAGES * width, 1
        )
        return self.solve(lifted)[:, -width:] / direction[-1]


class FactoredStages(AbstractStageFactors):
    """LU factors of the real and of the complex matrix."""

    def solve(self, right: Tensor) -> Tensor:
        """Return M^-1 right."""
        real, real_pivots, pair, pair_pivots = self._tensors
        tableau = radau_tableau(right.dtype, right.device)
        stages = right.view(len(right), NUM_STAGES, -1, 1).transpose(0, 1).flatten(1)
        first, second, third = (tableau.to_eigenbasis @ stages).view(NUM_STAGES, len(right), -1, 1)
        first = torch.linalg.lu_solve(real, real_pivots, first)
        both = torch.linalg.lu_solve(pair, pair_pivots, torch.complex(second, third))
        found = torch.cat([first, both.real, both.imag], 2)
        return (found @ tableau.from_eigenbasis.T).transpose(1, 2).reshape(right.shape)

    def solve_real(self, right: Tensor) -> Tensor:
        """Return (gamma/h I - J)^-1 right."""
        return torch.linalg.lu_solve(self._tensors[0], self._tensors[1], right)


def factor(jacobian: Float[Tensor, "row state state"], h: np.ndarray) -> AbstractStageFactors:
    """Factor M; a singular or not finite matrix shows in the solutions, not here."""
    num_rows, width, _ = jacobian.shape
    tableau = radau_tableau(jacobian.dtype, jacobian.device)
    decompose: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]] = torch.linalg.lu_factor_ex
    identity = _identity(width, jacobian.dtype, jacobian.device)
    if width > _WIDEST_WHOLE:
        complex_dtype = jacobian.dtype.to_complex()
        shifts = torch.from_numpy(tableau.eigenvalues / h[:, None])
        shifts = shifts.to(jacobian.device, complex_dtype)
        pair = torch.sub(shifts[:, 1].view(-1, 1, 1) * identity, jacobian)
        real = torch.sub(shifts[:, 0].real.view(-1, 1, 1) * identity, jacobian)
        return FactoredStages(*decompose(real)[:2], *decompose(pair)[:2])
    coupling = torch.from_numpy(A_INVERSE[:, None, :, None] / h[:, None, None, None, None])
    whole = coupling.to(jacobian) * identity.view(width, 1, width)
    whole.diagonal(dim1=1, dim2=3).sub_(jacobian.unsqueeze(3))
    size = NUM_STAGES * width
    return WholeStages(*decompose(whole.view(num_rows, size, size))[:2])


@cache
def _identity(width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.eye(width, dtype=dtype, device=device)
