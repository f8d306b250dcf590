"""Laws of the fixed-grid solver: exact problems, declared orders, samples that do not touch."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from model.ode import EULER, MIDPOINT, RK4, ButcherTableau, HermiteInterpolant, solve_fixed_grid


def _decay_by_cosine(t: Tensor, y: Tensor) -> Tensor:
    """y' = y cos t, y = exp(sin t) (DETEST A3)."""
    return y * torch.cos(t).unsqueeze(-1)


def _solve(tableau: ButcherTableau, num_steps: int, span: float = 5.0) -> HermiteInterpolant:
    y0 = torch.ones(1, 1, dtype=torch.float64)
    dt = torch.full((1,), span / num_steps, dtype=torch.float64)
    return solve_fixed_grid(
        _decay_by_cosine, y0, t0=torch.zeros_like(dt), dt=dt, num_steps=num_steps, tableau=tableau
    )


def _slope(errors: list[float], steps: list[int]) -> float:
    return float(-np.polyfit(np.log(steps), np.log(errors), 1)[0])


@pytest.mark.parametrize("tableau", [EULER, MIDPOINT, RK4], ids=["euler", "midpoint", "rk4"])
def test_the_end_value_converges_at_the_declared_order(tableau: ButcherTableau) -> None:
    steps = [160, 320, 640, 1280]
    exact = math.exp(math.sin(5.0))
    errors = [abs(float(_solve(tableau, n).states[-1, 0, 0]) - exact) for n in steps]
    assert _slope(errors, steps) == pytest.approx(tableau.order, abs=0.15)


def test_dense_output_of_rk4_converges_at_order_four() -> None:
    times = torch.from_numpy(np.random.default_rng(0).uniform(0, 5, 400))
    exact = torch.exp(torch.sin(times))
    steps = [40, 80, 160, 320]
    errors = []
    for n in steps:
        found = _solve(RK4, n).evaluate(times, torch.zeros(400, dtype=torch.int64))
        errors.append(float((found[:, 0] - exact).abs().max()))
    assert _slope(errors, steps) == pytest.approx(4, abs=0.15)


@pytest.mark.parametrize("tableau", [EULER, MIDPOINT, RK4], ids=["euler", "midpoint", "rk4"])
def test_the_tableau_satisfies_the_order_conditions(tableau: ButcherTableau) -> None:
    c, b = tableau.c, tableau.b
    assert [sum(row) for row in tableau.a] == list(c)
    for power in range(tableau.order):
        assert sum(w * x**power for w, x in zip(b, c, strict=True)) * (power + 1) == 1
    if tableau.order >= 3:
        inner = [sum(a * x for a, x in zip(row, c, strict=False)) for row in tableau.a]
        assert sum(w * x for w, x in zip(b, inner, strict=True)) * 6 == 1


def test_a_cubic_solution_is_reproduced_between_the_knots() -> None:
    def cubic(t: Tensor, y: Tensor) -> Tensor:
        return (3 * t**2 - 4 * t + 1).unsqueeze(-1).expand_as(y)

    dt = torch.tensor([0.7, 0.3], dtype=torch.float64)
    t0 = torch.tensor([-1.0, 2.0], dtype=torch.float64)
    y0 = (t0**3 - 2 * t0**2 + t0).unsqueeze(-1)
    solution = solve_fixed_grid(cubic, y0, t0=t0, dt=dt, num_steps=4, tableau=RK4)
    samples = torch.arange(2).repeat(30)
    times = t0[samples] + torch.linspace(0, 1, 60, dtype=torch.float64) * 4 * dt[samples]
    exact = times**3 - 2 * times**2 + times
    torch.testing.assert_close(solution.evaluate(times, samples)[:, 0], exact)


def test_times_outside_the_grid_are_held_at_its_ends() -> None:
    solution = _solve(RK4, 10)
    times = torch.tensor([-3.0, 0.0, 5.0, 9.0], dtype=torch.float64)
    found = solution.evaluate(times, torch.zeros(4, dtype=torch.int64))
    assert found[0] == found[1]
    assert found[2] == found[3]


def test_more_steps_change_no_earlier_value() -> None:
    dt = torch.tensor([0.5], dtype=torch.float64)
    y0 = torch.ones(1, 1, dtype=torch.float64)
    short, long = (
        solve_fixed_grid(
            _decay_by_cosine, y0, t0=torch.zeros_like(dt), dt=dt, num_steps=n, tableau=RK4
        )
        for n in (4, 9)
    )
    assert torch.equal(short.states, long.states[:5])


def test_samples_are_solved_independently() -> None:
    generator = torch.Generator().manual_seed(3)
    y0 = torch.rand(6, 2, generator=generator, dtype=torch.float64)
    t0 = torch.rand(6, generator=generator, dtype=torch.float64)
    dt = 0.1 + torch.rand(6, generator=generator, dtype=torch.float64)
    together = solve_fixed_grid(_decay_by_cosine, y0, t0=t0, dt=dt, num_steps=5, tableau=RK4)
    y0_broken = y0.clone()
    y0_broken[2] = torch.nan
    broken = solve_fixed_grid(_decay_by_cosine, y0_broken, t0=t0, dt=dt, num_steps=5, tableau=RK4)
    others = [0, 1, 3, 4, 5]
    assert torch.equal(together.states[:, others], broken.states[:, others])
    for one in range(6):
        part = slice(one, one + 1)
        alone = solve_fixed_grid(
            _decay_by_cosine, y0[part], t0=t0[part], dt=dt[part], num_steps=5, tableau=RK4
        )
        torch.testing.assert_close(alone.states, together.states[:, part])


def test_the_gradient_is_that_of_the_exact_solution() -> None:
    y0 = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    rate = torch.tensor(-0.4, dtype=torch.float64, requires_grad=True)
    dt = torch.tensor([0.05], dtype=torch.float64)
    solution = solve_fixed_grid(
        lambda _, y: rate * y, y0, t0=torch.zeros_like(dt), dt=dt, num_steps=40, tableau=RK4
    )
    value = solution.evaluate(torch.tensor([1.83], dtype=torch.float64), torch.tensor([0]))
    by_y0, by_rate = torch.autograd.grad(value.sum(), [y0, rate])
    exact = math.exp(-0.4 * 1.83)
    assert float(by_y0) == pytest.approx(exact, rel=1e-7)
    assert float(by_rate) == pytest.approx(1.83 * exact, rel=1e-6)
