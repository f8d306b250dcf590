"""One way to solve the workload: forward, and with gradients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from tests.benchmarks.ode.workload import Answer, Workload, loss


@dataclass(frozen=True)
class Contender:
    """Its name, and what is timed.

    Parameters
    ----------
    forward
        Returns the states [sample query state], as a tensor or something like one.
    training_step
        Returns the gradients of the loss in y0 and each parameter, in the order of the workload's.
    """

    name: str
    forward: Callable[[], Any]
    training_step: Callable[[], Sequence[Any]]

    @staticmethod
    def of(name: str, workload: Workload, answers: Callable[[Tensor], Tensor]) -> "Contender":
        """Make one of a differentiable torch function from y0 to the states."""

        def forward() -> Tensor:
            with torch.no_grad():
                return answers(workload.y0)

        def training_step() -> Sequence[Tensor]:
            leaves = workload.leaves()
            return torch.autograd.grad(loss(answers(leaves[0])), leaves)

        return Contender(name, forward, training_step)

    def state_error(self, exact: Answer) -> float:
        """Return the largest absolute error of a state."""
        return exact.state_error(_tensor(self.forward()))

    def gradient_error(self, exact: Answer) -> float:
        """Return the error of the gradient relative to its size."""
        return exact.gradient_error([_tensor(one) for one in self.training_step()])


def _tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    shared: Tensor = from_dlpack(value)
    return shared
