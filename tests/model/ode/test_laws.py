"""Laws that hold for every method: whose answer depends on what, and how failure ends."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.ode import InitialValueProblem, Options, Solution, Status, solve

SETTINGS: list[tuple[str, Options]] = [
    ("euler", Options(num_steps=24)),
    ("midpoint", Options(num_steps=16)),
    ("rk4", Options(num_steps=8)),
    ("rk4", Options(step_size=0.13)),
    ("dopri5", Options()),
    ("tsit5", Options()),
    ("adams", Options()),
    ("radau", Options()),
]
IDS = [f"{method}-{options.num_steps or options.step_size}" for method, options in SETTINGS]
# Where rounding is amplified: by high differences, and by a Newton iteration that ends earlier.
ROUNDING = {"adams": 1e-8, "radau": 1e-8}
every_method = pytest.mark.parametrize("setting", SETTINGS, ids=IDS)
quick = settings(max_examples=4, deadline=None)
seeds = st.integers(0, 2**31 - 1)


def _pendulum(t: Tensor, y: Tensor) -> Tensor:
    """A driven pendulum: what happens depends on the time and on the state."""
    angle, speed = y.unbind(-1)
    return torch.stack([speed, -2 * angle.sin() + 0.3 * torch.cos(t)], dim=-1)


def _problem(seed: int, rows: int = 5, queries: int = 6) -> InitialValueProblem:
    """Samples with own starts, spans and directions of time."""
    generator = torch.Generator().manual_seed(seed)
    y0 = torch.randn(rows, 2, generator=generator, dtype=torch.float64)
    t0 = torch.randn(rows, generator=generator, dtype=torch.float64)
    reach = torch.randn(rows, 1, generator=generator, dtype=torch.float64) * 3
    reach = torch.where(reach.abs() < 0.2, 1.0, reach)
    fraction = torch.rand(rows, queries, generator=generator, dtype=torch.float64)
    return InitialValueProblem(_pendulum, y0, t0, t0.unsqueeze(1) + reach * fraction)


def _solve(problem: InitialValueProblem, setting: tuple[str, Options]) -> Solution:
    return solve(problem, method=setting[0], options=setting[1], rtol=1e-7, atol=1e-7)


def _assert_same(found: Tensor, expected: Tensor, setting: tuple[str, Options]) -> None:
    allowed = ROUNDING.get(setting[0], 1e-12)
    torch.testing.assert_close(found, expected, rtol=allowed, atol=allowed)


def _select(problem: InitialValueProblem, rows: Tensor) -> InitialValueProblem:
    return InitialValueProblem(
        problem.vector_field, problem.y0[rows], problem.t0[rows], problem.query_times[rows]
    )


@every_method
@quick
@given(seed=seeds)
def test_a_sample_alone_gets_the_answer_that_it_gets_in_company(
    setting: tuple[str, Options], seed: int
) -> None:
    problem = _problem(seed)
    together = _solve(problem, setting)
    for row in range(len(problem.y0)):
        alone = _solve(_select(problem, torch.tensor([row])), setting)
        _assert_same(alone.ys[0], together.ys[row], setting)
        if setting[1].step_size is None:
            assert (
                alone.statistics.num_accepted_steps == together.statistics.num_accepted_steps[row]
            )


@every_method
@quick
@given(seed=seeds, order=st.permutations(range(5)))
def test_the_order_of_samples_does_not_matter(
    setting: tuple[str, Options], seed: int, order: list[int]
) -> None:
    problem, rows = _problem(seed), torch.tensor(order)
    found = _solve(_select(problem, rows), setting).ys
    _assert_same(found, _solve(problem, setting).ys[rows], setting)


@every_method
@quick
@given(seed=seeds, order=st.permutations(range(6)))
def test_query_times_may_be_unsorted_and_repeated(
    setting: tuple[str, Options], seed: int, order: list[int]
) -> None:
    problem = _problem(seed)
    shuffled = torch.tensor([*order, order[0], order[0]])
    other = InitialValueProblem(_pendulum, problem.y0, problem.t0, problem.query_times[:, shuffled])
    found, expected = _solve(other, setting).ys, _solve(problem, setting).ys
    _assert_same(found, expected[:, shuffled], setting)


@every_method
@quick
@given(seed=seeds, fraction=st.floats(0, 1))
def test_adding_a_query_changes_no_other_answer(
    setting: tuple[str, Options], seed: int, fraction: float
) -> None:
    """Between t0 and the end for every method; after the end if the steps do not depend on it.

    A grid by number of steps spans all queries, and Radau's last step ends at the last of them.
    """
    problem = _problem(seed)
    start, end = problem.t0, problem.end_times
    ends_there = bool(setting[1].num_steps) or setting[0] == "radau"
    beyond = 1.0 if ends_there else 3.0
    more = (start + fraction * beyond * (end - start)).unsqueeze(1)
    if ends_there:
        more = problem.direction.unsqueeze(1) * torch.minimum(
            problem.direction.unsqueeze(1) * more, problem.direction.unsqueeze(1) * end.unsqueeze(1)
        )
    asked = torch.cat([more, problem.query_times], dim=1)
    other = InitialValueProblem(_pendulum, problem.y0, start, asked)
    found = _solve(other, setting).ys[:, 1:]
    _assert_same(found, _solve(problem, setting).ys, setting)


@pytest.mark.parametrize("method", ["dopri5", "tsit5", "adams", "radau"])
@quick
@given(seed=seeds)
def test_going_there_and_back_ends_at_the_start(method: str, seed: int) -> None:
    problem = _problem(seed, queries=1)
    there = solve(problem, method=method, rtol=1e-9, atol=1e-9).ys[:, 0]
    back = InitialValueProblem(_pendulum, there, problem.query_times[:, 0], problem.t0.unsqueeze(1))
    found = solve(back, method=method, rtol=1e-9, atol=1e-9).ys[:, 0]
    torch.testing.assert_close(found, problem.y0, rtol=1e-6, atol=1e-6)


@every_method
@quick
@given(seed=seeds)
def test_a_common_shift_of_an_autonomous_equation_changes_nothing(
    setting: tuple[str, Options], seed: int
) -> None:
    problem = _problem(seed)

    def autonomous(t: Tensor, y: Tensor) -> Tensor:
        return _pendulum(torch.zeros_like(t), y)

    answers = [
        _solve(
            InitialValueProblem(autonomous, problem.y0, problem.t0 + by, problem.query_times + by),
            setting,
        ).ys
        for by in (0.0, 16.0)
    ]
    # Rounding moves a time by an ulp, which may change a step of Adams: then the tolerance counts.
    allowed = 2e-5 if setting[0] == "adams" else 1e-6
    torch.testing.assert_close(*answers, rtol=allowed, atol=allowed)


@every_method
def test_a_query_at_the_start_is_the_start(setting: tuple[str, Options]) -> None:
    problem = _problem(3)
    at_start = InitialValueProblem(
        _pendulum, problem.y0, problem.t0, problem.t0.unsqueeze(1).repeat(1, 2)
    )
    solution = _solve(at_start, setting)
    assert bool(solution.succeeded.all())
    assert torch.equal(solution.ys, problem.y0.unsqueeze(1).repeat(1, 2, 1))
    assert torch.equal(solution.last_times, problem.t0)


@every_method
@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_nothing_asked_is_nothing_answered(
    setting: tuple[str, Options], shape: tuple[int, int]
) -> None:
    rows, queries = shape
    problem = InitialValueProblem(
        _pendulum, torch.zeros(rows, 2), torch.zeros(rows), torch.zeros(rows, queries)
    )
    assert _solve(problem, setting).ys.shape == (rows, queries, 2)


@every_method
@quick
@given(seed=seeds, row=st.integers(0, 4), value=st.sampled_from([math.nan, math.inf, -math.inf]))
def test_a_sample_that_is_not_a_number_harms_no_other(
    setting: tuple[str, Options], seed: int, row: int, value: float
) -> None:
    problem = _problem(seed)
    y0 = problem.y0.clone()
    y0[row, 1] = value
    broken = _solve(InitialValueProblem(_pendulum, y0, problem.t0, problem.query_times), setting)
    whole, others = _solve(problem, setting), torch.arange(5) != row
    _assert_same(broken.ys[others], whole.ys[others], setting)
    assert broken.status.tolist() == [
        int(Status.NOT_FINITE) if one == row else int(Status.SUCCESS) for one in range(5)
    ]
    assert float(broken.last_times[row]) == float(problem.t0[row])
    assert bool(broken.ys[row].isnan().all())


@pytest.mark.parametrize("method", ["dopri5", "tsit5", "adams", "radau"])
def test_an_explosion_ends_one_sample_and_its_earlier_answers_are_right(method: str) -> None:
    """y' = y^2, y = 1 / (1/a - t), which is infinite at t = 1/a."""
    y0 = torch.tensor([[1.0], [0.25]], dtype=torch.float64)
    times = torch.tensor([[0.5, 0.9, 1.5]], dtype=torch.float64).repeat(2, 1)
    problem = InitialValueProblem(lambda t, y: y**2, y0, torch.zeros(2).double(), times)
    solution = solve(problem, method=method, rtol=1e-8, atol=1e-8)
    assert int(solution.status[0]) in (int(Status.STEP_UNDERFLOW), int(Status.NOT_FINITE))
    assert int(solution.status[1]) == int(Status.SUCCESS)
    assert float(solution.last_times[0]) == pytest.approx(1.0, abs=1e-5)
    assert float(solution.last_times[1]) == 1.5
    exact = 1 / (1 / y0 - times)
    torch.testing.assert_close(solution.ys[1, :, 0], exact[1], rtol=1e-6, atol=0)
    torch.testing.assert_close(solution.ys[0, :2, 0], exact[0, :2], rtol=1e-5, atol=0)
    assert bool(solution.ys[0, 2].isnan())


