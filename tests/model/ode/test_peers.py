"""Agreement with torchdiffeq and torchode on the problems of their own tests.

Each problem is solved by the peer and by us, and both are held against the exact solution.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
import torchdiffeq
import torchode
from torch import Tensor, nn

from model.ode import odeint
from tests.model.ode.problems import SMOOTH

METHODS = ("dopri5", "tsit5", "adams", "radau")
EXACT = {problem.name: problem for problem in SMOOTH}
TOLERANCE = 1e-9
# Steps are held to the tolerance one by one; over a whole solution their errors add up and grow.
ALLOWED = 1e-6


def _close(found: Tensor, expected: Tensor, allowed: float = ALLOWED) -> None:
    torch.testing.assert_close(found, expected, rtol=allowed, atol=allowed)


# ------------------------------------------------------------------------------------ torchdiffeq


class _Constant(nn.Module):
    """y = a t + b, whatever the method, if it is consistent."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.2, dtype=torch.float64))
        self.b = nn.Parameter(torch.tensor(3.0, dtype=torch.float64))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.a + (y - (self.a * t + self.b)) ** 5

    def exact(self, t: Tensor, y0: Tensor) -> Tensor:
        return (self.a * t + self.b).unsqueeze(-1).detach()


class _Linear(nn.Module):
    """dy/dt = A y with a random skew A."""

    def __init__(self, width: int = 10) -> None:
        super().__init__()
        draw = torch.randn(
            width, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        )
        self.matrix = nn.Parameter(0.1 * (draw - draw.T))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return y @ self.matrix.T

    def exact(self, t: Tensor, y0: Tensor) -> Tensor:
        flow: Tensor = torch.linalg.matrix_exp((t - t[0]).view(-1, 1, 1) * self.matrix)
        return flow @ y0


class _Exponential(nn.Module):
    """dy/dt does not depend on y."""

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.exp(t).expand_as(y)

    def exact(self, t: Tensor, y0: Tensor) -> Tensor:
        return torch.exp(t).unsqueeze(-1)


class _Sine(nn.Module):
    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return 2 * y / t + t**4 * torch.sin(2 * t) - t**2 + 4 * t**3

    def exact(self, t: Tensor, y0: Tensor) -> Tensor:
        return EXACT["sine"].exact(t)


@dataclass(frozen=True)
class _Theirs:
    """One of torchdiffeq's problems, from 1 to 8 as in its tests."""

    field: _Constant | _Linear | _Exponential | _Sine
    y0: Tensor

    @property
    def times(self) -> Tensor:
        return torch.linspace(1, 8, 10, dtype=torch.float64)

    def exact(self) -> Tensor:
        return self.field.exact(self.times, self.y0)


def _one(value: Tensor | float) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64).reshape(1)


THEIRS = {
    "constant": _Theirs(_Constant(), _one(3.2)),
    "linear": _Theirs(_Linear(), torch.ones(10, dtype=torch.float64)),
    "exp": _Theirs(_Exponential(), _one(np.e)),
    "sine": _Theirs(_Sine(), EXACT["sine"].exact(torch.ones((), dtype=torch.float64))),
}


@cache
def _torchdiffeq(name: str) -> Tensor:
    one = THEIRS[name]
    with torch.no_grad():
        states: Tensor = torchdiffeq.odeint(
            one.field, one.y0, one.times, rtol=TOLERANCE, atol=TOLERANCE
        )
    return states


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", THEIRS)
def test_torchdiffeq_and_we_find_the_exact_solution(name: str, method: str) -> None:
    one = THEIRS[name]
    with torch.no_grad():
        ours = odeint(one.field, one.y0, one.times, rtol=TOLERANCE, atol=TOLERANCE, method=method)
        exact = one.exact()
    _close(ours, exact)
    _close(_torchdiffeq(name), exact)
    _close(ours, _torchdiffeq(name))


