"""Agreement with diffrax and scipy on the problems of their own tests.

Where a problem has no exact solution, the reference is far tighter than the tolerance.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from model.ode import InitialValueProblem, VectorField, odeint, solve
from tests.model.ode.problems import SMOOTH, ExactProblem
from tests.model.ode.stiff_problems import ROBERTSON

METHODS = ("dopri5", "tsit5", "adams", "radau")
EXACT = {problem.name: problem for problem in SMOOTH}
TOLERANCE = 1e-9
# Steps are held to the tolerance one by one; over a whole solution their errors add up and grow.
ALLOWED = 1e-6


def _close(found: Tensor, expected: Tensor, allowed: float = ALLOWED) -> None:
    torch.testing.assert_close(found, expected, rtol=allowed, atol=allowed)


# ------------------------------------------------------------------------------------ diffrax


@dataclass(frozen=True)
class _Detest:
    """A problem of Hull et al. 1972 that diffrax tests with; `field` works on any kind of number."""

    field: Callable[..., tuple]  # type: ignore[type-arg]
    y0: tuple[float, ...]


def _d3(t: object, a: float, b: float, c: float, d: float) -> tuple[float, ...]:
    cubed = (a**2 + b**2) ** 1.5
    return c, d, -a / cubed, -b / cubed


def _b4(t: object, a: float, b: float, c: float) -> tuple[float, ...]:
    radius = (a**2 + b**2) ** 0.5
    return -b - a * c / radius, a - b * c / radius, a / radius


DETEST = {
    "a4": _Detest(lambda t, y: (y / 4 * (1 - y / 20),), (1.0,)),
    "a5": _Detest(lambda t, y: ((y - t) / (y + t),), (4.0,)),
    "b1": _Detest(lambda t, a, b: (2 * (a - a * b), a * b - b), (1.0, 3.0)),
    "b3": _Detest(lambda t, a, b, c: (-a, a - b**2, b**2), (1.0, 0.0, 0.0)),
    "b4": _Detest(_b4, (3.0, 0.0, 0.0)),
    "b5": _Detest(lambda t, a, b, c: (b * c, -a * c, -0.51 * a * b), (0.0, 1.0, 1.0)),
    "d3": _Detest(_d3, (0.5, 0.0, 0.0, 3**0.5)),
    "e2": _Detest(lambda t, a, b: (b, (1 - a**2) * b - a), (2.0, 0.0)),
    "e4": _Detest(lambda t, a, b: (b, 0.032 - 0.4 * b**2), (30.0, 0.0)),
    "e5": _Detest(lambda t, a, b: (b, (1 + b**2) ** 0.5 / (25 - t)), (0.0, 0.0)),
}
DETEST_END = 10.0


@cache
def _diffrax_on_detest() -> dict[str, Tensor]:
    """Solve all of them as one system, which is compiled once."""

    def together(t: object, y: list[jax.Array], args: object) -> list[jax.Array]:
        parts = zip(DETEST.values(), y, strict=True)
        return [jnp.stack(one.field(t, *part)) for one, part in parts]

    with jax.enable_x64(True):
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(together),
            diffrax.Dopri5(),
            t0=0.0,
            t1=DETEST_END,
            dt0=None,
            y0=[jnp.array(one.y0) for one in DETEST.values()],
            stepsize_controller=diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE),
            max_steps=10_000,
        )
        ends = [torch.tensor(np.asarray(part)[0]) for part in solution.ys]
    return dict(zip(DETEST, ends, strict=True))


@cache
def _scipy_on_detest() -> dict[str, Tensor]:
    def end(one: _Detest) -> Tensor:
        found = solve_ivp(
            lambda t, y: one.field(t, *y), (0, DETEST_END), one.y0, "DOP853", rtol=1e-11, atol=1e-11
        )
        return torch.tensor(found.y[:, -1])

    return {name: end(one) for name, one in DETEST.items()}


@pytest.mark.parametrize("method", METHODS)
def test_diffrax_scipy_and_we_agree_on_detest(method: str) -> None:
    sizes = [len(one.y0) for one in DETEST.values()]

    def together(t: Tensor, y: Tensor) -> Tensor:
        parts = zip(DETEST.values(), y.split(sizes, dim=1), strict=True)
        rates = [rate for one, part in parts for rate in one.field(t, *part.unbind(1))]
        return torch.stack(rates, dim=1)

    start = [value for one in DETEST.values() for value in one.y0]
    end = _solved(together, torch.tensor([start], dtype=torch.float64), DETEST_END, method)
    ours = dict(zip(DETEST, end.split(sizes), strict=True))
    for peer in (_diffrax_on_detest(), _scipy_on_detest()):
        torch.testing.assert_close(ours, peer, rtol=1e-5, atol=1e-5)


def _solved(field: VectorField, y0: Tensor, end: float, method: str) -> Tensor:
    """Return the state at the end, from time 0."""
    start = torch.zeros(1, dtype=y0.dtype)
    problem = InitialValueProblem(field, y0, start, start.unsqueeze(1) + end)
    with torch.no_grad():
        return solve(problem, method=method, rtol=TOLERANCE, atol=TOLERANCE).ys[0, 0]


def test_diffrax_and_we_agree_on_a_random_linear_system_and_its_gradients() -> None:
    rng = np.random.default_rng(5)
    matrix, y0 = rng.normal(size=(3, 3)), rng.normal(size=3)
    times = np.linspace(0, 2, 5)

    def total(matrix: jax.Array, y0: jax.Array) -> jax.Array:
        states: jax.Array = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, args: args @ y),
            diffrax.Dopri5(),
            t0=0.0,
            t1=2.0,
            dt0=None,
            y0=y0,
            args=matrix,
            saveat=diffrax.SaveAt(ts=jnp.asarray(times)),
            stepsize_controller=diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE),
            max_steps=256,
        ).ys
        return (states**2).sum()

    with jax.enable_x64(True):
        differentiated = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))
        value, slopes = differentiated(jnp.asarray(matrix), jnp.asarray(y0))
        theirs = [torch.tensor(np.asarray(one)) for one in (value, *slopes)]
    leaves = [torch.from_numpy(one).requires_grad_() for one in (matrix, y0)]
    moments = torch.from_numpy(times)
    ours = odeint(lambda t, y: leaves[0] @ y, leaves[1], moments, rtol=TOLERANCE, atol=TOLERANCE)
    exact = torch.linalg.matrix_exp(moments.view(-1, 1, 1) * leaves[0]) @ leaves[1]
    for states in (ours, exact):
        loss = states.square().sum()
        for found, expected in zip((loss, *torch.autograd.grad(loss, leaves)), theirs, strict=True):
            _close(found.detach(), expected)


# ------------------------------------------------------------------------------------ scipy


def _scipy(field: VectorField, y0: Tensor, span: tuple[float, float], method: str) -> Tensor:
    def right_hand_side(t: float, y: np.ndarray) -> np.ndarray:
        return field(torch.tensor([t], dtype=y0.dtype), torch.from_numpy(y).unsqueeze(0))[0].numpy()

    found = solve_ivp(right_hand_side, span, y0.numpy(), method, rtol=1e-8, atol=1e-10)
    return torch.tensor(found.y[:, -1])


@cache
def _scipy_on_rational(method: str) -> Tensor:
    one = EXACT["rational"]
    return _scipy(one.vector_field, one.y0, (one.t0, one.t1), method)


@pytest.mark.parametrize("peer", ["RK45", "DOP853", "Radau", "LSODA"])
@pytest.mark.parametrize("method", METHODS)
def test_scipy_and_we_find_the_rational_solution(method: str, peer: str) -> None:
    one: ExactProblem = EXACT["rational"]
    end = torch.tensor([[one.t1]], dtype=torch.float64)
    problem = one.initial_value_problem(end)
    with torch.no_grad():
        ours = solve(problem, method=method, rtol=TOLERANCE, atol=TOLERANCE).ys[0, 0]
    exact = one.exact(end)[0, 0]
    _close(ours, exact)
    _close(_scipy_on_rational(peer), exact)
    _close(ours, _scipy_on_rational(peer))


def _medazko(t: Tensor, y: Tensor) -> Tensor:
    """Medical Akzo Nobel, 20 cells: an antibody spreads in tissue that it binds to.

    Hairer, Wanner, Solving ODEs II; the boundary value drops from 2 to 0 at t = 5.
    """
    free, bound = y[:, ::2], y[:, 1::2]
    num_cells = free.shape[1]
    cell = 1 / num_cells
    depth = torch.arange(1, num_cells + 1, dtype=y.dtype) * cell - 1
    drift, spread = 2 * depth**3 / 16, depth**4 / 16
    inflow = torch.where(t <= 5, 2.0, 0.0).to(y).unsqueeze(1)
    before = torch.cat([inflow, free[:, :-1]], dim=1)
    after = torch.cat([free[:, 1:], free[:, -1:]], dim=1)
    binding = 100 * free * bound
    change = drift * (after - before) / (2 * cell) + spread * (before - 2 * free + after) / cell**2
    return torch.stack([change - binding, -binding], dim=2).flatten(1)


def test_scipy_and_we_agree_on_medazko() -> None:
    y0 = torch.tensor([0.0, 1.0], dtype=torch.float64).repeat(20)
    reference = _scipy(_medazko, y0, (0.0, 5.0), "LSODA")
    assert float(reference.max()) > 1
    _close(_solved(_medazko, y0.unsqueeze(0), 5.0, "radau"), reference)


def test_scipy_and_we_agree_on_robertson() -> None:
    """From 1e4 of the slow kind to t = 1e8, as in scipy's tests."""
    y0 = torch.tensor([1e4, 0, 0], dtype=torch.float64)
    reference = _scipy(ROBERTSON.vector_field, y0, (0.0, 1e8), "Radau")
    ours = _solved(ROBERTSON.vector_field, y0.unsqueeze(0), 1e8, "radau")
    torch.testing.assert_close(ours, reference, rtol=1e-5, atol=0.0)