@pytest.mark.parametrize("method", ["dopri5", "tsit5"])
def test_too_many_steps_end_one_sample(method: str) -> None:
    frequency = torch.tensor([[1.0], [300.0]], dtype=torch.float64)

    class Waves:
        def __init__(self, frequency: Tensor) -> None:
            self._frequency = frequency

        def __call__(self, t: Tensor, y: Tensor) -> Tensor:
            return self._frequency * torch.cos(self._frequency * t.unsqueeze(-1))

        def for_samples(self, samples: Tensor) -> "Waves":
            return Waves(self._frequency[samples])

    times = torch.tensor([[0.05, 6.0]], dtype=torch.float64).repeat(2, 1)
    y0, t0 = torch.zeros(2, 1, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    problem = InitialValueProblem(Waves(frequency), y0, t0, times)
    solution = solve(problem, method=method, rtol=1e-6, atol=1e-6, options=Options(max_steps=300))
    assert solution.status.tolist() == [int(Status.SUCCESS), int(Status.TOO_MANY_STEPS)]
    assert 0.05 < float(solution.last_times[1]) < 6.0
    exact = torch.sin(frequency * times)
    torch.testing.assert_close(solution.ys[0, :, 0], exact[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(solution.ys[1, 0, 0], exact[1, 0], rtol=0, atol=1e-4)
    assert bool(solution.ys[1, 1].isnan())


@pytest.mark.parametrize("method", ["dopri5", "tsit5", "adams", "radau"])
def test_a_first_guess_beyond_the_domain_of_the_field_is_taken_back(method: str) -> None:
    """A slow solution suggests a first step of 10, but the field is infinite from t = 1 on."""

    def field(t: Tensor, y: Tensor) -> Tensor:
        return torch.where(t.unsqueeze(1) < 1, 1e-3, torch.inf).to(y)

    start, end = torch.ones(1, 1, dtype=torch.float64), torch.tensor([[0.5]], dtype=torch.float64)
    problem = InitialValueProblem(field, start, torch.zeros(1, dtype=torch.float64), end)
    solution = solve(problem, method=method, options=Options(max_steps=100))
    assert bool(solution.succeeded.all())
    torch.testing.assert_close(solution.ys[0], start + 5e-4, rtol=1e-9, atol=0)


@every_method
def test_a_field_in_another_precision_is_refused(setting: tuple[str, Options]) -> None:
    problem = _problem(0)
    single = replace(problem, vector_field=lambda t, y: _pendulum(t, y).float())
    with pytest.raises(ValueError, match="precision"):
        _solve(single, setting)


def test_samples_that_are_done_cost_nothing() -> None:
    """Of eight samples seven are short: their rows leave the batch."""
    rows: list[int] = []

    def field(t: Tensor, y: Tensor) -> Tensor:
        rows.append(len(y))
        return _pendulum(t, y)

    times = torch.full((8, 1), 0.1, dtype=torch.float64)
    times[5] = 60.0
    y0 = torch.ones(8, 2, dtype=torch.float64)
    problem = InitialValueProblem(field, y0, torch.zeros(8, dtype=torch.float64), times)
    with torch.no_grad():
        solution = solve(problem, method="dopri5", rtol=1e-6, atol=1e-6)
    assert bool(solution.succeeded.all())
    assert rows.count(1) > 0.9 * len(rows)
    assert int(solution.statistics.num_function_evaluations[5]) == pytest.approx(len(rows), abs=2)
    assert int(solution.statistics.num_function_evaluations[0]) < 0.1 * len(rows)


def test_a_field_with_values_for_each_sample_is_told_when_rows_leave() -> None:
    rates = torch.linspace(0.1, 1.0, 6, dtype=torch.float64).unsqueeze(1)
    times = torch.full((6, 1), 0.1, dtype=torch.float64)
    times[2] = 30.0
    problem = InitialValueProblem(
        lambda t, y: -rates * y,
        torch.ones(6, 1, dtype=torch.float64),
        torch.zeros(6, dtype=torch.float64),
        times,
    )
    with pytest.raises(ValueError, match="for_samples"):
        solve(problem, method="dopri5")


@pytest.mark.parametrize("state", [torch.float32, torch.float64])
@pytest.mark.parametrize("time", [torch.float32, torch.float64])
@every_method
def test_time_may_have_another_precision_than_the_state(
    setting: tuple[str, Options], time: torch.dtype, state: torch.dtype
) -> None:
    problem = _problem(1)
    mixed = InitialValueProblem(
        _pendulum, problem.y0.to(state), problem.t0.to(time), problem.query_times.to(time)
    )
    found = solve(mixed, method=setting[0], options=setting[1], rtol=1e-5, atol=1e-5)
    assert found.ys.dtype == state
    assert bool(found.succeeded.all())
    expected = solve(problem, method=setting[0], options=setting[1], rtol=1e-5, atol=1e-5).ys
    torch.testing.assert_close(found.ys.double(), expected, rtol=3e-4, atol=3e-4)


@pytest.mark.parametrize(
    ("t0", "times", "message"),
    [
        ([0.0], [[1.0, -1.0]], "one side"),
        ([math.nan], [[1.0, 2.0]], "finite"),
        ([0.0], [[1.0, math.inf]], "finite"),
    ],
)
@every_method
def test_times_without_meaning_are_refused(
    setting: tuple[str, Options], t0: list[float], times: list[list[float]], message: str
) -> None:
    problem = InitialValueProblem(
        _pendulum, torch.zeros(1, 2), torch.tensor(t0), torch.tensor(times)
    )
    with pytest.raises(ValueError, match=message):
        _solve(problem, setting)


def test_wrong_names_and_options_are_refused() -> None:
    problem = _problem(0)
    with pytest.raises(ValueError, match="dopri5"):
        solve(problem, method="rk45")
    with pytest.raises(ValueError, match="adjoint"):
        solve(problem, adjoint="adjoint")
    with pytest.raises(ValueError, match="not both"):
        solve(problem, options=Options(num_steps=3, step_size=0.1))
    with pytest.raises(ValueError, match="num_steps"):
        solve(problem, options=Options(num_steps=0))
