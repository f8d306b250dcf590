"""Laws of the Radau solver: order, stability, published stiff problems, samples that do not touch."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from model.ode.problem import InitialValueProblem, Jumps
from model.ode.radau.collocation import NODES, radau_tableau, stability_function
from model.ode.radau.solve_radau import solve_radau
from model.ode.solution import Solution, Status
from model.ode.step_size import Tolerance
from tests.model.ode.problems import (
    COSINE_GROWTH,
    DECAY,
    PHARMACOKINETICS,
    SMOOTH,
    ExactProblem,
    kaps,
    prothero_robinson,
)
from tests.model.ode.stiff_problems import (
    E5,
    HIRES,
    PUBLISHED,
    StiffProblem,
    robertson,
    van_der_pol,
)


def _tableau_in_float64() -> dict[str, np.ndarray]:
    tableau = radau_tableau(torch.float64, torch.device("cpu"))
    return {"c": NODES, "a": tableau.a.numpy()}


def _solve(problem: ExactProblem, times: Tensor, **options: float) -> Solution:
    tolerance = Tolerance(options.pop("rtol", 1e-8), options.pop("atol", 1e-10))
    with torch.no_grad():
        return solve_radau(
            problem.initial_value_problem(times),
            tolerance=tolerance,
            **options,  # type: ignore[arg-type]
        )


def _slope(errors: list[float], steps: list[int]) -> float:
    return float(-np.polyfit(np.log(steps), np.log(errors), 1)[0])


# ------------------------------------------------------------------------------------ the method


def test_the_tableau_is_radau_iia() -> None:
    root = 6**0.5
    published = [
        [(88 - 7 * root) / 360, (296 - 169 * root) / 1800, (-2 + 3 * root) / 225],
        [(296 + 169 * root) / 1800, (88 + 7 * root) / 360, (-2 - 3 * root) / 225],
        [(16 - root) / 36, (16 + root) / 36, 1 / 9],
    ]
    np.testing.assert_allclose(_tableau_in_float64()["a"], published, atol=1e-15)


def test_the_transformation_takes_the_stages_apart() -> None:
    tableau = radau_tableau(torch.float64, torch.device("cpu"))
    inside = tableau.to_eigenbasis @ torch.linalg.inv(tableau.a) @ tableau.from_eigenbasis
    real, pair = tableau.eigenvalues[0].real, tableau.eigenvalues[1]
    expected = torch.tensor(
        [[real, 0, 0], [0, pair.real, -pair.imag], [0, pair.imag, pair.real]], dtype=torch.float64
    )
    torch.testing.assert_close(inside, expected, atol=1e-12, rtol=0)
    assert real == pytest.approx(3 + 3 ** (2 / 3) - 3 ** (1 / 3), abs=1e-13)


def test_the_simplifying_assumptions_of_order_five_hold() -> None:
    """B(5), C(3), D(2) imply order 5 (Butcher 1964)."""
    c, a = _tableau_in_float64()["c"], _tableau_in_float64()["a"]
    b = a[-1]
    for k in range(1, 6):
        assert b @ c ** (k - 1) == pytest.approx(1 / k, abs=1e-14)
    for k in range(1, 4):
        np.testing.assert_allclose(a @ c ** (k - 1), c**k / k, atol=1e-14)
    for k in range(1, 3):
        np.testing.assert_allclose((b * c ** (k - 1)) @ a, b * (1 - c**k) / k, atol=1e-14)


def test_the_method_is_a_stable_and_damps_the_stiffest() -> None:
    tableau = radau_tableau(torch.float64, torch.device("cpu"))
    radius = torch.logspace(-3, 8, 60, dtype=torch.float64)
    angle = torch.linspace(math.pi / 2, 3 * math.pi / 2, 41, dtype=torch.float64)
    z = torch.polar(*torch.meshgrid(radius, angle, indexing="ij"))
    assert float(stability_function(z).abs().max()) <= 1 + 1e-12
    assert float(stability_function(torch.tensor(-1e12 + 0j)).abs()) < 1e-11
    # The formula is that of the tableau: the last stage of Y = 1 + z A Y.
    z = z.reshape(-1)[::7]
    matrix = torch.eye(3) - z.view(-1, 1, 1) * tableau.a
    stages = torch.linalg.solve(matrix, torch.ones(len(z), 3, 1, dtype=z.dtype))
    torch.testing.assert_close(stability_function(z), stages[:, -1, 0], rtol=1e-9, atol=1e-14)


def test_a_step_of_a_linear_problem_is_the_stability_function() -> None:
    rates = torch.tensor([-0.1, -1.0, -30.0, -1e4], dtype=torch.float64)
    y0 = torch.stack([torch.ones_like(rates), rates], 1)
    problem = InitialValueProblem(
        lambda t, y: torch.stack([y[:, 1] * y[:, 0], torch.zeros_like(t)], 1),
        y0,
        torch.zeros_like(rates),
        torch.ones(4, 1, dtype=torch.float64),
    )
    found = solve_radau(problem, tolerance=Tolerance(1e-11, 1e-13), step_size=1.0).ys[:, 0, 0]
    torch.testing.assert_close(found, stability_function(rates + 0j).real, rtol=1e-9, atol=1e-13)


# ------------------------------------------------------------------------------------ order


def test_the_end_value_converges_at_order_five() -> None:
    steps = [10, 14, 20, 28, 40]
    exact = math.exp(math.sin(5.0))
    time = torch.full((1, 1), 5.0, dtype=torch.float64)
    errors = [
        abs(
            float(_solve(COSINE_GROWTH, time, rtol=1e-11, atol=1e-13, step_size=5 / n).ys[0, 0, 0])
            - exact
        )
        for n in steps
    ]
    assert _slope(errors, steps) == pytest.approx(5, abs=0.15)


def test_it_converges_at_order_five_on_uneven_steps() -> None:
    """Jumps of nothing at given times make the mesh."""
    steps, errors = [16, 24, 32, 48], []
    pattern = torch.tensor([1.0, 3.0, 0.5, 2.0], dtype=torch.float64)
    for n in steps:
        knots = 20 / n / pattern.sum() * pattern.repeat(n // 4).cumsum(0)[:-1]
        problem = COSINE_GROWTH.initial_value_problem(torch.tensor([[5.0]]))
        problem = replace(
            problem, jumps=Jumps(knots.unsqueeze(0), torch.zeros(1, n - 1, 1).double())
        )
        solution = solve_radau(problem, tolerance=Tolerance(1e-11, 1e-13), step_size=9.0)
        assert int(solution.statistics.num_accepted_steps) == n
        errors.append(abs(float(solution.ys) - math.exp(math.sin(5.0))))
    assert _slope(errors, steps) == pytest.approx(5, abs=0.15)


def test_dense_output_converges_at_order_four() -> None:
    """The collocation polynomial has degree 3: its error in one step is h^4."""
    times = torch.from_numpy(np.random.default_rng(0).uniform(0, 5, (1, 400)))
    exact = COSINE_GROWTH.exact(times)
    steps = [40, 56, 80, 112, 160]
    errors = [
        float(
            (_solve(COSINE_GROWTH, times, rtol=1e-11, atol=1e-13, step_size=5 / n).ys - exact)
            .abs()
            .max()
        )
        for n in steps
    ]
    assert _slope(errors, steps) == pytest.approx(4, abs=0.15)


def test_the_order_reduces_to_three_in_the_stiff_limit() -> None:
    """Hairer, Wanner II, table IV.15.1: the error is h^4 / (h lambda)."""
    problem = prothero_robinson(-1e4)
    time = torch.full((1, 1), 2.0, dtype=torch.float64)
    steps = [16, 24, 32, 48]
    errors = [
        float(
            (
                _solve(problem, time, rtol=1e-11, atol=1e-13, step_size=2 / n).ys
                - problem.exact(time)
            ).abs()
        )
        for n in steps
    ]
    assert _slope(errors, steps) == pytest.approx(3, abs=0.15)


# ------------------------------------------------------------------------------------ problems


@pytest.mark.parametrize("problem", [*SMOOTH, *PHARMACOKINETICS], ids=lambda one: one.name)
def test_exact_solutions_are_met_to_the_tolerance(problem: ExactProblem) -> None:
    inner = np.random.default_rng(1).uniform(problem.t0, problem.t1, 40)
    times = torch.from_numpy(np.append(inner, [problem.t0, problem.t1])).unsqueeze(0)
    solution = _solve(problem, times, rtol=1e-8, atol=1e-8)
    exact = problem.exact(times)
    assert solution.status.tolist() == [Status.SUCCESS]
    # Errors of the steps grow along the orbit; at a close passage of Kepler's, by much.
    bound = 2e-4 if problem.name.startswith(("kepler", "sine")) else 3e-6
    assert float(((solution.ys - exact).abs() / (1 + exact.abs())).max()) < bound


@pytest.mark.parametrize("epsilon", [1e-2, 1e-5, 1e-8])
def test_kaps_does_not_get_harder_with_stiffness(epsilon: float) -> None:
    times = torch.tensor([[0.0, 0.5, 5.0]], dtype=torch.float64)
    solution = _solve(kaps(epsilon), times, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(solution.ys, kaps(epsilon).exact(times), rtol=1e-5, atol=1e-7)
    assert int(solution.statistics.num_accepted_steps) < 130


@pytest.mark.parametrize("problem", PUBLISHED, ids=lambda one: one.name)
def test_published_end_values(problem: StiffProblem) -> None:
    with torch.no_grad():
        solution = solve_radau(problem.initial_value_problem(), tolerance=Tolerance(1e-6, 1e-13))
    expected = torch.tensor(problem.y_end, dtype=torch.float64)
    torch.testing.assert_close(solution.ys[0, 0], expected, rtol=1e-5, atol=0)
    assert solution.last_times.tolist() == [problem.end]


def test_concentrations_over_thirteen_decades_are_met() -> None:
    problem = E5
    with torch.no_grad():
        solution = solve_radau(
            problem.initial_value_problem(), tolerance=Tolerance(1e-7, 1e-24), max_steps=1000
        )
    expected = torch.tensor(problem.y_end, dtype=torch.float64)
    torch.testing.assert_close(solution.ys[0, 0], expected, rtol=2e-6, atol=0)


def test_stiffness_costs_few_steps_jacobians_and_factorizations() -> None:
    with torch.no_grad():
        solution = solve_radau(HIRES.initial_value_problem(), tolerance=Tolerance(1e-6, 1e-9))
    statistics = solution.statistics
    attempts = int(statistics.num_accepted_steps + statistics.num_rejected_steps)
    assert attempts < 200
    assert int(statistics.num_jacobians) < 0.6 * attempts
    assert int(statistics.num_factorizations) <= attempts
    assert int(statistics.num_function_evaluations) < 12 * attempts


def test_tighter_tolerances_are_more_precise() -> None:
    expected = torch.tensor(HIRES.y_end, dtype=torch.float64)
    errors = []
    for rtol in (1e-3, 1e-5, 1e-7):
        with torch.no_grad():
            found = solve_radau(
                HIRES.initial_value_problem(), tolerance=Tolerance(rtol, rtol * 1e-4)
            )
        errors.append(float((found.ys[0, 0] / expected - 1).abs().max()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-6


# ------------------------------------------------------------------------------------ time


def test_time_runs_backward() -> None:
    problem = COSINE_GROWTH
    there = _solve(problem, torch.tensor([[3.0]]).double(), rtol=1e-10, atol=1e-12)
    back = solve_radau(
        InitialValueProblem(
            problem.vector_field,
            there.ys[:, 0],
            torch.tensor([3.0]).double(),
            torch.tensor([[0.0, 1.5, 3.0]]).double(),
        ),
        tolerance=Tolerance(1e-10, 1e-12),
    )
    exact = problem.exact(torch.tensor([[0.0, 1.5, 3.0]]).double())
    torch.testing.assert_close(back.ys, exact, rtol=1e-7, atol=1e-8)


def test_query_times_in_any_order_repeated_and_at_the_start() -> None:
    times = torch.tensor([[4.0, 0.0, 2.5, 4.0, 0.0, 1.0]], dtype=torch.float64)
    found = _solve(DECAY, times).ys
    ordered = _solve(DECAY, times.sort(dim=1).values).ys
    assert torch.equal(found[:, times[0].argsort(stable=True)], ordered)
    assert float(found[0, 1, 0]) == 1.0


def test_a_query_time_changes_no_other_answer() -> None:
    few = torch.tensor([[0.3, 5.0]], dtype=torch.float64)
    many = torch.cat([few, torch.linspace(0, 5, 31).double().unsqueeze(0)], 1)
    assert torch.equal(_solve(DECAY, many).ys[:, :2], _solve(DECAY, few).ys)


def test_only_the_start_is_asked_for() -> None:
    solution = _solve(DECAY, torch.zeros(2, 3, dtype=torch.float64))
    assert torch.equal(solution.ys, torch.ones(2, 3, 1, dtype=torch.float64))
    assert solution.statistics.num_accepted_steps.tolist() == [0, 0]
    assert solve_radau(
        DECAY.initial_value_problem(torch.zeros(2, 0)), tolerance=Tolerance(1e-6, 1e-6)
    ).ys.shape == (2, 0, 1)
    assert solve_radau(
        DECAY.initial_value_problem(torch.zeros(0, 4)), tolerance=Tolerance(1e-6, 1e-6)
    ).ys.shape == (0, 4, 1)


def test_jumps_count_from_their_very_time_and_undo_themselves_backward() -> None:
    jumps = Jumps(
        torch.tensor([[2.0, 1.0, 2.0, torch.inf, 0.0, 3.0]]).double(),
        torch.tensor([[10.0, 5.0, 10.0, 0.0, 1.0, 7.0]]).double().unsqueeze(-1),
    )
    times = torch.tensor([[0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]]).double()

    def decay(t: Tensor, y: Tensor) -> Tensor:
        return -y

    forward = InitialValueProblem(
        decay, torch.ones(1, 1).double(), torch.zeros(1).double(), times, jumps
    )
    found = solve_radau(forward, tolerance=Tolerance(1e-10, 1e-12)).ys
    exact = torch.zeros_like(times)
    for time, amount in ((0.0, 2.0), (1.0, 5.0), (2.0, 20.0), (3.0, 7.0)):
        exact = exact + amount * torch.where(times >= time, torch.exp(time - times), 0.0)
    torch.testing.assert_close(found[..., 0], exact, rtol=1e-8, atol=1e-9)
    backward = replace(forward, y0=found[:, -1], t0=torch.full((1,), 3.0).double())
    back = solve_radau(backward, tolerance=Tolerance(1e-10, 1e-12)).ys
    torch.testing.assert_close(back, found, rtol=1e-6, atol=1e-7)


# ------------------------------------------------------------------------------------ samples


def _mixed_batch() -> InitialValueProblem:
    generator = torch.Generator().manual_seed(5)
    y0 = torch.rand(6, 3, generator=generator, dtype=torch.float64)
    end = torch.tensor([1e-3, 1.0, 50.0, 1e4, 300.0, 7.0], dtype=torch.float64)
    times = end.unsqueeze(1) * torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    return InitialValueProblem(robertson, y0, torch.zeros_like(end), times)


def _rows(problem: InitialValueProblem, rows: list[int]) -> InitialValueProblem:
    return replace(
        problem, y0=problem.y0[rows], t0=problem.t0[rows], query_times=problem.query_times[rows]
    )


def test_a_sample_has_the_same_answer_in_any_company() -> None:
    problem = _mixed_batch()
    with torch.no_grad():
        together = solve_radau(problem, tolerance=Tolerance(1e-6, 1e-10))
        order = [3, 0, 5, 2, 1, 4]
        permuted = solve_radau(_rows(problem, order), tolerance=Tolerance(1e-6, 1e-10))
        torch.testing.assert_close(permuted.ys, together.ys[order], rtol=1e-10, atol=1e-15)
        for one in range(6):
            alone = solve_radau(_rows(problem, [one]), tolerance=Tolerance(1e-6, 1e-10))
            torch.testing.assert_close(alone.ys[0], together.ys[one], rtol=1e-10, atol=1e-15)
            for name, counts in vars(alone.statistics).items():
                assert int(counts) == int(getattr(together.statistics, name)[one]), name


def test_a_sample_that_is_not_finite_harms_no_other() -> None:
    problem = _mixed_batch()
    y0 = problem.y0.clone()
    y0[2] = torch.nan
    with torch.no_grad():
        sound = solve_radau(problem, tolerance=Tolerance(1e-6, 1e-10))
        broken = solve_radau(replace(problem, y0=y0), tolerance=Tolerance(1e-6, 1e-10))
    others = [0, 1, 3, 4, 5]
    torch.testing.assert_close(broken.ys[others], sound.ys[others], rtol=1e-10, atol=1e-15)
    assert broken.status.tolist() == [0, 0, Status.NOT_FINITE, 0, 0, 0]
    assert bool(broken.ys[2].isnan().all())
    assert float(broken.last_times[2]) == 0.0


def test_the_gradient_of_the_others_survives_a_sample_that_is_not_finite() -> None:
    rate = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    y0 = torch.tensor([[1.0], [math.nan]], dtype=torch.float64)
    times = torch.full((2, 1), 2.0, dtype=torch.float64)
    problem = InitialValueProblem(lambda t, y: -rate * y, y0, torch.zeros(2).double(), times)
    solution = solve_radau(problem, tolerance=Tolerance(1e-9, 1e-11))
    (gradient,) = torch.autograd.grad(solution.ys[solution.succeeded].sum(), rate)
    assert float(gradient) == pytest.approx(-2 * math.exp(-1.4), rel=1e-6)


def test_a_solution_that_ends_is_right_up_to_there() -> None:
    """y' = y^2 ends at t = 1; beyond t = 1 the second sample's field is not a number."""

    def field(t: Tensor, y: Tensor) -> Tensor:
        explosive = y[:, :1] ** 2
        undefined = torch.where(t > 1, torch.nan, -y[:, 0]).unsqueeze(1)
        return torch.where(
            y[:, 1:] == 0,
            torch.cat([explosive, 0 * explosive], 1),
            torch.cat([undefined, 0 * undefined], 1),
        )

    y0 = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.1, 0.0]], dtype=torch.float64)
    times = torch.tensor([[0.5, 2.0]], dtype=torch.float64).repeat(3, 1)
    problem = InitialValueProblem(field, y0, torch.zeros(3).double(), times)
    with torch.no_grad():
        solution = solve_radau(problem, tolerance=Tolerance(1e-8, 1e-10))
    assert solution.status[0] != Status.SUCCESS
    assert solution.status.tolist()[1:] == [Status.NOT_FINITE, Status.SUCCESS]
    assert solution.last_times.tolist() == pytest.approx([1.0, 1.0, 2.0], abs=1e-6)
    assert solution.ys[:, 0, 0].tolist() == pytest.approx([2.0, math.exp(-0.5), 1 / 9.5], rel=1e-6)
    assert solution.ys[:, 1, 0].isnan().tolist() == [True, True, False]


def test_too_many_steps_is_a_status() -> None:
    problem = InitialValueProblem(
        van_der_pol,
        torch.tensor([[2.0, 0.0], [2.0, 0.0]], dtype=torch.float64),
        torch.zeros(2).double(),
        torch.tensor([[2000.0], [1e-6]], dtype=torch.float64),
    )
    solution = solve_radau(problem, tolerance=Tolerance(1e-6, 1e-9), max_steps=30)
    assert solution.status.tolist() == [Status.TOO_MANY_STEPS, Status.SUCCESS]
    assert 0 < float(solution.last_times[0]) < 2000
    assert bool(solution.ys[0].isnan().all())


def test_single_precision_and_times_in_double_precision() -> None:
    times = torch.tensor([[1.0, 5.0]], dtype=torch.float64)
    for time_dtype in (torch.float32, torch.float64):
        problem = DECAY.initial_value_problem(times, torch.float32)
        problem = replace(
            problem, t0=problem.t0.to(time_dtype), query_times=problem.query_times.to(time_dtype)
        )
        solution = solve_radau(problem, tolerance=Tolerance(1e-4, 1e-6))
        assert solution.ys.dtype == torch.float32
        assert solution.last_times.dtype == time_dtype
        torch.testing.assert_close(solution.ys.double(), DECAY.exact(times), rtol=1e-3, atol=1e-5)


def test_tolerances_may_differ_by_sample_and_component() -> None:
    times = torch.full((2, 1), 5.0, dtype=torch.float64)
    solution = _solve(DECAY, times, rtol=torch.tensor([[1e-3], [1e-9]]), atol=torch.tensor([1e-10]))  # type: ignore[arg-type]
    accepted = solution.statistics.num_accepted_steps
    assert int(accepted[1]) > 2 * int(accepted[0])
    alone = _solve(DECAY, times[:1], rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(solution.ys[1:], alone.ys, rtol=1e-7, atol=0)


def test_a_jacobian_in_closed_form_gives_the_same_answer() -> None:
    class Field:
        num_calls = 0

        def __call__(self, t: Tensor, y: Tensor) -> Tensor:
            return van_der_pol(t, y)

        def jac(self, t: Tensor, y: Tensor) -> Tensor:
            self.num_calls += 1
            a, b = y.unbind(-1)
            one = torch.ones_like(a)
            lower = torch.stack([-2000 * a * b - one, 1000 * (1 - a * a)], -1)
            return torch.stack([torch.stack([0 * one, one], -1), lower], -2)

    field = Field()
    y0 = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    problem = InitialValueProblem(
        field, y0, torch.zeros(1).double(), torch.tensor([[500.0]]).double()
    )
    closed = solve_radau(problem, tolerance=Tolerance(1e-6, 1e-9))
    by_autograd = solve_radau(
        replace(problem, vector_field=van_der_pol), tolerance=Tolerance(1e-6, 1e-9)
    )
    torch.testing.assert_close(closed.ys, by_autograd.ys, rtol=1e-9, atol=1e-12)
    assert field.num_calls == int(closed.statistics.num_jacobians)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"rtol": -1.0}, "rtol"),
        ({"rtol": 0.0, "atol": 0.0}, "both"),
        ({"step_size": 0.0}, "step_size"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, float], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        _solve(DECAY, torch.ones(1, 1, dtype=torch.float64), **options)


def test_it_works_in_inference_mode() -> None:
    with torch.inference_mode():
        problem = DECAY.initial_value_problem(torch.ones(2, 1, dtype=torch.float64))
        solution = solve_radau(problem, tolerance=Tolerance(1e-8, 1e-10))
        assert solution.ys[0, 0, 0].item() == pytest.approx(math.exp(-1), rel=1e-7)
