"""Laws of the Adams methods: declared orders on any grid, errors that follow the tolerance."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from model.ode.adams.solve_adams import solve_adams
from model.ode.adams.walk import walk_adams
from model.ode.differentiation import Adjoint
from model.ode.mesh import Mesh
from model.ode.problem import InitialValueProblem
from model.ode.solution import Solution
from model.ode.solve import solve
from model.ode.step_size import Tolerance
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


def _solve(problem: InitialValueProblem, tolerance: float = 1e-7) -> Solution:
    return solve_adams(
        problem,
        tolerance=Tolerance(tolerance, tolerance),
        max_steps=10_000,
        adjoint=Adjoint.DIRECT,
        parameters=(),
    )


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


def _solve_on_knots(problem: InitialValueProblem, knots: Tensor, order: int) -> Tensor:
    """Return the states at the query times with one order from the second knot on."""
    times = torch.cat([knots[:1], _first_interval(knots, order), knots[1:]])
    ramp = torch.arange(2, len(times) + 1).clamp(max=order)
    orders = torch.cat([ramp, ramp.new_zeros(1)]).unsqueeze(1)
    return walk_adams(
        problem, Mesh(times.unsqueeze(1)), orders, problem.query_times, keep_graph=True
    )


def _first_interval(knots: Tensor, order: int) -> Tensor:
    """Return times that divide the first interval, where the order rises from 2.

    The shortest piece e satisfies (8 e)^3 <= h^3 (h / span)^(order - 2), so that its error of order
    3 vanishes beside the others, which add up to h^order. Doubling at every piece would amplify
    rounding by about 2^(order^2 / 2); high orders therefore repeat each size.
    """
    first = float(knots[1] - knots[0])
    if order <= 2:
        return knots[:0]
    num_pieces = 3 + math.ceil(math.log2(float(knots[-1] - knots[0]) / first) * (order - 2) / 3)
    sizes = torch.arange(num_pieces).repeat_interleave(max(1, order // 3))
    reach = torch.exp2(sizes.double()).cumsum(0)
    return knots[0] + first * reach / (reach[-1] + 2.0**num_pieces)


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
        ys = _solve_on_knots(problem, knots, order)
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
    knots = 1.5 * _irregular(12) - 0.5
    ys = _solve_on_knots(problem, knots, order)
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


def test_a_step_costs_two_evaluations_and_a_start_as_well() -> None:
    calls = 0

    def field(t: Tensor, y: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return COSINE_GROWTH.vector_field(t, y)

    times = _times(COSINE_GROWTH)
    problem = COSINE_GROWTH.initial_value_problem(times)
    counted = InitialValueProblem(field, problem.y0, problem.t0, times)
    with torch.no_grad():
        found = _solve(counted).statistics
    num_steps = found.num_accepted_steps + found.num_rejected_steps
    assert int(found.num_function_evaluations) == calls == 2 * int(num_steps) + 2


def test_a_tight_tolerance_costs_less_than_half_of_a_fifth_order_method() -> None:
    problem = _OSCILLATOR.initial_value_problem(_times(_OSCILLATOR))
    adams, dopri5 = (
        int(
            solve(
                problem, method=method, rtol=1e-11, atol=1e-11
            ).statistics.num_function_evaluations
        )
        for method in ("adams", "dopri5")
    )
    assert adams < dopri5 / 2
