"""Problems with exact solutions, adaptive and on fixed grids, at times of each sample's own."""

import math

import pytest
import torch
from torch import Tensor

from model.ode import InitialValueProblem, Jumps, Options, solve
from tests.model.ode.problems import (
    NON_NORMAL,
    PHARMACOKINETICS,
    SMOOTH,
    ExactProblem,
    kaps,
    prothero_robinson,
)

EVERY = [*SMOOTH, *PHARMACOKINETICS, prothero_robinson(-1.0), kaps(1.0)]
BY_NAME = {problem.name: problem for problem in EVERY}
# Errors grow along the orbit, most where it is tight; the sine problem's values reach 1e4.
GROWTH = {"sine": 1e4, "kepler_0.1": 1e3, "kepler_0.5": 1e4, "kepler_0.9": 1e5, "cosine_growth": 30}


def _times(problem: ExactProblem, rows: int = 3, queries: int = 17) -> Tensor:
    """Random times; the first sample's lie in the first half of the span."""
    generator = torch.Generator().manual_seed(5)
    fraction = torch.rand(rows, queries, generator=generator, dtype=torch.float64)
    fraction[0] *= 0.5
    return problem.t0 + (problem.t1 - problem.t0) * fraction


def _error(problem: ExactProblem, **settings: object) -> float:
    times = _times(problem)
    solution = solve(problem.initial_value_problem(times), **settings)  # type: ignore[arg-type]
    assert bool(solution.succeeded.all())
    exact = problem.exact(times)
    return float(((solution.ys - exact).abs() / (1 + exact.abs())).max())


@pytest.mark.parametrize("method", ["dopri5", "tsit5"])
@pytest.mark.parametrize("problem", EVERY, ids=lambda one: one.name)
def test_the_error_follows_the_tolerance(problem: ExactProblem, method: str) -> None:
    growth = GROWTH.get(problem.name, 10)
    errors = [_error(problem, method=method, rtol=tol, atol=tol) for tol in (1e-5, 1e-8)]
    assert errors[0] < growth * 1e-5
    assert errors[1] < growth * 1e-8
    assert errors[1] < errors[0] / 20


@pytest.mark.parametrize("problem", PHARMACOKINETICS, ids=lambda one: one.name)
@pytest.mark.parametrize("num_steps", [200, 201])
def test_rk4_solves_the_pharmacokinetic_problems_on_a_fixed_grid(
    problem: ExactProblem, num_steps: int
) -> None:
    error = _error(problem, method="rk4", options=Options(num_steps=num_steps))
    assert error < 2e-5


@pytest.mark.parametrize("name", ["logistic", "rigid_body", "two_compartment_bolus", "oscillator"])
@pytest.mark.parametrize("method", ["euler", "midpoint", "rk4", "dopri5"])
def test_the_estimate_of_a_fixed_grid_is_near_its_error(name: str, method: str) -> None:
    problem = BY_NAME[name]
    times = _times(problem)
    solution = solve(
        problem.initial_value_problem(times),
        method=method,
        options=Options(num_steps=1600 if method == "euler" else 200, error_estimate=True),
    )
    error = (solution.ys - problem.exact(times)).abs().flatten(1).amax(1)
    assert solution.error_estimate is not None
    ratio = solution.error_estimate / error
    assert bool(((ratio > 0.5) & (ratio < 4)).all())


def test_a_dose_at_the_query_time_has_been_given() -> None:
    problem = BY_NAME["repeated_oral_doses"]
    times = torch.tensor([[0.0, 6.0, 12.0, 13.5]], dtype=torch.float64)
    for settings in ({}, {"method": "rk4", "options": Options(step_size=0.05)}):
        found = solve(problem.initial_value_problem(times), **settings).ys  # type: ignore[arg-type]
        torch.testing.assert_close(found, problem.exact(times), rtol=1e-5, atol=1e-5)
        assert float(found[0, 0, 0]) == 100.0


def test_each_patient_has_its_own_doses() -> None:
    """Superposition: dose times and amounts differ by patient, some have fewer doses."""
    times = torch.tensor([[1.0, 3.0], [2.5, 0.5], [4.0, 4.0]], dtype=torch.float64)
    doses = Jumps(
        torch.tensor([[0.5, 2.0], [math.inf, 1.0], [math.inf, math.inf]], dtype=torch.float64),
        torch.tensor([[[1.0], [2.0]], [[9.0], [4.0]], [[9.0], [9.0]]], dtype=torch.float64),
    )
    y0 = torch.tensor([[0.0], [1.0], [5.0]], dtype=torch.float64)
    problem = InitialValueProblem(lambda t, y: -y, y0, torch.zeros(3).double(), times, doses)
    expected = y0 * torch.exp(-times)
    for dose in range(2):
        since = times - doses.times[:, dose : dose + 1]
        curve = doses.amounts[:, dose] * torch.exp(-since.clamp(min=0))
        expected = expected + torch.where(since >= 0, curve, torch.zeros_like(curve))
    for settings in ({}, {"method": "rk4", "options": Options(num_steps=100)}):
        found = solve(problem, **settings).ys  # type: ignore[arg-type]
        torch.testing.assert_close(found[..., 0], expected, rtol=1e-6, atol=1e-6)


def test_the_gradient_in_the_matrix_is_the_derivative_of_the_exponential() -> None:
    """Against scipy's Frechet derivative of expm."""
    from scipy.linalg import expm_frechet  # noqa: PLC0415  needed here only

    matrix = NON_NORMAL.clone().requires_grad_()
    y0 = torch.tensor([[1.0, -0.5, 0.25]], dtype=torch.float64)
    cotangent = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    times = torch.tensor([[1.7]], dtype=torch.float64)
    problem = InitialValueProblem(
        lambda t, y: y @ matrix.T, y0, torch.zeros(1, dtype=torch.float64), times
    )
    ys = solve(problem, method="dopri5", rtol=1e-10, atol=1e-12).ys
    (found,) = torch.autograd.grad((ys[0, 0] * cotangent).sum(), matrix)
    scaled = 1.7 * NON_NORMAL.numpy()
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for row in range(3):
        for column in range(3):
            direction = torch.zeros(3, 3, dtype=torch.float64)
            direction[row, column] = 1.7
            change = torch.from_numpy(expm_frechet(scaled, direction.numpy(), compute_expm=False))
            expected[row, column] = cotangent @ change @ y0[0]
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)
