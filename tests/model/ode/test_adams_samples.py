"""Laws of the Adams methods for a batch: exact discrete gradients, samples that do not touch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from model.ode.adams import solve_adams, solve_adams_on_knots
from model.ode.adams_mesh import AdamsMesh
from model.ode.adams_replay import replay_adams
from model.ode.adams_search import AdamsSearch
from model.ode.problem import InitialValueProblem, Jumps
from model.ode.solution import Solution, Status
from model.ode.step_size import Tolerance
from tests.model.ode.problems import COSINE_GROWTH, DECAY, SMOOTH, ExactProblem

_OSCILLATOR = next(problem for problem in SMOOTH if problem.name == "oscillator")


def _times(problem: ExactProblem, count: int = 23) -> Tensor:
    return torch.linspace(problem.t0, problem.t1, count, dtype=torch.float64).unsqueeze(0)


def _solve(problem: InitialValueProblem, tolerance: float = 1e-7, **options: int) -> Solution:
    with torch.no_grad():
        return solve_adams(problem, rtol=tolerance, atol=tolerance, **options)


# ------------------------------------------------------------------------------------ gradients


class _Pendulum:
    """Damped, driven, not linear; `rate` is a parameter."""

    def __init__(self, rate: Tensor) -> None:
        self.rate = rate

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        angle, speed = y.unbind(-1)
        return torch.stack([speed, -self.rate * angle.sin() - 0.1 * speed + t.cos()], -1)


def _batch(seed: int = 0, num_samples: int = 5) -> InitialValueProblem:
    """Samples with their own start, direction, end, jumps and query times in no order."""
    random = np.random.default_rng(seed)
    t0 = torch.from_numpy(random.uniform(-1, 1, num_samples))
    sign = torch.tensor([1.0, -1.0]).repeat(num_samples)[:num_samples].double()
    span = torch.from_numpy(random.uniform(0.5, 4, (num_samples, 1)))
    inside = torch.from_numpy(random.uniform(0, 1, (num_samples, 7)))
    times = t0[:, None] + sign[:, None] * span * torch.cat([inside, inside[:, :2]], 1)
    jumps = Jumps(
        t0[:, None] + sign[:, None] * span * torch.tensor([[0.3, 0.05, torch.inf]]),
        torch.from_numpy(random.normal(size=(num_samples, 3, 2))),
    )
    y0 = torch.from_numpy(random.normal(size=(num_samples, 2)))
    rate = torch.tensor(2.0, dtype=torch.float64)
    return InitialValueProblem(_Pendulum(rate), y0, t0, times, jumps)


def test_the_gradient_is_that_of_the_discrete_solution() -> None:
    problem = _batch(num_samples=2)
    # The mesh reaches a little farther, so that a query time may be moved.
    beyond = (problem.end_times + 0.01 * problem.direction).unsqueeze(1)
    farther = replace(problem, query_times=torch.cat([problem.query_times, beyond], 1))
    search = AdamsSearch(farther, tolerance=Tolerance(1e-3, 1e-3), max_steps=999, max_order=12)
    mesh = AdamsMesh.of(search.run().segments, 2)
    assert problem.jumps is not None
    jump_times = problem.jumps.times

    def solve(y0: Tensor, rate: Tensor, times: Tensor, amounts: Tensor) -> Tensor:
        changed = InitialValueProblem(
            _Pendulum(rate), y0, problem.t0, problem.query_times, Jumps(jump_times, amounts)
        )
        return replay_adams(changed, mesh).evaluate(times, problem.direction)

    inputs = [problem.y0, torch.tensor(2.0).double(), problem.query_times, problem.jumps.amounts]
    leaves = [one.clone().requires_grad_() for one in inputs]
    assert torch.autograd.gradcheck(solve, leaves, eps=1e-5, atol=1e-6)


def test_the_solution_with_gradient_is_the_one_without() -> None:
    problem = _batch()
    without = _solve(problem).ys
    found = solve_adams(problem, rtol=1e-7, atol=1e-7).ys
    torch.testing.assert_close(found, without, rtol=1e-12, atol=1e-12)


def test_the_gradient_is_near_that_of_the_exact_solution() -> None:
    rate = torch.tensor(-0.4, dtype=torch.float64, requires_grad=True)
    y0 = torch.tensor([[1.5], [0.5]], dtype=torch.float64, requires_grad=True)
    times = torch.tensor([[1.83], [-1.2]], dtype=torch.float64, requires_grad=True)
    problem = InitialValueProblem(
        lambda t, y: rate * y, y0, torch.zeros(2, dtype=torch.float64), times
    )
    ys = solve_adams(problem, rtol=1e-10, atol=1e-10).ys
    found = torch.autograd.grad(ys.sum(), [rate, y0, times])
    exact = torch.autograd.grad((y0 * torch.exp(rate * times)).sum(), [rate, y0, times])
    torch.testing.assert_close(found, exact, rtol=1e-8, atol=1e-8)


# ------------------------------------------------------------------------------------ samples


def test_a_sample_alone_is_the_sample_in_any_batch() -> None:
    problem = _batch()
    together = _solve(problem)
    for i in (0, 3):
        alone = _solve(_pick(problem, torch.tensor([i])))
        assert torch.equal(alone.ys[0], together.ys[i])
        counts = alone.statistics.num_accepted_steps, alone.statistics.num_rejected_steps
        assert int(counts[0]) == int(together.statistics.num_accepted_steps[i])
        assert int(counts[1]) == int(together.statistics.num_rejected_steps[i])


def _pick(problem: InitialValueProblem, rows: Tensor) -> InitialValueProblem:
    assert problem.jumps is not None
    return InitialValueProblem(
        problem.vector_field,
        problem.y0[rows],
        problem.t0[rows],
        problem.query_times[rows],
        Jumps(problem.jumps.times[rows], problem.jumps.amounts[rows]),
    )


def test_permuted_samples_have_permuted_solutions() -> None:
    problem = _batch()
    rows = torch.tensor([3, 0, 4, 1, 2])
    assert torch.equal(_solve(_pick(problem, rows)).ys, _solve(problem).ys[rows])


def test_another_query_time_changes_no_answer() -> None:
    problem = _batch()
    middle = problem.t0[:, None] + 0.4 * (problem.end_times - problem.t0)[:, None]
    more = torch.cat([problem.query_times, middle, problem.t0[:, None]], 1)
    found = _solve(replace(problem, query_times=more))
    assert torch.equal(found.ys[:, :-2], _solve(problem).ys)
    assert torch.equal(found.ys[:, -1], problem.y0)


def test_duplicated_query_times_have_one_answer() -> None:
    ys = _solve(_batch()).ys
    assert torch.equal(ys[:, 7:], ys[:, :2])


def test_time_reversal_leads_back() -> None:
    problem = _batch()
    there = _solve(replace(problem, query_times=problem.end_times[:, None]), 1e-10).ys[:, 0]
    back = replace(problem, y0=there, t0=problem.end_times, query_times=problem.t0[:, None])
    torch.testing.assert_close(_solve(back, 1e-10).ys[:, 0], problem.y0, rtol=1e-7, atol=1e-7)


def test_the_value_at_a_jump_is_the_one_after_it_in_both_directions() -> None:
    jumps = Jumps(
        torch.tensor([[1.0]], dtype=torch.float64), torch.ones(1, 1, 1, dtype=torch.float64)
    )
    for start, end, value in ((0.0, 1.0, 3.0), (0.0, 2.0, 3.0), (2.0, 1.0, 2.0), (2.0, 0.0, 2.0)):
        problem = InitialValueProblem(
            lambda t, y: 0 * y,
            torch.full((1, 1), 2.0, dtype=torch.float64),
            torch.tensor([start], dtype=torch.float64),
            torch.tensor([[1.0, end]], dtype=torch.float64),
            jumps,
        )
        ys = _solve(problem).ys[0, :, 0]
        assert float(ys[0]) == value
        assert float(ys[1]) == (1.0 if end == 0.0 else value)


def test_t0_alone_needs_no_step() -> None:
    problem = DECAY.initial_value_problem(torch.zeros(2, 3, dtype=torch.float64))
    solution = _solve(problem)
    assert torch.equal(solution.ys, torch.ones(2, 3, 1, dtype=torch.float64))
    assert solution.statistics.num_accepted_steps.tolist() == [0, 0]


class _Decay:
    """Each sample has its own rate."""

    def __init__(self, rates: Tensor) -> None:
        self.rates = rates

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return -self.rates * y

    def for_samples(self, samples: Tensor) -> "_Decay":
        return _Decay(self.rates[samples])


def test_a_field_may_hold_something_for_each_sample() -> None:
    rates = torch.tensor([[0.1], [3.0], [0.5]], dtype=torch.float64, requires_grad=True)
    y0, ends = torch.ones(3, 1).double(), torch.tensor([[2.0], [1.0], [4.0]], dtype=torch.float64)
    problem = InitialValueProblem(_Decay(rates), y0, torch.zeros(3).double(), ends)
    ys = solve_adams(problem, rtol=1e-8, atol=1e-8).ys[:, 0]
    exact = torch.exp(-rates * ends)
    torch.testing.assert_close(ys, exact, rtol=1e-6, atol=1e-6)
    found, wanted = (torch.autograd.grad(one.sum(), rates)[0] for one in (ys, exact))
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


def test_a_tolerance_of_its_own_for_each_sample() -> None:
    problem = _OSCILLATOR.initial_value_problem(_times(_OSCILLATOR).repeat(2, 1))
    atol = torch.tensor([[1e-4], [1e-8]], dtype=torch.float64)
    with torch.no_grad():
        found = solve_adams(problem, rtol=0.0, atol=atol)
    for i, tolerance in enumerate((1e-4, 1e-8)):
        with torch.no_grad():
            alone = solve_adams(_pick_first(problem), rtol=0.0, atol=tolerance)
        assert torch.equal(found.ys[i], alone.ys[0])


def _pick_first(problem: InitialValueProblem) -> InitialValueProblem:
    first = slice(0, 1)
    return InitialValueProblem(
        problem.vector_field, problem.y0[first], problem.t0[first], problem.query_times[first]
    )


# ------------------------------------------------------------------------------------ failure


def test_a_sample_that_fails_harms_no_other() -> None:
    """y' = y^2 from 1 leaves the finite numbers at t = 1; NaN at the start; sqrt of less than 0."""
    rate = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    y0 = torch.tensor([[0.2], [1.0], [torch.nan], [-1.0]], dtype=torch.float64)
    times = torch.tensor([[0.5, 2.0]], dtype=torch.float64).repeat(4, 1)
    problem = InitialValueProblem(
        lambda t, y: rate * y**2, y0, torch.zeros(4, dtype=torch.float64), times
    )
    solution = solve_adams(problem, rtol=1e-5, atol=1e-5)
    exact = y0 / (1 - times * y0)
    assert solution.status[[0, 3]].tolist() == [Status.SUCCESS] * 2
    assert int(solution.status[1]) in (Status.STEP_UNDERFLOW, Status.NOT_FINITE)
    assert int(solution.status[2]) == Status.NOT_FINITE
    good = [0, 3]
    torch.testing.assert_close(solution.ys[good, :, 0], exact[good], rtol=1e-4, atol=1e-4)
    assert float(solution.ys[1, 0, 0].detach()) == pytest.approx(2.0, rel=1e-3)
    assert bool(solution.ys[1, 1].isnan().all())
    assert float(solution.last_times[1]) == pytest.approx(1.0, abs=1e-2)
    assert float(solution.last_times[2]) == 0.0
    (slope,) = torch.autograd.grad(solution.ys[good].sum(), [rate])
    assert bool(slope.isfinite())
    alone = InitialValueProblem(problem.vector_field, y0[good], problem.t0[good], times[good])
    assert torch.equal(_solve(alone, 1e-5).ys, _solve(problem, 1e-5).ys[good])


