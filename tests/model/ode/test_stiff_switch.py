"""An adaptive explicit solve hands a stiff sample, and no other, over to Radau."""

import math

import pytest
import torch
from torch import Tensor

from model.ode import InitialValueProblem, Jumps, Options, Solution, Status, solve

RATES = torch.tensor([1.0, 2000.0, 3.0, 50_000.0], dtype=torch.float64)
TIMES = torch.tensor([[0.4, 2.0, 5.0]], dtype=torch.float64).repeat(4, 1)


# A hundred times the tolerance: Radau widens it tenfold, and the steps add up.
ALLOWED = 1e-5


class Relaxation:
    """y' = -rate (y - level cos t), each sample with its own rate: stiff where it is large."""

    def __init__(self, rates: Tensor, level: Tensor) -> None:
        self.rates, self.level = rates, level

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return -self.rates.unsqueeze(1) * (y - self.level * t.cos().unsqueeze(1))

    def for_samples(self, samples: Tensor) -> "Relaxation":
        return Relaxation(self.rates[samples], self.level)


def _exact(rates: Tensor, times: Tensor, y0: float = 0.0) -> Tensor:
    """(r^2 cos t + r sin t) / (1 + r^2) and a transient that dies with exp(-r t)."""
    rates = rates.unsqueeze(1)
    slow = (rates**2 * times.cos() + rates * times.sin()) / (1 + rates**2)
    return slow + (y0 - rates**2 / (1 + rates**2)) * torch.exp(-rates * times)


def _problem(
    rates: Tensor = RATES,
    times: Tensor = TIMES,
    jumps: Jumps | None = None,
    level: Tensor | None = None,
) -> InitialValueProblem:
    rows = len(rates)
    level = torch.ones((), dtype=torch.float64) if level is None else level
    y0, t0 = torch.zeros(rows, 1, dtype=torch.float64), torch.zeros(rows, dtype=torch.float64)
    return InitialValueProblem(Relaxation(rates, level), y0, t0, times[:rows], jumps)


def _solve(
    problem: InitialValueProblem, method: str = "dopri5", options: Options | None = None
) -> Solution:
    return solve(problem, method=method, rtol=1e-7, atol=1e-7, options=options)


@pytest.mark.parametrize("method", ["dopri5", "tsit5"])
def test_only_the_stiff_samples_move_and_all_are_right(method: str) -> None:
    solution = _solve(_problem(), method)
    assert bool(solution.succeeded.all())
    assert torch.equal(solution.last_times, TIMES[:, -1])
    assert (solution.statistics.num_jacobians > 0).tolist() == [False, True, False, True]
    torch.testing.assert_close(solution.ys[..., 0], _exact(RATES, TIMES), rtol=0, atol=ALLOWED)


def test_without_the_switch_a_stiff_sample_runs_out_of_steps() -> None:
    stubborn = _solve(_problem(), options=Options(switch_when_stiff=False, max_steps=1000))
    free = _solve(_problem(), options=Options(max_steps=1000))
    assert stubborn.status.tolist()[1::2] == [int(Status.TOO_MANY_STEPS)] * 2
    assert bool(free.succeeded.all())
    assert int(free.statistics.num_function_evaluations.max()) < 1500
    assert torch.equal(stubborn.ys[::2], free.ys[::2])


def test_a_stiff_companion_does_not_change_an_answer() -> None:
    alone = _solve(_problem(RATES[:1]))
    together = _solve(_problem())
    torch.testing.assert_close(alone.ys[0], together.ys[0], rtol=1e-13, atol=1e-13)
    stiff_alone = _solve(_problem(RATES[3:], TIMES[3:]))
    torch.testing.assert_close(stiff_alone.ys[0], together.ys[3], rtol=1e-10, atol=1e-10)


def test_queries_on_both_sides_of_the_handover_are_one_curve() -> None:
    times = torch.linspace(0, 1.5, 400, dtype=torch.float64).repeat(4, 1)
    found = _solve(_problem(times=times)).ys[..., 0]
    torch.testing.assert_close(found, _exact(RATES, times), rtol=0, atol=ALLOWED)


def test_jumps_after_the_handover_are_added() -> None:
    """The transient that a jump of 1 starts dies at once: only a query at its very time sees it."""
    moments = torch.tensor([[3.0, math.inf]], dtype=torch.float64).repeat(4, 1)
    jumps = Jumps(moments, torch.ones(4, 2, 1, dtype=torch.float64))
    times = torch.tensor([[2.9, 3.0, 4.0]], dtype=torch.float64).repeat(4, 1)
    found = _solve(_problem(times=times, jumps=jumps)).ys[..., 0]
    since = (times - 3.0).clamp(min=0)
    added = torch.where(times >= 3.0, torch.exp(-RATES.unsqueeze(1) * since), 0.0)
    torch.testing.assert_close(found, _exact(RATES, times) + added, rtol=0, atol=ALLOWED)


@pytest.mark.parametrize("adjoint", ["direct", "checkpoint", "backsolve", "interpolated"])
def test_the_gradient_runs_through_the_handover(adjoint: str) -> None:
    """From zero the solution is linear in the level: its derivative is the solution at level 1."""
    level = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    solution = solve(
        _problem(level=level), adjoint=adjoint, rtol=1e-7, atol=1e-7, parameters=[level]
    )
    for row in range(len(RATES)):
        (found,) = torch.autograd.grad(solution.ys[row].sum(), level, retain_graph=True)
        torch.testing.assert_close(found, solution.ys[row].sum().detach(), rtol=1e-5, atol=1e-6)
