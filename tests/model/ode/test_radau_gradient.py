"""Laws of the Radau solver's gradient: closed forms, differences, scipy, samples that do not touch."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm_frechet
from torch import Tensor

from model.ode.problem import InitialValueProblem, Jumps, VectorField
from model.ode.radau.solve_radau import solve_radau
from model.ode.step_size import Tolerance
from tests.model.ode.problems import NON_NORMAL
from tests.model.ode.stiff_problems import (
    HIRES,
    OREGONATOR,
    VAN_DER_POL,
    StiffProblem,
    robertson_with_rates,
)

_TIMES = torch.tensor([[0.0, 0.31, 1.27, 2.0], [0.5, 0.9, 2.0, 1.99]], dtype=torch.float64)


def _on_given_steps(
    rates: Tensor, y0: Tensor, t0: Tensor, times: Tensor, knots: Tensor, amounts: Tensor
) -> Tensor:
    """Solve a stiff and nonlinear problem whose steps are bounded by jumps, so that they stay."""

    def field(t: Tensor, y: Tensor) -> Tensor:
        a, b = y.unbind(-1)
        fast = -rates[0] * (a - b * b) + torch.sin(3 * t)
        return torch.stack([fast, -rates[1] * b + 0.5 * a * torch.cos(t)], -1)

    last = torch.full((len(y0), 1), 2.2, dtype=torch.float64)
    problem = InitialValueProblem(field, y0, t0, torch.cat([times, last], 1), Jumps(knots, amounts))
    solution = solve_radau(problem, tolerance=Tolerance(1e-9, 1e-10), step_size=9.0)
    assert bool(solution.succeeded.all())
    return solution.ys[:, :-1]


def _inputs() -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(2)
    amounts = 0.1 * torch.rand(2, 5, 2, generator=generator, dtype=torch.float64)
    knots = torch.tensor([0.4, 0.8, 1.1, 1.6, math.inf], dtype=torch.float64).repeat(2, 1)
    inputs = (
        torch.tensor([300.0, 0.8], dtype=torch.float64),
        torch.tensor([[1.0, 0.9], [0.2, 1.1]], dtype=torch.float64),
        torch.tensor([-0.1, 0.2], dtype=torch.float64),
        _TIMES,
        knots,
        amounts,
    )
    return tuple(one.requires_grad_() for one in inputs)


def test_gradcheck_by_parameters_state_times_and_jumps() -> None:
    assert torch.autograd.gradcheck(_on_given_steps, _inputs(), eps=1e-6, atol=2e-5, rtol=1e-4)


def test_the_values_are_those_of_the_solve_without_gradient() -> None:
    with torch.no_grad():
        expected = _on_given_steps(*_inputs())
    assert torch.equal(_on_given_steps(*_inputs()), expected)


def test_the_gradient_of_an_exponential_is_its_frechet_derivative() -> None:
    matrix = NON_NORMAL.clone().requires_grad_()
    y0 = torch.tensor([[1.0, -0.5, 0.25]], dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    problem = InitialValueProblem(
        lambda t, y: y @ matrix.T, y0, torch.zeros(1).double(), torch.full((1, 1), 3.0).double()
    )
    value = solve_radau(problem, tolerance=Tolerance(1e-10, 1e-12)).ys[0, 0] @ weights
    by_matrix, by_y0 = torch.autograd.grad(value, [matrix, y0])
    outer = np.outer(weights.numpy(), y0.detach().numpy()[0])
    power, frechet = expm_frechet(3.0 * NON_NORMAL.numpy().T, 3.0 * outer)
    np.testing.assert_allclose(by_matrix, frechet, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(by_y0[0], power @ weights.numpy(), rtol=1e-7)


def test_the_gradient_by_query_time_is_the_vector_field() -> None:
    times = torch.tensor([[0.0, 0.7, 1.9, 4.0]], dtype=torch.float64, requires_grad=True)
    y0 = torch.ones(1, 1, dtype=torch.float64)
    problem = InitialValueProblem(
        lambda t, y: y * t.cos().unsqueeze(1), y0, torch.zeros(1).double(), times
    )
    ys = solve_radau(problem, tolerance=Tolerance(1e-10, 1e-12)).ys
    (gradient,) = torch.autograd.grad(ys.sum(), times)
    exact = times.cos() * times.sin().exp()
    torch.testing.assert_close(gradient, exact.detach(), rtol=1e-5, atol=1e-5)


def test_the_gradient_by_start_time_is_minus_the_flow_of_the_vector_field() -> None:
    t0 = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    problem = InitialValueProblem(
        lambda t, y: y * t.cos().unsqueeze(1),
        torch.ones(1, 1, dtype=torch.float64),
        t0,
        torch.full((1, 1), 4.0, dtype=torch.float64),
    )
    ys = solve_radau(problem, tolerance=Tolerance(1e-11, 1e-13)).ys
    (gradient,) = torch.autograd.grad(ys.sum(), t0)
    exact = -math.cos(0.3) * math.exp(math.sin(4.0) - math.sin(0.3))
    assert float(gradient) == pytest.approx(exact, rel=1e-6)


def test_backward_in_time_with_jumps() -> None:
    amounts = torch.tensor([[[3.0], [5.0]]], dtype=torch.float64, requires_grad=True)
    knots = torch.tensor([[2.0, 1.0]], dtype=torch.float64, requires_grad=True)
    y0 = torch.tensor([[7.0]], dtype=torch.float64, requires_grad=True)
    problem = InitialValueProblem(
        lambda t, y: -0.5 * y,
        y0,
        torch.full((1,), 2.0).double(),
        torch.tensor([[0.0, 2.0]], dtype=torch.float64),
        Jumps(knots, amounts),
    )
    ys = solve_radau(problem, tolerance=Tolerance(1e-11, 1e-13)).ys
    found = torch.autograd.grad(ys[0, 0, 0], [y0, amounts])
    assert float(found[0]) == pytest.approx(math.e, rel=1e-8)
    assert found[1].flatten().tolist() == pytest.approx([-math.e, -math.exp(0.5)], rel=1e-8)
    assert (
        float(
            torch.autograd.grad(
                solve_radau(problem, tolerance=Tolerance(1e-11, 1e-13)).ys[0, 1, 0], y0
            )[0]
        )
        == 1.0
    )


def _robertson_by_scipy(rates: np.ndarray) -> np.ndarray:
    def field(t: float, y: np.ndarray) -> list[float]:
        slow, middle, fast = rates[0] * y[0], rates[1] * y[1] * y[2], rates[2] * y[1] ** 2
        return [middle - slow, slow - middle - fast, fast]

    found = solve_ivp(field, (0, 1e4), [1.0, 0.0, 0.0], method="LSODA", rtol=1e-11, atol=1e-15)
    end: np.ndarray = found.y[:, -1]
    return end


def test_the_gradient_of_robertson_agrees_with_differences_of_scipy() -> None:
    """By the logarithms of the rates: the rates themselves differ by nine orders of magnitude."""
    rates = torch.tensor([0.04, 1e4, 3e7], dtype=torch.float64, requires_grad=True)
    problem = InitialValueProblem(
        lambda t, y: robertson_with_rates(rates, y),
        torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64),
        torch.zeros(1).double(),
        torch.full((1, 1), 1e4).double(),
    )
    ys = solve_radau(problem, tolerance=Tolerance(1e-7, 1e-12)).ys[0, 0]
    for component in range(2):
        (gradient,) = torch.autograd.grad(ys[component], rates, retain_graph=True)
        for one in range(3):
            high, low = (rates.detach().numpy().copy() for _ in range(2))
            high[one] *= math.exp(1e-3)
            low[one] *= math.exp(-1e-3)
            difference = (_robertson_by_scipy(high) - _robertson_by_scipy(low))[component] / 2e-3
            assert (gradient[one] * rates[one]).item() == pytest.approx(difference, rel=1e-4)


def test_the_gradient_of_a_sample_does_not_depend_on_its_company() -> None:
    y0 = torch.tensor([[1.0], [0.5], [2.0]], dtype=torch.float64, requires_grad=True)
    ends = torch.tensor([[1.0], [30.0], [4.0]], dtype=torch.float64)

    def solve(rows: slice) -> Tensor:
        problem = InitialValueProblem(
            lambda t, y: -(y**3) / 2, y0[rows], torch.zeros(len(y0[rows])).double(), ends[rows]
        )
        return solve_radau(problem, tolerance=Tolerance(1e-7, 1e-9)).ys.sum()

    (together,) = torch.autograd.grad(solve(slice(None)), y0)
    for one in range(3):
        (alone,) = torch.autograd.grad(solve(slice(one, one + 1)), y0)
        torch.testing.assert_close(together[one], alone[one], rtol=1e-10, atol=0)
    exact = (1 + y0**2 * ends) ** -1.5
    torch.testing.assert_close(together, exact.detach(), rtol=1e-4, atol=0)


def test_a_module_trains_through_it() -> None:
    generator = torch.Generator().manual_seed(0)
    layer = torch.nn.Linear(2, 2).double()
    with torch.no_grad():
        layer.weight.copy_(torch.randn(2, 2, generator=generator, dtype=torch.float64))
        layer.bias.zero_()

    def loss() -> Tensor:
        problem = InitialValueProblem(
            lambda t, y: torch.tanh(layer(y)) - 2 * y,
            torch.ones(4, 2, dtype=torch.float64),
            torch.zeros(4).double(),
            torch.linspace(0, 1, 5).double().repeat(4, 1),
        )
        return solve_radau(problem, tolerance=Tolerance(1e-9, 1e-11)).ys.square().sum()

    loss().backward()
    gradient = layer.weight.grad
    assert gradient is not None
    with torch.no_grad():
        layer.weight[0, 1] += 1e-4
        high = loss()
        layer.weight[0, 1] -= 2e-4
        low = loss()
    assert float(gradient[0, 1]) == pytest.approx(float(high - low) / 2e-4, rel=1e-4)


def test_it_is_differentiable_only_once() -> None:
    y0 = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    problem = InitialValueProblem(
        lambda t, y: -(y**2), y0, torch.zeros(1).double(), torch.ones(1, 1).double()
    )
    ys = solve_radau(problem, tolerance=Tolerance(1e-6, 1e-9)).ys
    with pytest.raises(RuntimeError, match="once"):
        torch.autograd.grad(ys.sum(), y0, create_graph=True)


class _RateOfEachSample:
    """y' = -rate y (y - 1) with a rate of its own for each sample."""

    def __init__(self, rates: Tensor) -> None:
        self._rates = rates

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return -self._rates.unsqueeze(1) * y * (y - 1)

    def for_samples(self, samples: Tensor) -> VectorField:
        return _RateOfEachSample(self._rates[samples])


