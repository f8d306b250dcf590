"""The semilinear solver against closed forms, fine solutions and its own order of accuracy."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from jaxtyping import Float
from scipy.integrate import solve_ivp
from torch import Tensor

from model.ode import InitialValueProblem, solve
from model.ode.semilinear import SemilinearProblem, SemilinearSolution, solve_semilinear

RATES = torch.tensor([1e3, 20.0, 1.0, 0.05, 1e-4], dtype=torch.float64)
LIPSCHITZ = 0.6
_ENOUGH_SWEEPS = 40


def random_problem(
    seed: int, *, num_knots: int, step: float, rates: Tensor = RATES, num_series: int = 3
) -> SemilinearProblem:
    """A linear problem with two samples of y(0) and a forcing that the samples share."""
    generator = torch.Generator().manual_seed(seed)
    size = len(rates)
    return SemilinearProblem(
        y0=torch.randn(2, num_series, size, dtype=torch.float64, generator=generator),
        rates=rates,
        forcing=torch.randn(size, num_series, num_knots, dtype=torch.float64, generator=generator),
        step=step,
    )


class Contraction:
    """f(t, y) = L tanh(W y + sin t), where every row of |W| sums to 1: Lipschitz constant L."""

    def __init__(self, size: int) -> None:
        generator = torch.Generator().manual_seed(9)
        mixing = torch.rand(size, size, dtype=torch.float64, generator=generator) * 2 - 1
        self.mixing = mixing / mixing.abs().sum(1, keepdim=True)

    def __call__(self, times: Tensor, states: Tensor) -> Tensor:
        mixed = torch.einsum("ij,j...->i...", self.mixing, states)
        return LIPSCHITZ * torch.tanh(mixed + torch.sin(times))


def nonlinear_problem(*, num_halvings: int = 0, horizon: float = 3.0) -> SemilinearProblem:
    """A problem whose forcing is linear between whole hours, on a grid halved several times."""
    rates = torch.tensor([3.0, 0.7, 0.1], dtype=torch.float64)
    coarse = random_problem(1, num_knots=round(horizon) + 1, step=1.0, rates=rates)
    forcing = coarse.forcing
    for _ in range(num_halvings):
        finer = forcing.new_empty(*forcing.shape[:2], 2 * forcing.shape[2] - 1)
        finer[..., ::2] = forcing
        finer[..., 1::2] = (forcing[..., 1:] + forcing[..., :-1]) / 2
        forcing = finer
    return replace(
        coarse, forcing=forcing, step=0.5**num_halvings, nonlinearity=Contraction(len(rates))
    )


def exact_linear_state(
    problem: SemilinearProblem, time: float
) -> Float[np.ndarray, "sample series state"]:
    """Step through the closed form of dy/dt = rate (a + b s - y), in extended precision.

    y = a + b s - b / rate + (y(0) - a + b / rate) e^(-rate s); b / rate is what needs the digits.
    """
    rates = problem.rates.numpy().astype(np.longdouble)
    forcing = knot_first(problem.forcing).numpy().astype(np.longdouble)
    state = problem.y0.numpy().astype(np.longdouble)
    for knot in range(len(forcing) - 1):
        since = min(max(time - knot * problem.step, 0.0), problem.step)
        slope = (forcing[knot + 1] - forcing[knot]) / problem.step
        shift = slope / rates
        start = forcing[knot] - shift
        state = start + slope * since + (state - start) * np.exp(-rates * since)
    return state.astype(float)


def knot_first(values: Tensor) -> Tensor:
    """Turn [state, ..., knot] into [knot, ..., state]."""
    return values.movedim(0, -1).movedim(-2, 0)


def read(solution: SemilinearSolution, times: list[float]) -> Float[Tensor, "time sample series _"]:
    """Read all series at some times."""
    num_series = solution.states.shape[2]
    asked = torch.tensor(times, dtype=torch.float64).repeat_interleave(num_series)
    found = solution.at(asked, torch.arange(num_series).repeat(len(times)))
    return found.unflatten(1, (len(times), num_series)).transpose(0, 1)


@pytest.mark.parametrize("step", [0.01, 0.25, 1.0, 7.0])
def test_without_a_nonlinearity_the_solution_is_exact_at_knots_and_between(step: float) -> None:
    problem = random_problem(0, num_knots=9, step=step)
    solution = solve_semilinear(problem, num_sweeps=3)
    times = [step * place for place in (0, 1, 2, 5, 8, 0.001, 0.5, 3.25, 6.9, 7.999)]
    for time, found in zip(times, read(solution, times), strict=True):
        np.testing.assert_allclose(found, exact_linear_state(problem, time), rtol=0, atol=1e-10)
    for knot in range(9):
        expected = exact_linear_state(problem, knot * step)
        np.testing.assert_allclose(knot_first(solution.states)[knot], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("x", [0.001, 0.02, 0.049, 0.0499999, 0.0500001, 0.06])
def test_no_digits_are_lost_where_the_power_series_takes_over(x: float) -> None:
    problem = random_problem(2, num_knots=2, step=1.0, rates=torch.tensor([x], dtype=torch.float64))
    found = knot_first(solve_semilinear(problem, num_sweeps=0).states)[1]
    np.testing.assert_allclose(found, exact_linear_state(problem, 1.0), rtol=0, atol=1e-11)


@pytest.mark.parametrize("rate", [1e-8, 1e-14, 1e-30, 1e-200])
def test_a_tiny_rate_integrates_the_forcing(rate: float) -> None:
    problem = random_problem(
        3, num_knots=5, step=0.5, rates=torch.tensor([rate], dtype=torch.float64)
    )
    problem = replace(problem, y0=torch.zeros_like(problem.y0))
    found = knot_first(solve_semilinear(problem, num_sweeps=0).states)[-1] / rate
    integral = torch.trapezoid(problem.forcing, dx=0.5).T.expand_as(found)
    torch.testing.assert_close(found, integral, rtol=1e-7, atol=0)


def test_the_error_is_of_second_order_in_the_step() -> None:
    reference = _reference_states(nonlinear_problem(), [3.0])[0]
    errors = []
    for num_halvings in (1, 2, 3, 4):
        problem = nonlinear_problem(num_halvings=num_halvings)
        solution = solve_semilinear(problem, num_sweeps=_ENOUGH_SWEEPS)
        errors.append(float((knot_first(solution.states)[-1] - reference).abs().max()))
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert np.all((orders > 1.8) & (orders < 2.3)), orders
    assert errors[0] < 0.05


def test_every_sweep_shrinks_the_error_by_the_lipschitz_constant() -> None:
    problem = nonlinear_problem(num_halvings=2)
    limit = solve_semilinear(problem, num_sweeps=_ENOUGH_SWEEPS).states
    errors = [
        float((solve_semilinear(problem, num_sweeps=sweeps).states - limit).abs().max())
        for sweeps in range(9)
    ]
    assert errors[0] > 0.1
    ratios = np.array(errors[1:]) / np.array(errors[:-1])
    assert np.all(ratios <= LIPSCHITZ), ratios
    again = solve_semilinear(problem, num_sweeps=_ENOUGH_SWEEPS + 1).states
    torch.testing.assert_close(again, limit, rtol=0, atol=1e-9)


def test_the_solution_agrees_with_lsoda_at_knots_and_between() -> None:
    problem = nonlinear_problem(num_halvings=5)
    times = [0.3, 1.0, 1.64, 2.71, 3.0]
    found = read(solve_semilinear(problem, num_sweeps=_ENOUGH_SWEEPS), times)
    torch.testing.assert_close(found, _reference_states(problem, times), rtol=0, atol=5e-4)


def test_the_solution_agrees_with_dormand_and_prince() -> None:
    """One constant forcing for all: it has no corners, and the other solver may pick its samples."""
    problem = nonlinear_problem(num_halvings=5)
    force = problem.forcing[:, 0, 0]
    forcing = force.view(-1, 1, 1).expand_as(problem.forcing)
    problem = replace(problem, forcing=forcing)
    solution = solve_semilinear(problem, num_sweeps=_ENOUGH_SWEEPS)
    found = knot_first(solution.states)[-1].flatten(0, 1)
    contraction = Contraction(3)

    def vector_field(t: Tensor, y: Tensor) -> Tensor:
        moved = contraction(t.view(1, -1), y.T).T
        return problem.rates * (force + moved - y)

    rows = problem.y0.flatten(0, 1)
    initial = InitialValueProblem(
        vector_field, rows, rows.new_zeros(len(rows)), rows.new_full((len(rows), 1), 3.0)
    )
    expected = solve(initial, method="dopri5", rtol=1e-9, atol=1e-9).ys[:, 0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_gradients_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()

    times = torch.tensor([0.0, 0.2, 0.7, 1.1, 1.5, 9.0], dtype=torch.float64)
    series = torch.tensor([0, 1, 1, 0, 1, 0])

    def states(y0: Tensor, log_rates: Tensor, forcing: Tensor, mixing: Tensor) -> Tensor:
        problem = SemilinearProblem(
            y0,
            log_rates.exp(),
            forcing,
            0.5,
            lambda t, y: 0.5 * torch.tanh(torch.einsum("ji,j...->i...", mixing, y) + t),
        )
        return solve_semilinear(problem, num_sweeps=3).at(times, series)

    rates = torch.tensor([1e-3, 30.0], dtype=torch.float64).log().requires_grad_()
    arguments = (draw(2, 2, 2), rates, draw(2, 2, 4), draw(2, 2))
    assert torch.autograd.gradcheck(states, arguments, atol=1e-7)


def test_one_series_does_not_influence_another() -> None:
    problem = nonlinear_problem(num_halvings=1)
    together = solve_semilinear(problem, num_sweeps=4)
    for index in range(3):
        alone = solve_semilinear(
            replace(
                problem,
                y0=problem.y0[:, index : index + 1],
                forcing=problem.forcing[:, index : index + 1],
            ),
            num_sweeps=4,
        )
        expected = together.states[:, :, index : index + 1]
        torch.testing.assert_close(alone.states, expected, rtol=0, atol=1e-13)


def test_a_longer_horizon_changes_no_earlier_state() -> None:
    problem = nonlinear_problem(num_halvings=1)
    whole = solve_semilinear(problem, num_sweeps=4)
    for num_knots in (1, 2, 8):
        part = solve_semilinear(
            replace(problem, forcing=problem.forcing[..., :num_knots]), num_sweeps=4
        )
        torch.testing.assert_close(part.states, whole.states[..., :num_knots], rtol=0, atol=1e-13)


def test_times_outside_the_knots_have_the_state_of_the_nearest_knot() -> None:
    problem = random_problem(4, num_knots=4, step=0.5)
    solution = solve_semilinear(problem, num_sweeps=0)
    before, start, end, after = read(solution, [-3.0, 0.0, 1.5, 40.0])
    torch.testing.assert_close(before, problem.y0, rtol=0, atol=1e-12)
    torch.testing.assert_close(start, problem.y0, rtol=0, atol=1e-12)
    torch.testing.assert_close(end, knot_first(solution.states)[-1], rtol=0, atol=1e-12)
    torch.testing.assert_close(after, end, rtol=0, atol=0)


def test_single_precision_is_good_to_its_own_digits_over_a_long_stay() -> None:
    problem = random_problem(5, num_knots=400, step=1.0)
    exact = solve_semilinear(problem, num_sweeps=0).states
    rounded = replace(
        problem,
        y0=problem.y0.float(),
        rates=problem.rates.float(),
        forcing=problem.forcing.float(),
    )
    found = solve_semilinear(rounded, num_sweeps=0).states
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=2e-5)


def _reference_states(
    problem: SemilinearProblem, times: list[float]
) -> Float[Tensor, "time sample series state"]:
    """Solve by LSODA from corner to corner of the forcing, where the right-hand side has a kink."""
    shape, corners = problem.y0.shape, range(math.ceil(max(times)))
    stride = round(1 / problem.step)
    forcing = knot_first(problem.forcing[..., ::stride]).numpy()
    rates, field = problem.rates.numpy(), problem.nonlinearity
    assert field is not None

    def vector_field(t: float, flat: np.ndarray) -> np.ndarray:
        left = min(int(t), len(forcing) - 2)
        force = forcing[left] + (t - left) * (forcing[left + 1] - forcing[left])
        y = flat.reshape(shape)
        at = torch.from_numpy(y).permute(2, 0, 1).unsqueeze(3)
        moved = field(torch.tensor([t]).double(), at)[..., 0].permute(1, 2, 0)
        return (rates * (force + moved.numpy() - y)).ravel()

    state = problem.y0.numpy().ravel()
    found: dict[float, np.ndarray] = {}
    for corner in corners:
        mine = [time for time in times if corner < time <= corner + 1]
        solved = solve_ivp(
            vector_field,
            (corner, corner + 1),
            state,
            method="LSODA",
            t_eval=sorted({*mine, corner + 1}),
            rtol=1e-8,
            atol=1e-9,
        )
        found |= dict(zip(solved.t, solved.y.T, strict=True))
        state = solved.y[:, -1]
    return torch.stack([torch.from_numpy(found[time].reshape(shape)) for time in times])
