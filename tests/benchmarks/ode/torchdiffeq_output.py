"""torchdiffeq with its output collected in a list: the patch that the comparison grants it."""

from types import TracebackType

import torch
from torch import Tensor
from torchdiffeq._impl.solvers import AdaptiveStepsizeODESolver


class StackedOutput:
    """While this context is open, torchdiffeq does not write its output in place.

    As released, every `solution[i] = ...` makes autograd copy the gradient of the whole output, so
    that the backward pass is quadratic in the number of times.
    """

    def __enter__(self) -> None:
        self._released = AdaptiveStepsizeODESolver.integrate
        AdaptiveStepsizeODESolver.integrate = _integrate

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        AdaptiveStepsizeODESolver.integrate = self._released


def _integrate(solver: AdaptiveStepsizeODESolver, t: Tensor) -> Tensor:
    t = t.to(solver.dtype)
    solver._before_integrate(t)
    return torch.stack([solver.y0, *(solver._advance(time) for time in t[1:])])
