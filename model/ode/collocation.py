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

ORDER = 5
NUM_STAGES = 3


@dataclass(frozen=True)
class RadauTableau:
    """Radau IIA of order 5 in the precision of a state.

    Parameters
    ----------
    basis
        Power coefficients (of theta, theta^2, theta^3) of the polynomials that are 0 at theta = 0
        and one at their own node, zero at the others.
    to_eigenbasis, from_eigenbasis
        T^-1 and T: W = T^-1 Z.
    real_eigenvalue, complex_eigenvalue
        Of A^-1.
    error_weights
        The embedded formula of order 3 (IV.8.20): gamma_0 times its difference from the method.
    """

    nodes: Float[Tensor, " stage"]
    a: Float[Tensor, "stage stage"]
    basis: Float[Tensor, "stage power"]
    to_eigenbasis: Float[Tensor, "stage stage"]
    from_eigenbasis: Float[Tensor, "stage stage"]
    real_eigenvalue: float
    complex_eigenvalue: complex
    error_weights: Float[Tensor, " stage"]


@cache
def radau_tableau(dtype: torch.dtype, device: torch.device) -> RadauTableau:
    """Return the method's constants; computed once for each precision and device."""
    root = 6**0.5
    nodes = np.array([(4 - root) / 10, (4 + root) / 10, 1.0])
    powers = nodes[:, None] ** np.arange(1, NUM_STAGES + 1)
    basis = np.linalg.inv(powers).T
    # Collocation: sum_j a_ij p(c_j) is the integral of p from 0 to c_i for degrees 0, 1, 2.
    a = (powers / np.arange(1, NUM_STAGES + 1)) @ np.linalg.inv(powers / nodes[:, None])
    eigenvalues, vectors = np.linalg.eig(np.linalg.inv(a))
    real = int(np.argmin(abs(eigenvalues.imag)))
    pair = int(np.argmin(eigenvalues.imag))
    # With T = [u, Re v, Im v], W_2 + i W_3 obeys the equation of the conjugate eigenvalue.
    transformation = np.stack(
        [vectors[:, real].real, vectors[:, pair].real, vectors[:, pair].imag], 1
    )
    error_weights = np.array([-13 - 7 * root, -13 + 7 * root, -1.0]) / 3

    def tensor(values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=device)

    return RadauTableau(
        nodes=tensor(nodes),
        a=tensor(a),
        basis=tensor(basis),
        to_eigenbasis=tensor(np.linalg.inv(transformation)),
        from_eigenbasis=tensor(transformation),
        real_eigenvalue=float(eigenvalues[real].real),
        complex_eigenvalue=complex(eigenvalues[pair].conjugate()),
        error_weights=tensor(error_weights),
    )


def stability_function(z: Complex[Tensor, "*any"]) -> Complex[Tensor, "*any"]:
    """R(z): what one step does to y' = lambda y with z = h lambda; the (2, 3) Pade approximant."""
    return (1 + z * (2 / 5 + z / 20)) / (1 - z * (3 / 5 - z * (3 / 20 - z / 60)))


def interpolate(
    theta: Float[Tensor, " row"],
    starts: Float[Tensor, "row state"],
    increments: Float[Tensor, "row stage state"],
) -> Float[Tensor, "row state"]:
    """Return the collocation polynomial at start + theta * step.

    It passes through the start and the stages, and satisfies the equation at the stages. Exact at
    theta = 0; at theta = 1 it is the last stage to rounding. Of order 3 in between.
    """
    weights = _powers(theta.to(starts.dtype)) @ _basis(starts).T
    return starts + torch.einsum("rs,rsd->rd", weights, increments)


def extrapolate(
    ratio: Float[Tensor, " row"], increments: Float[Tensor, "row stage state"]
) -> Float[Tensor, "stage row state"]:
    """Guess the next step's increments from the last step's: its polynomial, continued.

    `ratio` is the next step's size over the last one's.
    """
    nodes = radau_tableau(increments.dtype, increments.device).nodes
    theta = 1 + ratio.to(increments.dtype).unsqueeze(-1) * nodes
    weights = (_powers(theta) - 1) @ _basis(increments).T
    return (weights @ increments).transpose(0, 1)


def _basis(like: Tensor) -> Float[Tensor, "stage power"]:
    return radau_tableau(like.dtype, like.device).basis


def _powers(theta: Tensor) -> Tensor:
    square = theta * theta
    return torch.stack([theta, square, square * theta], dim=-1)