def test_too_many_steps_is_the_failure_of_one_sample() -> None:
    times = torch.tensor([[1.0, 1.0], [50.0, 0.01]], dtype=torch.float64)
    problem = _OSCILLATOR.initial_value_problem(times)
    solution = _solve(problem, 1e-7, max_steps=40)
    assert solution.status.tolist() == [Status.SUCCESS, Status.TOO_MANY_STEPS]
    assert bool(solution.ys[1, 0].isnan().all())
    torch.testing.assert_close(solution.ys[1, 1], _OSCILLATOR.exact(times[1, 1]), atol=1e-6, rtol=0)
    assert 0.01 < float(solution.last_times[1]) < 50


@pytest.mark.parametrize("time_dtype", [torch.float32, torch.float64])
def test_single_precision_states(time_dtype: torch.dtype) -> None:
    times = _times(COSINE_GROWTH)
    problem = replace(
        COSINE_GROWTH.initial_value_problem(times),
        vector_field=lambda t, y: y * t.cos().to(y).unsqueeze(-1),
        y0=COSINE_GROWTH.y0.float().unsqueeze(0),
        t0=torch.zeros(1, dtype=time_dtype),
        query_times=times.to(time_dtype),
    )
    solution = _solve(problem, 1e-5)
    assert solution.ys.dtype == torch.float32
    torch.testing.assert_close(
        solution.ys.double(), COSINE_GROWTH.exact(times), rtol=1e-4, atol=1e-4
    )


def test_no_samples_and_no_queries() -> None:
    problem = DECAY.initial_value_problem(torch.zeros(0, 3, dtype=torch.float64))
    assert _solve(problem).ys.shape == (0, 3, 1)
    problem = DECAY.initial_value_problem(torch.zeros(2, 0, dtype=torch.float64))
    assert _solve(problem).ys.shape == (2, 0, 1)


def test_what_is_out_of_range_is_refused() -> None:
    problem = DECAY.initial_value_problem(_times(DECAY))
    with pytest.raises(ValueError, match="`max_order` must be from 2 to 12, found 1"):
        _solve(problem, max_order=1)
    with pytest.raises(ValueError, match="`rtol` and `atol`"):
        solve_adams(problem, rtol=0.0, atol=0.0)
    knots = torch.tensor([[0.0], [2.0], [1.0], [5.0]], dtype=torch.float64)
    with pytest.raises(ValueError, match="strictly"):
        solve_adams_on_knots(problem, knots, order=2)
    with pytest.raises(ValueError, match="reach the farthest"):
        solve_adams_on_knots(problem, knots[:2], order=2)
