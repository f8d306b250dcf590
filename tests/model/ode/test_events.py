"""Events: exact times, exact gradients, and nobody's event depends on anybody else."""

import pytest
import torch
from torch import Tensor

from model.ode import InitialValueProblem, Options, Status, solve_event

METHODS = ["rk4", "dopri5", "tsit5", "adams", "radau"]
GRID = {"rk4": Options(num_steps=400)}


def _height(t: Tensor, y: Tensor) -> Tensor:
    return y[:, 0]


def _falling(gravity: Tensor, start: Tensor, horizon: float) -> InitialValueProblem:
    """Height and speed under gravity; from time zero."""

    def field(t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([y[:, 1], -gravity.expand(len(y))], dim=1)

    zero = torch.zeros(len(start), dtype=torch.float64)
    return InitialValueProblem(field, start, zero, (zero + horizon).unsqueeze(1))


@pytest.mark.parametrize("method", METHODS)
def test_a_ball_hits_the_ground_when_it_must_and_the_gradient_knows(method: str) -> None:
    """t = sqrt(2 h / g), dt/dg = -t / 2g, dt/dh = t / 2h; the speed there is -sqrt(2 g h)."""
    gravity = torch.tensor(9.81, dtype=torch.float64, requires_grad=True)
    heights = torch.tensor([1.0, 2.0, 7.5], dtype=torch.float64, requires_grad=True)
    start = torch.stack([heights, torch.zeros_like(heights)], dim=1)
    hit = solve_event(
        _falling(gravity, start, 3.0),
        _height,
        method=method,
        options=GRID.get(method),
        parameters=[gravity],
    )
    exact = (2 * heights / gravity).sqrt()
    assert bool(hit.found.all())
    torch.testing.assert_close(hit.times, exact, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(hit.ys[:, 1], -(2 * gravity * heights).sqrt(), rtol=1e-6, atol=1e-6)
    for value, expected in ((hit.times, exact), (hit.ys[:, 1], -(2 * gravity * heights).sqrt())):
        found = torch.autograd.grad(value.sum(), [gravity, heights], retain_graph=True)
        closed = torch.autograd.grad(expected.sum(), [gravity, heights], retain_graph=True)
        for one, other in zip(found, closed, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_a_ball_bounces_again_and_again() -> None:
    """After bounce k it flies 2 e^k sqrt(2 h / g): starting at the ground is not hitting it."""
    gravity = torch.tensor(9.81, dtype=torch.float64, requires_grad=True)
    elasticity, height = 0.8, torch.tensor([1.0, 3.0], dtype=torch.float64)
    state = torch.stack([height, torch.zeros_like(height)], dim=1)
    elapsed = exact = torch.zeros(2, dtype=torch.float64)
    for bounce in range(4):
        hit = solve_event(_falling(gravity, state, 2.5), _height)
        elapsed = elapsed + hit.times
        fall = (2 * height / gravity).sqrt()
        exact = fall * (1 + 2 * sum(elasticity**k for k in range(1, bounce + 1)))
        torch.testing.assert_close(elapsed, exact, rtol=1e-6, atol=1e-6)
        state = torch.stack([torch.zeros(2).double(), -elasticity * hit.ys[:, 1]], dim=1)
    (found,) = torch.autograd.grad(elapsed.sum(), gravity, retain_graph=True)
    (expected,) = torch.autograd.grad(exact.sum(), gravity)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_a_projectile_is_highest_where_its_speed_is_zero() -> None:
    gravity = torch.tensor(9.81, dtype=torch.float64)
    speeds = torch.tensor([3.0, 12.0], dtype=torch.float64, requires_grad=True)
    start = torch.stack([torch.zeros(2).double(), speeds], dim=1)
    top = solve_event(_falling(gravity, start, 2.0), lambda t, y: y[:, 1])
    torch.testing.assert_close(top.times, speeds / 9.81, rtol=1e-7, atol=0)
    torch.testing.assert_close(top.ys[:, 0], speeds**2 / (2 * 9.81), rtol=1e-6, atol=0)
    (found,) = torch.autograd.grad(top.ys[:, 0].sum(), speeds)
    torch.testing.assert_close(found, speeds.detach() / 9.81, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("end", [4.0, -4.0])
def test_a_moving_level_is_crossed_where_the_lines_meet(end: float) -> None:
    """y = a t meets c + b t at c / (a - b), forward and backward in time."""
    slope = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    level = torch.tensor(1.5 if end > 0 else -1.5, dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(1, dtype=torch.float64)
    problem = InitialValueProblem(
        lambda t, y: slope.expand_as(y), zero.view(1, 1), zero, (zero + end).view(1, 1)
    )
    met = solve_event(problem, lambda t, y: y[:, 0] - level - 0.5 * t)
    exact = level / (slope - 0.5)
    torch.testing.assert_close(met.times[0], exact, rtol=1e-9, atol=0)
    found = torch.autograd.grad(met.times[0], [slope, level])
    for one, other in zip(found, torch.autograd.grad(exact, [slope, level]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=0)


def test_no_event_is_the_horizon_and_one_at_the_horizon_is_found() -> None:
    start = torch.tensor([[1.0], [3.0]], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    problem = InitialValueProblem(
        lambda t, y: -torch.ones_like(y), start, zero, torch.ones(2, 1, dtype=torch.float64)
    )
    solution = solve_event(problem, _height)
    assert solution.found.tolist() == [True, False]
    torch.testing.assert_close(solution.times, torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(solution.ys[:, 0], start[:, 0] - 1)


def test_an_event_does_not_depend_on_the_company() -> None:
    gravity = torch.tensor(9.81, dtype=torch.float64)
    start = torch.tensor([[1.0, 0.0], [40.0, 3.0], [0.2, -1.0]], dtype=torch.float64)
    together = solve_event(_falling(gravity, start, 2.0), _height)
    assert together.found.tolist() == [True, False, True]
    for row in range(3):
        alone = solve_event(_falling(gravity, start[row : row + 1], 2.0), _height)
        torch.testing.assert_close(alone.times[0], together.times[row], rtol=1e-12, atol=1e-12)


def test_an_event_before_an_explosion_is_found() -> None:
    """y' = y^2 from 1 reaches 2 at t = 1/2 and infinity at t = 1."""
    zero = torch.zeros(1, dtype=torch.float64)
    problem = InitialValueProblem(
        lambda t, y: y**2, zero.view(1, 1) + 1, zero, (zero + 1.5).view(1, 1)
    )
    solution = solve_event(problem, lambda t, y: y[:, 0] - 2, options=Options(max_steps=200))
    assert int(solution.status[0]) != int(Status.SUCCESS)
    torch.testing.assert_close(solution.times[0], zero[0] + 0.5, rtol=1e-6, atol=0)


def test_a_look_at_nothing_is_refused() -> None:
    problem = _falling(torch.tensor(1.0).double(), torch.ones(1, 2).double(), 1.0)
    with pytest.raises(ValueError, match="num_looks"):
        solve_event(problem, _height, num_looks=0)
