"""The three Radau points: the collocation method of order 5 and its polynomial between them.

Hairer, Wanner, Solving ODEs II (2nd ed., 1996), sections IV.5 (table 5.6) and IV.8; the constants
of the transformation T^-1 A^-1 T = diag(real, complex pair) are derived there, equation (8.5).
Nothing here knows how the stages are found.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

NUM_STAGES = 3
NODES = np.array([(4 - 6**0.5) / 10, (4 + 6**0.5) / 10, 1.0])
_KNOTS = np.concatenate([[0.0], NODES])
# The largest |product of (x - node)| over the nodes of the cubic, for x in [0, 1].
_LARGEST_PRODUCT = np.abs(np.prod(np.linspace(0, 1, 1001)[:, None] - _KNOTS, axis=1)).max()
_POWERS = NODES[:, None] ** np.arange(1, NUM_STAGES + 1)
# Collocation: sum_j a_ij p(c_j) is the integral of p from 0 to c_i for degrees 0, 1, 2.
A = (_POWERS / np.arange(1, NUM_STAGES + 1)) @ np.linalg.inv(_POWERS / NODES[:, None])
A_INVERSE = np.linalg.inv(A)
BASIS = np.linalg.inv(_POWERS)
"""Row p: the weights of the stages in the coefficient of theta^(p + 1)."""
# (1 + ratio c)^p - 1, times the basis, by powers of the ratio.
_BINOMIALS = np.array([[1, 0, 0], [2, 1, 0], [3, 3, 1]])
_CONTINUATION = np.einsum("sq,pq,pj->qsj", _POWERS, _BINOMIALS, BASIS).reshape(NUM_STAGES, -1)
ERROR_WEIGHTS = np.array([[-13 - 7 * 6**0.5, -13 + 7 * 6**0.5, -1.0]]) / 3
"""The embedded formula of order 3 (IV.8.20): gamma_0 times its difference from the method."""


@dataclass(frozen=True)
class RadauTableau:
    """The constants that meet tensors, in the precision of a state.

    Parameters
    ----------
    powers
        Row p: the weights of the stages in the coefficient of theta^(p + 1).
    to_eigenbasis, from_eigenbasis
        T^-1 and T: W = T^-1 Z.
    eigenvalues
        The real one of A^-1, and one of the pair.
    """

    a: Float[Tensor, "stage stage"]
    powers: Float[Tensor, "power stage"]
    to_eigenbasis: Float[Tensor, "stage stage"]
    from_eigenbasis: Float[Tensor, "stage stage"]
    eigenvalues: np.ndarray


@cache
def radau_tableau(dtype: torch.dtype, device: torch.device) -> RadauTableau:
    """Return the method's constants; computed once for each precision and device."""
    eigenvalues, vectors = np.linalg.eig(A_INVERSE)
    real = int(np.argmin(abs(eigenvalues.imag)))
    pair = int(np.argmin(eigenvalues.imag))
    # With T = [u, Re v, Im v], W_2 + i W_3 obeys the equation of the conjugate eigenvalue.
    columns = [vectors[:, real].real, vectors[:, pair].real, vectors[:, pair].imag]
    t = np.stack(columns, 1)
    back = np.linalg.inv(t)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=device)

    with torch.inference_mode(False):
        return RadauTableau(
            a=tensor(A),
            powers=tensor(BASIS),
            to_eigenbasis=tensor(back),
            from_eigenbasis=tensor(t),
            eigenvalues=np.array([eigenvalues[real].real, eigenvalues[pair].conjugate()]),
        )


def stability_function(z: Complex[Tensor, "*any"]) -> Complex[Tensor, "*any"]:
    """R(z): what one step does to y' = lambda y with z = h lambda; the (2, 3) Pade approximant."""
    return (1 + z * (2 / 5 + z / 20)) / (1 - z * (3 / 5 - z * (3 / 20 - z / 60)))


def interpolation_share(ratio: np.ndarray) -> np.ndarray:
    """Return the error of a step's cubic between its knots, as a share of a miss [row].

    The miss is that of the last step's cubic, continued to the end of this one; `ratio` is this
    step's size over the last one's. Both errors are the same fourth derivative times the product of
    the distances to the nodes of the cubic.
    """
    reach = np.prod(1 + ratio[:, None] - _KNOTS, axis=1)
    share: np.ndarray = _LARGEST_PRODUCT * ratio**4 / reach
    return share


def continuation(ratio: np.ndarray) -> np.ndarray:
    """Return the weights [row stage stage] that guess the next increments from the last ones.

    The last step's polynomial is continued; `ratio` [row] is the next step's size over its own.
    """
    square = ratio * ratio
    powers = np.stack([ratio, square, square * ratio], 1)
    return (powers @ _CONTINUATION).reshape(-1, NUM_STAGES, NUM_STAGES)
