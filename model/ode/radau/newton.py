"""The stages of one Radau step: simplified Newton iteration, each sample until it has converged.

Hairer, Wanner, Solving ODEs II, section IV.8. States are tensors on their device; what decides is
one number for each sample, in numpy on the host: there an operation costs a fifth.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.ode.problem import VectorField
from model.ode.radau.collocation import NODES, NUM_STAGES
from model.ode.radau.host import to_device
from model.ode.radau.stage_factors import AbstractStageFactors
from model.ode.runge_kutta import evaluate

MAX_ITERATIONS = 7
# In units of the error tolerance: where rounding errors stop the iteration this far, it will do.
_NEGLIGIBLE = 1e-3


@dataclass(frozen=True)
class StageEquations:
    """(A^-1 / h) Z = f(t + c h, y + Z) for each row; arrays are [row].

    Parameters
    ----------
    vector_field
        Of the rows, each three times.
    y
        [row state].
    scale
        [row stage*state]; the Euclidean norm of Z / scale is in units of the tolerance.
    coupling
        A^-1 / h, [row stage stage].
    """

    vector_field: VectorField
    t: np.ndarray
    h: np.ndarray
    y: Tensor
    scale: Tensor
    coupling: Tensor

    def solve(self, guess: Tensor, factors: AbstractStageFactors, progress: "Progress") -> Tensor:
        """Return Z [row stage state], iterated from the guess, which is written over."""
        times = to_device((self.t[:, None] + self.h[:, None] * NODES).ravel(), self.y)
        y, scale, width = self.y.unsqueeze(1), self.scale.unsqueeze(2), guess.shape[2]
        # Views of the same memory, made once: what follows writes in place.
        states, residual = torch.empty_like(guess), torch.empty_like(guess)
        shape, column = guess.shape, (len(guess), NUM_STAGES * width, 1)
        state_rows, right, found = states.view(-1, width), residual.view(column), guess.view(column)
        while progress.goes_on:
            torch.add(y, guess, out=states)
            slopes = evaluate(self.vector_field, times, state_rows).view(shape)
            torch.baddbmm(slopes, self.coupling, guess, alpha=-1, out=residual)
            delta = factors.solve(right)
            if progress.everyone:
                found.add_(delta)
            else:
                moves = to_device(progress.running.astype(np.float64), y).view(-1, 1, 1)
                found.addcmul_(delta, moves)
            norm = torch.linalg.vector_norm(delta / scale, dim=(1, 2))
            progress.note(norm.cpu().numpy())
        return guess


class Progress:
    """How far the iteration of each row has come, judged by the norms of its corrections.

    Parameters
    ----------
    running
        The rows that take part.
    bound, rounding
        How precise the stages must be, and what floating point leaves, in units of the tolerance.
    """

    def __init__(
        self, running: np.ndarray, bound: np.ndarray, rounding: np.ndarray, max_iterations: int
    ) -> None:
        self.running, self.everyone = running.copy(), bool(running.all())
        self.converged = np.zeros_like(running)
        self.num_iterations = 2 * running.astype(np.int64)
        self.rate = self.norm = np.full(len(running), np.inf)
        self.goes_on = True
        self._bound, self._rounding, self._left = bound, rounding, max_iterations

    def note(self, norm: np.ndarray) -> None:
        """Take in one correction; comparisons are such that a NaN counts as divergence."""
        last_norm, self.norm = self.norm, norm
        first, self._left = self.rate is last_norm, self._left - 1
        if first:
            self.rate = np.zeros(len(norm))
            return
        rate = norm / last_norm
        np.copyto(self.rate, rate, where=self.running)
        remaining = norm * norm / np.maximum(last_norm - norm, np.finfo(norm.dtype).tiny)
        done = (remaining < self._bound) | (norm <= self._rounding)
        done &= self.running
        self.converged |= done
        self.running &= ~done
        self.goes_on = bool(self.running.any())
        if self.goes_on:
            self._stop_the_hopeless(norm, remaining * rate**self._left <= self._bound)

    def _stop_the_hopeless(self, norm: np.ndarray, hope: np.ndarray) -> None:
        hopeless = self.running & ~hope
        if hopeless.any():
            # Corrections as small as rounding errors do not contract any further.
            self.converged |= hopeless & (norm <= _NEGLIGIBLE)
            self.running &= hope
            self.goes_on = bool(self.running.any())
        self.everyone = self.everyone and bool(self.running.all())
        self.num_iterations += self.running
