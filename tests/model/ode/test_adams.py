"""Laws of the Adams methods: declared orders on any grid, errors that follow the tolerance."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from model.ode.adams import solve_adams, solve_adams_on_knots
from model.ode.problem import InitialValueProblem
from model.ode.solution import Solution
from tests.model.ode.problems import (
    COSINE_GROWTH,
    PHARMACOKINETICS,
    SMOOTH,
    ExactProblem,
)

_BY_NAME = {problem.name: problem for problem in SMOOTH + PHARMACOKINETICS}
_OSCILLATOR = _BY_NAME["oscillator"]
# Errors of these grow little, so that they may be compared with the tolerance.
_TAME = [p for p in SMOOTH + PHARMACOKINETICS if not p.name.startswith("kepler")]


def _times(problem: ExactProblem, count: int = 23) -> Tensor:
    return torch.linspace(problem.t0, problem.t1, count, dtype=torch.float64).unsqueeze(0)


def _solve(problem: InitialValueProblem, tolerance: float = 1e-7, **options: int) -> Solution:
    with torch.no_grad():
        return solve_adams(problem, rtol=tolerance, atol=tolerance, **options)


def _relative_error(problem: ExactProblem, times: Tensor, ys: Tensor) -> float:
    exact = problem.exact(times)
    return float(((ys - exact).abs() / (1 + exact.abs())).max())


# ------------------------------------------------------------------------------------ order


def _uniform(num_steps: int) -> Tensor:
    return torch.linspace(0, 1, num_steps + 1, dtype=torch.float64)


def _irregular(num_steps: int) -> Tensor:
    """Neighboring steps differ by factors of up to 4, on every scale."""
    steps = np.resize([1.0, 2.5, 0.7, 3.0, 1.3], num_steps)
    return torch.from_numpy(np.concatenate([[0.0], steps.cumsum() / steps.sum()]))


@pytest.mark.parametrize("grid", [_uniform, _irregular])
@pytest.mark.parametrize("order", range(1, 9))
def test_steps_and_dense_output_converge_at_the_declared_order(
    order: int, grid: Callable[[int], Tensor]
) -> None:
    between = torch.from_numpy(np.random.default_rng(1).uniform(0, 6, 300))
    counts = [40, 80, 160] if order < 5 else [36, 54, 81]
    at_knots, at_random = [], []
    for num_steps in counts:
        knots = 6 * grid(num_steps)
        times = torch.cat([knots, between]).unsqueeze(0)
        problem = _OSCILLATOR.initial_value_problem(times)
        with torch.no_grad():
            ys = solve_adams_on_knots(problem, knots.unsqueeze(1), order=order).ys
        error = (ys - _OSCILLATOR.exact(times)).abs().amax(-1).squeeze(0)
        at_knots.append(float(error[: len(knots)].max()))
        at_random.append(float(error[len(knots) :].max()))
    for errors in (at_knots, at_random):
        slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
        assert slope == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("order", range(1, 9))
def test_a_polynomial_of_the_degree_of_the_order_is_exact(order: int) -> None:
    powers = torch.arange(order + 1)
    factors = torch.linspace(1, -2, order + 1, dtype=torch.float64)

    def exact(t: Tensor) -> Tensor:
        return (factors * t.unsqueeze(-1) ** powers).sum(-1, keepdim=True)

    def slope(t: Tensor, y: Tensor) -> Tensor:
        return (factors[1:] * powers[1:] * t.unsqueeze(-1) ** powers[:-1]).sum(-1, keepdim=True)

    times = torch.linspace(-0.5, 1.0, 40, dtype=torch.float64).unsqueeze(0)
    t0 = torch.full((1,), -0.5, dtype=torch.float64)
    problem = InitialValueProblem(slope, exact(t0), t0, times)
    knots = (1.5 * _irregular(12) - 0.5).unsqueeze(1)
    ys = solve_adams_on_knots(problem, knots, order=order).ys
    # The lower orders at the start leave an error, which no later step changes.
    offset = (ys - exact(times))[times >= knots[1]]
    torch.testing.assert_close(offset, offset[:1].expand_as(offset), rtol=0, atol=1e-11)
    assert float(offset.abs().max()) < 1e-5 or order == 1


# ------------------------------------------------------------------------------------ tolerance


@pytest.mark.parametrize("problem", _TAME, ids=lambda p: p.name)
def test_the_error_follows_the_tolerance(problem: ExactProblem) -> None:
    times = _times(problem)
    tolerances = [1e-4, 1e-7, 1e-10]
    errors = []
    for tolerance in tolerances:
        solution = _solve(problem.initial_value_problem(times), tolerance)
        assert bool(solution.succeeded.all())
        errors.append(_relative_error(problem, times, solution.ys))
    assert all(e <= 50 * tolerance for e, tolerance in zip(errors, tolerances, strict=True))
    slope = np.polyfit(np.log(tolerances), np.log(np.maximum(errors, 1e-14)), 1)[0]
    assert slope == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("eccentricity", [0.1, 0.5])
@pytest.mark.parametrize(("peer", "tolerance"), [("LSODA", 1e-6), ("DOP853", 1e-7)])
def test_an_orbit_costs_fewer_evaluations_than_a_peer_needs_for_its_error(
    eccentricity: float, peer: str, tolerance: float
) -> None:
    """The peer's tolerance is 1e-6; DOP853 is more accurate than it promises."""
    problem = _BY_NAME[f"kepler_{eccentricity}"]
    times = _times(problem)
    theirs, cost = _solve_with_scipy(problem, times, peer, 1e-6)
    ours = _solve(problem.initial_value_problem(times), tolerance)
    torch.testing.assert_close(ours.ys, theirs, rtol=1e-3, atol=1e-3)
    found = _relative_error(problem, times, ours.ys)
    assert found <= 1.1 * _relative_error(problem, times, theirs)
    assert int(ours.statistics.num_function_evaluations) < cost


def _solve_with_scipy(
    problem: ExactProblem, times: Tensor, method: str, tolerance: float
) -> tuple[Tensor, int]:
    def field(t: float, y: np.ndarray) -> np.ndarray:
        time = torch.tensor([t], dtype=torch.float64)
        return problem.vector_field(time, torch.from_numpy(y).unsqueeze(0))[0].numpy()

    found, steps_only = (
        solve_ivp(
            field,
            (problem.t0, problem.t1),
            problem.y0.numpy(),
            method=method,
            rtol=tolerance,
            atol=tolerance,
            t_eval=t_eval,
        )
        for t_eval in (times[0].numpy(), None)
    )
    # DOP853 evaluates the field for its dense output too; only its steps are counted.
    return torch.from_numpy(found.y.T).unsqueeze(0), int(steps_only.nfev)


def test_an_accepted_step_costs_two_evaluations_and_a_rejected_one() -> None:
    for problem in (COSINE_GROWTH, _BY_NAME["logistic"]):
        found = _solve(problem.initial_value_problem(_times(problem))).statistics
        accepted, rejected = found.num_accepted_steps, found.num_rejected_steps
        # The start: the derivative at t0, and one more for the first step.
        assert torch.equal(found.num_function_evaluations, 2 * accepted + rejected + 2)


def test_a_higher_order_needs_fewer_steps() -> None:
    problem = COSINE_GROWTH.initial_value_problem(_times(COSINE_GROWTH))
    low, middle, high = (
        int(_solve(problem, 1e-7, max_order=order).statistics.num_accepted_steps)
        for order in (4, 6, 12)
    )
    assert low > 1.5 * middle > 1.5 * high
