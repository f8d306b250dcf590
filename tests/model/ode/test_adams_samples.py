"""Laws of Adams solutions: gradients, independent samples, jumps, failures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from model.ode.adams.search import AdamsSearch
from model.ode.adams.solve_adams import solve_adams
from model.ode.adams.walk import walk_adams
from model.ode.differentiation import Adjoint
from model.ode.problem import InitialValueProblem, Jumps
from model.ode.solution import Solution, Status
from model.ode.step_size import Tolerance
from tests.model.ode.problems import COSINE_GROWTH, DECAY, SMOOTH, ExactProblem

_OSCILLATOR = next(problem for problem in SMOOTH if problem.name == "oscillator")


def _times(problem: ExactProblem, count: int = 23) -> Tensor:
    return torch.linspace(problem.t0, problem.t1, count, dtype=torch.float64).unsqueeze(0)


def _solve(
    problem: InitialValueProblem,
    tolerance: float | Tensor = 1e-7,
    *,
    max_steps: int = 10_000,
    adjoint: Adjoint = Adjoint.DIRECT,
    parameters: tuple[Tensor, ...] = (),
) -> Solution:
    return solve_adams(
        problem,
        tolerance=Tolerance(tolerance, tolerance),
        max_steps=max_steps,
        adjoint=adjoint,
        parameters=parameters,
    )


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
    found = AdamsSearch(farther, tolerance=Tolerance(1e-3, 1e-3), max_steps=999).run()
    assert found.mesh.jumps is not None

    def solve(y0: Tensor, rate: Tensor, times: Tensor, jumps: Tensor) -> Tensor:
        changed = InitialValueProblem(_Pendulum(rate), y0, problem.t0, times)
        mesh = replace(found.mesh, jumps=jumps)
        return walk_adams(changed, mesh, found.dense.orders, times, keep_graph=True)

    inputs = [problem.y0, torch.tensor(2.0).double(), problem.query_times, found.mesh.jumps]
    leaves = [one.clone().requires_grad_() for one in inputs]
    assert torch.autograd.gradcheck(solve, leaves, eps=1e-5, atol=1e-6)


def test_the_solution_with_gradient_is_the_one_without() -> None:
    problem = _batch()
    leaf = replace(problem, y0=problem.y0.clone().requires_grad_())
    ys = _solve(leaf).ys
    assert ys.requires_grad
    # The weights of the second time are rounded otherwise: far below the tolerance.
    torch.testing.assert_close(ys.detach(), _solve(problem).ys, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("adjoint", "error"),
    [
        (Adjoint.DIRECT, 1e-8),
        (Adjoint.CHECKPOINT, 1e-8),
        (Adjoint.BACKSOLVE, 1e-5),
        (Adjoint.INTERPOLATED, 1e-4),
    ],
)
def test_the_gradient_is_near_that_of_the_exact_solution(adjoint: Adjoint, error: float) -> None:
    """y' = rate y with jumps, forward and backward: in the rate, y0, t0, query times and amounts."""
    leaves = [
        torch.tensor(one, dtype=torch.float64, requires_grad=True)
        for one in (-0.4, [[1.5], [0.5]], [0.1, 0.2], [[1.83, 0.3], [-1.2, 0.15]])
    ]
    rate, y0, t0, times = leaves
    amounts = torch.tensor([[[0.7], [-0.2]]] * 2, dtype=torch.float64, requires_grad=True)
    at = torch.tensor([[0.9, 0.4], [-0.8, 0.1]], dtype=torch.float64)
    problem = InitialValueProblem(lambda t, y: rate * y, y0, t0, times, Jumps(at, amounts))
    ys = _solve(problem, 1e-10, adjoint=adjoint, parameters=(rate,)).ys
    exact = _exact_with_jumps(rate, y0, t0, times, Jumps(at, amounts))
    torch.testing.assert_close(ys, exact, rtol=1e-8, atol=1e-8)
    inputs = [*leaves, amounts]
    found, wanted = (torch.autograd.grad(one.sin().sum(), inputs) for one in (ys, exact))
    torch.testing.assert_close(found, wanted, rtol=error, atol=error)


def _exact_with_jumps(rate: Tensor, y0: Tensor, t0: Tensor, times: Tensor, jumps: Jumps) -> Tensor:
    late = times.unsqueeze(2) >= jumps.times.unsqueeze(1)
    after_start = (jumps.times > t0.unsqueeze(1)).unsqueeze(1)
    sign = late.double() - (~after_start).double()
    since = times.unsqueeze(2) - jumps.times.unsqueeze(1)
    added = sign.unsqueeze(-1) * jumps.amounts.unsqueeze(1) * torch.exp(rate * since).unsqueeze(-1)
    alone = y0.unsqueeze(1) * torch.exp(rate * (times - t0.unsqueeze(1))).unsqueeze(-1)
    return alone + added.sum(2)