def test_a_field_may_hold_something_for_each_sample() -> None:
    rates = torch.tensor([0.1, 5.0, 1.0], dtype=torch.float64, requires_grad=True)
    times = torch.tensor([[9.0], [0.2], [1.0]], dtype=torch.float64)
    problem = InitialValueProblem(
        _RateOfEachSample(rates), torch.full((3, 1), 0.2).double(), torch.zeros(3).double(), times
    )
    ys = solve_radau(problem, tolerance=Tolerance(1e-9, 1e-11)).ys
    exact = 1 / (1 + 4 * torch.exp(-rates.unsqueeze(1) * times))
    torch.testing.assert_close(ys[..., 0], exact, rtol=1e-6, atol=0)
    (found,) = torch.autograd.grad(ys.sum(), rates)
    (expected,) = torch.autograd.grad(exact.sum(), rates)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("problem", [VAN_DER_POL, HIRES, OREGONATOR], ids=lambda one: one.name)
def test_the_gradient_at_a_published_end_is_the_difference_of_nearby_solutions(
    problem: StiffProblem,
) -> None:
    """Along one direction in y0: from the gradient, and from two solutions beside the first."""
    y0 = torch.tensor(problem.y0, dtype=torch.float64)
    direction = torch.linspace(1.0, -0.5, len(y0), dtype=torch.float64) * y0.abs().clamp(min=1e-3)
    shifts = torch.tensor([0.0, 1e-5, -1e-5], dtype=torch.float64)
    starts = (y0 + shifts.unsqueeze(1) * direction).requires_grad_()
    ends = torch.full((3, 1), problem.end, dtype=torch.float64)
    whole = InitialValueProblem(problem.vector_field, starts, torch.zeros(3).double(), ends)
    ys = solve_radau(whole, tolerance=Tolerance(1e-9, 1e-12)).ys[:, 0]
    scaled = (ys / torch.tensor(problem.y_end, dtype=torch.float64)).sum(1)
    (gradient,) = torch.autograd.grad(scaled[0], starts)
    difference = (scaled[1] - scaled[2]).detach() / 2e-5
    torch.testing.assert_close(gradient[0] @ direction, difference, rtol=2e-3, atol=1e-5)
    assert bool((gradient[1:] == 0).all())
