"""Robertson's reaction for 64 initial values: a batched Radau beside scipy's in a loop."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from model.ode import InitialValueProblem, Solution, solve
from tests.benchmarks.ode.bar import Bar
from tests.benchmarks.ode.timing import Task, Timing, take_turns
from tests.benchmarks.table import Table
from tests.model.ode.stiff_problems import robertson_with_rates

_NUM_SAMPLES, _END = 64, 1e4
_RTOL, _ATOL = 1e-6, 1e-9
_RATES = (0.04, 1e4, 3e7)


@dataclass(frozen=True)
class Stiff:
    """What each took, and how far each was off, relative, at the end."""

    timings: dict[str, Timing]
    errors: dict[str, float]

    @classmethod
    def run(cls, num_runs: int) -> "Stiff":
        """Solve 64 times with each."""
        y0 = _initial_values()
        exact = _scipy(y0, 1e-9, 1e-13, with_jacobian=True)
        tasks: dict[str, Task] = {
            "scipy Radau, loop": lambda: _scipy(y0, _RTOL, _ATOL, with_jacobian=False),
            "scipy Radau, loop, Jacobian given": lambda: _scipy(
                y0, _RTOL, _ATOL, with_jacobian=True
            ),
            "Lacuna radau": lambda: _ours(y0),
            "Lacuna radau, with gradient": lambda: _our_gradient(y0),
        }
        answers = {
            name: task() for name, task in tasks.items() if name != "Lacuna radau, with gradient"
        }
        errors = {name: _error(found, exact) for name, found in answers.items()}
        return cls(take_turns(tasks, num_runs, warm_up=1), errors)

    def table(self) -> Table:
        """Return a row for each."""
        return Table(
            f"Robertson to t = {_END:,.0f}, {_NUM_SAMPLES} initial values",
            f"float64, rtol {_RTOL:g}, atol {_ATOL:g}. CPU milliseconds: median (smallest–largest). "
            "Error: largest relative one at the end. With gradient: in y0 and the three rates; the "
            "others have none. Exact: scipy's Radau at rtol 1e-9, atol 1e-13.",
            ("", "all samples", "error"),
            [self._row(name) for name in self.timings],
        )

    def _row(self, name: str) -> Sequence[str]:
        error = f"{self.errors[name]:.1e}" if name in self.errors else "–"
        return name, str(self.timings[name]), error

    def bars(self) -> list[Bar]:
        """Return the ratio of times, and of errors."""
        ours, theirs = (
            "Lacuna radau",
            min(
                (name for name in self.timings if name.startswith("scipy")),
                key=lambda name: self.timings[name].median,
            ),
        )
        speed = self.timings[theirs].median / self.timings[ours].median
        accuracy = self.errors[ours] / self.errors[theirs]
        claim = f"Robertson, {_NUM_SAMPLES} samples, against {theirs}"
        return [
            Bar(claim, 20, speed),
            Bar(f"{claim}: our error over theirs", 1, accuracy, at_most=True),
        ]


def _initial_values() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    y0 = torch.zeros(_NUM_SAMPLES, 3, dtype=torch.float64)
    y0[:, 0] = 0.5 + torch.rand(_NUM_SAMPLES, generator=generator, dtype=torch.float64)
    return y0


def _solve(y0: Tensor, rates: Tensor) -> Solution:
    zeros = torch.zeros(len(y0), dtype=y0.dtype)
    problem = InitialValueProblem(
        lambda t, y: robertson_with_rates(rates, y), y0, zeros, (zeros + _END).unsqueeze(1)
    )
    return solve(problem, method="radau", rtol=_RTOL, atol=_ATOL)


def _ours(y0: Tensor) -> np.ndarray:
    with torch.no_grad():
        return _solve(y0, torch.tensor(_RATES, dtype=y0.dtype)).ys[:, 0].numpy()


def _our_gradient(y0: Tensor) -> Sequence[Tensor]:
    leaves = (
        y0.clone().requires_grad_(),
        torch.tensor(_RATES, dtype=y0.dtype, requires_grad=True),
    )
    return torch.autograd.grad(_solve(*leaves).ys.square().sum(), leaves)


def _scipy(y0: Tensor, rtol: float, atol: float, *, with_jacobian: bool) -> np.ndarray:
    jacobian = {"jac": _jacobian} if with_jacobian else {}
    ends = [
        solve_ivp(
            _field, (0, _END), start, "Radau", t_eval=[_END], rtol=rtol, atol=atol, **jacobian
        ).y[:, -1]
        for start in y0.numpy()
    ]
    return np.stack(ends)


def _field(t: float, y: np.ndarray) -> list[float]:
    a, b, c = y
    slow, middle, fast = _RATES[0] * a, _RATES[1] * b * c, _RATES[2] * b * b
    return [middle - slow, slow - middle - fast, fast]


def _jacobian(t: float, y: np.ndarray) -> list[list[float]]:
    _, b, c = y
    slow, middle, fast = _RATES
    return [
        [-slow, middle * c, middle * b],
        [slow, -middle * c - 2 * fast * b, -middle * b],
        [0, 2 * fast * b, 0],
    ]


def _error(found: object, exact: np.ndarray) -> float:
    return float(np.abs(np.asarray(found) / exact - 1).max())