def test_the_time_of_a_jump_has_a_gradient() -> None:
    inputs = [
        torch.tensor(one, dtype=torch.float64, requires_grad=True)
        for one in ([[1.5], [0.5]], [[0.9, 0.4], [-0.8, -0.3]], [[[0.7], [-0.2]]] * 2)
    ]
    y0, at, amounts = inputs
    rate, t0 = torch.tensor(-0.4).double(), torch.zeros(2).double()
    times = torch.tensor([[1.83, 0.6], [-1.2, -0.5]], dtype=torch.float64)
    problem = InitialValueProblem(lambda t, y: rate * y, y0, t0, times, Jumps(at, amounts))
    exact = _exact_with_jumps(rate, y0, t0, times, Jumps(at, amounts))
    for adjoint in (Adjoint.DIRECT, Adjoint.CHECKPOINT):
        ys = _solve(problem, 1e-10, adjoint=adjoint).ys
        found, wanted = (
            torch.autograd.grad(one.sin().sum(), inputs, retain_graph=True) for one in (ys, exact)
        )
        torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8)


def _gradients(adjoint: Adjoint) -> tuple[Tensor, list[Tensor], int]:
    """Return states, gradients and the bytes that autograd kept in a long solve."""
    rate = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    leaf = torch.tensor([[0.3, 0.0], [-1.0, 0.5]], dtype=torch.float64, requires_grad=True)
    times = torch.tensor([[70.0, 3.0], [20.0, 50.0]], dtype=torch.float64)
    long = InitialValueProblem(_Pendulum(rate), leaf, torch.zeros(2).double(), times)
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        ys = _solve(long, 1e-7, adjoint=adjoint).ys
    return ys, list(torch.autograd.grad(ys.sin().sum(), [rate, leaf])), sum(storages.values())


def test_checkpointing_gives_the_gradient_of_direct_for_less_memory() -> None:
    ys, gradients, memory = _gradients(Adjoint.DIRECT)
    ys_again, gradients_again, less = _gradients(Adjoint.CHECKPOINT)
    assert torch.equal(ys, ys_again)
    torch.testing.assert_close(gradients, gradients_again, rtol=1e-12, atol=1e-12)
    assert less < memory / 3


# ------------------------------------------------------------------------------------ samples


def test_a_sample_alone_is_the_sample_in_any_batch() -> None:
    problem = _batch()
    together = _solve(problem)
    for i in (0, 3):
        alone = _solve(_pick(problem, torch.tensor([i])))
        torch.testing.assert_close(alone.ys[0], together.ys[i], rtol=1e-9, atol=1e-9)
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
    found = _solve(_pick(problem, rows)).ys
    torch.testing.assert_close(found, _solve(problem).ys[rows], rtol=1e-9, atol=1e-9)


def test_another_query_time_changes_no_answer() -> None:
    """Not even one that lies far beyond the others."""
    problem = _batch()
    span = (problem.end_times - problem.t0)[:, None]
    more = problem.t0[:, None] + span * torch.tensor([[0.4, 0.0, 2.0]])
    found = _solve(replace(problem, query_times=torch.cat([problem.query_times, more], 1)))
    torch.testing.assert_close(found.ys[:, :-3], _solve(problem).ys, rtol=1e-9, atol=1e-9)
    assert torch.equal(found.ys[:, -2], problem.y0)


def test_duplicated_query_times_have_one_answer() -> None:
    ys = _solve(_batch()).ys
    torch.testing.assert_close(ys[:, 7:], ys[:, :2], rtol=1e-11, atol=1e-11)


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
    ys = _solve(problem, 1e-8).ys[:, 0]
    exact = torch.exp(-rates * ends)
    torch.testing.assert_close(ys, exact, rtol=1e-6, atol=1e-6)
    found, wanted = (torch.autograd.grad(one.sum(), rates)[0] for one in (ys, exact))
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


def test_a_tolerance_of_its_own_for_each_sample() -> None:
    problem = _OSCILLATOR.initial_value_problem(_times(_OSCILLATOR).repeat(2, 1))
    tolerance = torch.tensor([[1e-4], [1e-8]], dtype=torch.float64)
    found = _solve(problem, tolerance)
    for i, one in enumerate((1e-4, 1e-8)):
        torch.testing.assert_close(
            found.ys[i], _solve(_pick_first(problem), one).ys[0], rtol=1e-10, atol=1e-10
        )


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
    solution = _solve(problem, 1e-5)
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
    again = _solve(problem, 1e-5).ys[good]
    torch.testing.assert_close(_solve(alone, 1e-5).ys, again, rtol=1e-10, atol=1e-10)


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