def _gradients(call: Callable[..., Tensor], one: _Theirs, **options: object) -> tuple[Tensor, ...]:
    y0 = one.y0.clone().requires_grad_()
    states = call(one.field, y0, one.times, rtol=TOLERANCE, atol=TOLERANCE, **options)
    weights = torch.linspace(-1, 1, states.numel(), dtype=states.dtype).view_as(states)
    return torch.autograd.grad((weights * states).sum(), [y0, *one.field.parameters()])


@cache
def _torchdiffeq_gradients(name: str, *, continuous: bool) -> tuple[Tensor, ...]:
    call = torchdiffeq.odeint_adjoint if continuous else torchdiffeq.odeint
    return _gradients(call, THEIRS[name])


@pytest.mark.parametrize(
    ("method", "adjoint"),
    [
        ("dopri5", "direct"),
        ("dopri5", "checkpoint"),
        ("dopri5", "backsolve"),
        ("dopri5", "interpolated"),
        ("adams", "checkpoint"),
        ("radau", "checkpoint"),
    ],
)
@pytest.mark.parametrize("name", ["constant", "linear"])
def test_torchdiffeq_and_we_find_the_same_gradients(name: str, method: str, adjoint: str) -> None:
    ours = _gradients(odeint, THEIRS[name], method=method, adjoint=adjoint)
    theirs = _torchdiffeq_gradients(name, continuous=adjoint == "backsolve")
    for found, expected in zip(ours, theirs, strict=True):
        _close(found, expected, 1e-5)


def test_gradients_of_the_linear_problem_are_those_of_the_exponential() -> None:
    def exponential(field: _Linear, y0: Tensor, times: Tensor, **_: object) -> Tensor:
        return field.exact(times, y0)

    exact = _gradients(exponential, THEIRS["linear"])
    for answers in (
        _gradients(odeint, THEIRS["linear"]),
        _torchdiffeq_gradients("linear", continuous=False),
    ):
        for found, expected in zip(answers, exact, strict=True):
            _close(found, expected)


@pytest.mark.parametrize("method", ["euler", "midpoint"])
def test_torchdiffeq_takes_the_same_fixed_steps(method: str) -> None:
    one = THEIRS["linear"]
    with torch.no_grad():
        ours = odeint(one.field, one.y0, one.times, method=method)
        theirs = torchdiffeq.odeint(one.field, one.y0, one.times, method=method)
    torch.testing.assert_close(ours, theirs)


# ------------------------------------------------------------------------------------ torchode


@pytest.mark.parametrize("method", ["dopri5", "tsit5"])
def test_torchode_and_we_agree_on_own_times_of_each_sample(method: str) -> None:
    """Its sine problem; y + c t^2 solves it too, which gives every sample its own trajectory."""
    generator = torch.Generator().manual_seed(9)
    shift = torch.rand(4, 1, generator=generator, dtype=torch.float64)
    times = 1 + 4 * torch.rand(4, 6, generator=generator, dtype=torch.float64).sort(1).values
    sine = EXACT["sine"]
    exact = sine.exact(times) + (shift * times**2).unsqueeze(-1)
    theirs, ours = (exact[:, 0].clone().requires_grad_() for _ in range(2))
    reference = torchode.solve_ivp(
        sine.vector_field,
        theirs,
        times,
        method=method,
        controller=torchode.IntegralController(TOLERANCE, TOLERANCE),
    ).ys
    found = odeint(sine.vector_field, ours, times, method=method, rtol=TOLERANCE, atol=TOLERANCE)
    _close(found, exact)
    _close(reference, exact)
    # y(t) = ... + c t^2 with c = (y0 - ...) / t0^2.
    slope = (times**2 / times[:, :1] ** 2).sum(1, keepdim=True)
    _close(torch.autograd.grad(found.sum(), ours)[0], slope)
    _close(torch.autograd.grad(reference.sum(), theirs)[0], slope)
