"""Fields and batches for the fused kernel."""

from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from model.ode.kernel import FusedSolution, Kernel, solve_fused
from model.ode.mlp import MLPField
from model.ode.tableau import EULER, MIDPOINT, RK4, ButcherTableau


@dataclass(frozen=True)
class Case:
    """A field and a batch; every sample has its own start, step and queries."""

    hidden: tuple[int, ...] = (100, 100)
    state: int = 20
    samples: int = 5
    queries: int = 9
    steps: int = 3
    tableau: ButcherTableau = RK4
    timed: bool = False
    gain: bool = False
    decay: bool = False
    backward: bool = False

    def __str__(self) -> str:
        widths = "x".join(map(str, self.hidden))
        flags = "".join(
            name[0] for name in ("timed", "gain", "decay", "backward") if getattr(self, name)
        )
        return f"{self.state}-{widths}-B{self.samples}-Q{self.queries}-{self.tableau.name}-{flags}"

    def field(self) -> MLPField:
        generator = torch.Generator().manual_seed(0)
        widths = [self.state + self.timed, *self.hidden, self.state]
        modules: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layer = nn.Linear(inputs, outputs)
            with torch.no_grad():
                layer.weight.copy_(torch.randn(outputs, inputs, generator=generator) / inputs**0.5)
                layer.bias.copy_(torch.randn(outputs, generator=generator) / 5)
            modules += [layer, nn.Tanh()]
        gain = nn.Parameter(torch.rand(self.state, generator=generator) + 0.5)
        decay = nn.Parameter(torch.rand(self.state, generator=generator))
        return MLPField(
            nn.Sequential(*modules[:-1]),
            time_scale=0.7 if self.timed else None,
            gain=gain if self.gain else None,
            decay=decay if self.decay else None,
        )

    def batch(self) -> "Batch":
        generator = torch.Generator().manual_seed(1)
        t0 = torch.randn(self.samples, generator=generator)
        step = (torch.rand(self.samples, generator=generator) + 0.5) / self.steps
        step = -step if self.backward else step
        # Inside the grid: rounding decides whether a time at an end moves the answer.
        inside = torch.rand(self.samples, self.queries, generator=generator) * 0.98 + 0.01
        times = t0.unsqueeze(1) + inside * (self.steps * step).unsqueeze(1)
        return Batch(torch.randn(self.samples, self.state, generator=generator), t0, step, times)


@dataclass(frozen=True)
class Batch:
    y0: Tensor
    t0: Tensor
    step: Tensor
    times: Tensor

    def all(self) -> list[Tensor]:
        return [self.y0, self.t0, self.step, self.times]

    def map(self, change: "slice | list[int]") -> "Batch":
        return Batch(*(tensor[change] for tensor in self.all()))


CASES = [
    Case(samples=64, queries=80, steps=4),
    Case(samples=100, queries=80, timed=True, gain=True, decay=True, backward=True),
    Case(hidden=(7,), state=1, samples=1, queries=1),
    Case(hidden=(5, 6, 9), state=1, queries=80, timed=True, decay=True, tableau=MIDPOINT),
    Case(hidden=(24,), state=3, samples=33, gain=True, tableau=EULER, steps=6),
    Case(hidden=(13, 50), state=3, samples=2, gain=True, timed=True),
    Case(hidden=(40, 17), state=33, samples=64, timed=True, decay=True, steps=1),
    Case(hidden=(32, 8, 16), state=8, samples=3, timed=True, gain=True, backward=True),
    Case(hidden=(104,), state=16, samples=100, queries=1, decay=True, tableau=MIDPOINT),
]


def fused(
    field: MLPField, batch: Batch, case: Case, kernel: Kernel, *, keep: bool = False
) -> FusedSolution:
    return solve_fused(
        field, batch.y0, batch.t0, batch.step, case.steps, batch.times, case.tableau, kernel,
        keep_stages=keep,
    )  # fmt: skip


def in_double(field: MLPField, batch: Batch) -> tuple[MLPField, Batch]:
    return deepcopy(field).double(), Batch(*(tensor.double() for tensor in batch.all()))
