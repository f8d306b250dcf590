"""The stages of one Radau step: simplified Newton iteration in the eigenbasis of the method.

Hairer, Wanner, Solving ODEs II, section IV.8: with W = T^-1 Z the 3d x 3d system falls apart into
one real and one complex d x d system. Every sample has its own matrices, rate and end.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from model.ode.collocation import NUM_STAGES, RadauTableau, radau_tableau
from model.ode.problem import VectorField
from model.ode.sample_table import AbstractSampleTable

MAX_ITERATIONS = 6
# In units of the error tolerance: where rounding errors stop the iteration this far, it will do.
_NEGLIGIBLE = 1e-3

_Residual = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class StageFactors(AbstractSampleTable):
    """The LU factors of (real eigenvalue / h) I - J and (complex eigenvalue / h) I - J."""

    real_lu: Float[Tensor, "sample state state"]
    real_pivots: Int[Tensor, "sample state"]
    complex_lu: Complex[Tensor, "sample state state"]
    complex_pivots: Int[Tensor, "sample state"]

    @classmethod
    def of(
        cls, jacobian: Float[Tensor, "sample state state"], h: Float[Tensor, " sample"]
    ) -> "StageFactors":
        """Factor; a singular or not finite matrix shows in the solutions, not here."""
        tableau = radau_tableau(jacobian.dtype, jacobian.device)
        inverse = h.to(jacobian.dtype).reciprocal().view(-1, 1, 1)
        identity = torch.eye(jacobian.shape[-1], dtype=jacobian.dtype, device=jacobian.device)
        scaled = inverse * identity
        real = torch.linalg.lu_factor_ex(tableau.real_eigenvalue * scaled - jacobian)
        both = torch.linalg.lu_factor_ex(tableau.complex_eigenvalue * scaled - jacobian)
        return cls(real[0], real[1], both[0], both[1])

    def solve_real(self, right: Float[Tensor, "sample state"]) -> Float[Tensor, "sample state"]:
        """Solve the real systems."""
        columns = right.unsqueeze(-1)
        return torch.linalg.lu_solve(self.real_lu, self.real_pivots, columns).squeeze(-1)

    def solve_complex(
        self, right: Complex[Tensor, "sample state"]
    ) -> Complex[Tensor, "sample state"]:
        """Solve the complex systems."""
        columns = right.unsqueeze(-1)
        return torch.linalg.lu_solve(self.complex_lu, self.complex_pivots, columns).squeeze(-1)


@dataclass(frozen=True)
class Stages:
    """What the iteration found: Z = Y - y at each stage, and how it went."""

    increments: Float[Tensor, "stage sample state"]
    converged: Bool[Tensor, " sample"]
    finite: Bool[Tensor, " sample"]
    rate: Float[Tensor, " sample"]
    num_iterations: Int[Tensor, " sample"]


@dataclass(frozen=True)
class StageEquations:
    """Z = h (A x I) f(t + c h, y + Z), one system for each sample, scaled for the tolerance.

    The field is that of the samples three times over, stage by stage.
    """

    vector_field: VectorField
    t: Float[Tensor, " sample"]
    h: Float[Tensor, " sample"]
    y: Float[Tensor, "sample state"]
    inverse_scale: Float[Tensor, "sample state"]
    tolerance: Float[Tensor, " sample"]
    rounding: Float[Tensor, " sample"]
    max_iterations: int = MAX_ITERATIONS

    def solve(self, guess: Float[Tensor, "stage sample state"], factors: StageFactors) -> Stages:
        """Iterate until each sample has converged, or is seen not to within `max_iterations`.

        Every comparison is positive, so that a NaN counts as divergence.
        """
        tableau = radau_tableau(self.y.dtype, self.y.device)
        residual = self._residual_of(tableau)
        stretch = self.inverse_scale / guess[:, 0].numel() ** 0.5
        increments, transformed = guess, _transform(tableau.to_eigenbasis, guess)
        running = torch.ones_like(self.t, dtype=torch.bool)
        converged = ~running
        rate = torch.zeros_like(self.tolerance)
        norm = torch.full_like(self.tolerance, torch.inf)
        num_iterations = torch.zeros_like(running, dtype=torch.int64)
        for iteration in range(self.max_iterations):
            num_iterations = num_iterations + running
            real, pair = residual(increments, transformed)
            pair = factors.solve_complex(pair)
            delta = torch.stack([factors.solve_real(real), pair.real, pair.imag])
            last_norm, norm = norm, torch.linalg.vector_norm(delta * stretch, dim=(0, 2))
            new_rate = norm / last_norm
            rate = torch.where(running, new_rate, rate)
            remaining = new_rate / (1 - new_rate) * norm
            # Corrections as small as rounding errors do not contract any further.
            settled = (norm <= self.rounding) | ((new_rate >= 0.5) & (norm <= _NEGLIGIBLE))
            if iteration == 0:
                running = norm.isfinite()
                done = settled
            else:
                expected = remaining * new_rate ** (self.max_iterations - 1 - iteration)
                hopeful = (new_rate < 1) & (expected <= self.tolerance)
                running = running & (hopeful | settled)
                done = running & ((remaining < self.tolerance) | settled)
            transformed = torch.where(running.unsqueeze(-1), transformed + delta, transformed)
            increments = _transform(tableau.from_eigenbasis, transformed)
            converged, running = converged | done, running & ~done
            if not bool(running.any()):
                break
        return Stages(increments, converged, norm.isfinite(), rate, num_iterations)

    def _residual_of(self, tableau: RadauTableau) -> _Residual:
        """Return the function from Z and W to the right sides of the real and complex systems."""
        nodes = tableau.nodes.to(self.t.dtype).unsqueeze(-1)
        times = torch.addcmul(self.t, nodes, self.h).flatten()
        inverse = self.h.to(self.y.dtype).reciprocal().unsqueeze(-1)
        real_shift = -tableau.real_eigenvalue * inverse
        complex_shift = -tableau.complex_eigenvalue * inverse

        def residual(increments: Tensor, transformed: Tensor) -> tuple[Tensor, Tensor]:
            derivatives = self.vector_field(times, (self.y + increments).flatten(0, 1))
            right = _transform(tableau.to_eigenbasis, derivatives.view_as(increments))
            pair = torch.complex(right[1], right[2])
            known = torch.complex(transformed[1], transformed[2])
            return (
                torch.addcmul(right[0], real_shift, transformed[0]),
                torch.addcmul(pair, complex_shift, known),
            )

        return residual


def _transform(
    matrix: Float[Tensor, "stage stage"], columns: Float[Tensor, "stage sample state"]
) -> Float[Tensor, "stage sample state"]:
    """Return the matrix times the stages, the same for every sample and component."""
    return (matrix @ columns.reshape(NUM_STAGES, -1)).view(columns.shape)
