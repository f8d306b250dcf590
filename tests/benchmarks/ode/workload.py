"""What is timed: patients with query times of their own, and a network as the vector field."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torchdiffeq
from torch import Tensor, nn

from tests.benchmarks.ode.torchdiffeq_output import StackedOutput

RTOL, ATOL = 1e-3, 1e-4
"""What latent ODE decodes with (Rubanova et al. 2019), in its released code."""

_WIDTH, _HIDDEN, _GAIN = 20, 100, 3.0
_MINUTES, _QUERIES = 2880, 80
_TIGHT = 1e-9


class Network(nn.Module):
    """dy/dt = a 20-100-100-20 network with tanh; three times the usual weights, so that it moves."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.layers = nn.Sequential(
            nn.Linear(_WIDTH, _HIDDEN),
            nn.Tanh(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.Tanh(),
            nn.Linear(_HIDDEN, _WIDTH),
        )
        for parameter in self.parameters():
            with torch.no_grad():
                if parameter.ndim == 1:
                    parameter.zero_()
                    continue
                bound = _GAIN / parameter.shape[1] ** 0.5
                parameter.uniform_(-bound, bound, generator=generator)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """Return dy/dt of [sample state]."""
        derivative: Tensor = self.layers(y)
        return derivative


@dataclass(frozen=True)
class Answer:
    """States [sample query state], and the gradient of `loss` in y0 and each parameter."""

    states: Tensor
    gradients: tuple[Tensor, ...]

    def state_error(self, states: Tensor) -> float:
        """Return the largest absolute difference."""
        return float((states.detach() - self.states).abs().max())

    def gradient_error(self, gradients: Sequence[Tensor]) -> float:
        """Return the difference over the size, both as the norm over everything."""
        pairs = list(zip(gradients, self.gradients, strict=True))
        apart = sum(float((found - exact).square().sum()) for found, exact in pairs)
        return float((apart / sum(float(exact.square().sum()) for _, exact in pairs)) ** 0.5)


def loss(states: Tensor) -> Tensor:
    """What a training step differentiates."""
    return states.square().mean()


@dataclass(frozen=True)
class Workload:
    """One batch: y0 [sample state] at time 0, `times` [sample query] on the minutes of 48 hours."""

    field: Network
    y0: Tensor
    times: Tensor

    @classmethod
    def draw(cls, num_patients: int, seed: int = 0) -> "Workload":
        """Draw every patient's start and, beside time 0, 79 different minutes."""
        generator = torch.Generator().manual_seed(seed + 1)
        y0 = torch.randn(num_patients, _WIDTH, generator=generator)
        shuffled = torch.rand(num_patients, _MINUTES, generator=generator).argsort(1)
        minutes = 1 + shuffled[:, : _QUERIES - 1].sort(1).values
        minutes = torch.cat([torch.zeros_like(minutes[:, :1]), minutes], dim=1)
        return cls(Network(seed), y0, minutes / _MINUTES)

    def double(self) -> "Workload":
        """Return the same in float64."""
        field = copy.deepcopy(self.field).double()
        return Workload(field, self.y0.double(), self.times.double())

    @cached_property
    def union(self) -> tuple[Tensor, Tensor]:
        """All patients' times [time], and where each patient's are among them."""
        times, places = self.times.unique(return_inverse=True)
        return times, places

    def pick(self, on_union: Tensor) -> Tensor:
        """From [time sample state] on the union to each patient's own times."""
        samples = torch.arange(len(self.y0)).unsqueeze(1)
        return on_union[self.union[1], samples]

    def leaves(self) -> tuple[Tensor, ...]:
        """Return y0 and the parameters, all waiting for a gradient."""
        return (self.y0.clone().requires_grad_(), *self.field.parameters())

    @cached_property
    def exact(self) -> Answer:
        """By a peer, so that nobody is judged by himself: torchdiffeq's dopri5 at 1e-9, float64."""
        twin = self.double()
        leaves = twin.leaves()
        with StackedOutput():
            on_union = torchdiffeq.odeint(
                twin.field, leaves[0], twin.union[0], rtol=_TIGHT, atol=_TIGHT, method="dopri5"
            )
        states = twin.pick(on_union)
        gradients = torch.autograd.grad(loss(states), leaves)
        return Answer(states.detach(), gradients)
