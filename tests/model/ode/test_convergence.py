"""Observed orders of convergence: of the steps, and apart from them of the dense output.

Errors are averaged over samples with ends of their own: at a single end the leading term of the
error may happen to vanish. For order 5 the problems are long ones: on others the errors, of tsit5
above all, reach rounding before the leading term outweighs the next.
"""

from functools import cache

import numpy as np
import pytest
import torch

from model.ode import DOPRI5, EULER, MIDPOINT, RK4, TSIT5, ButcherTableau, Mesh, integrate
from tests.model.ode.problems import SMOOTH, ExactProblem

PROBLEMS = {problem.name: problem for problem in SMOOTH}
# The fewest steps of the four solves from which an order is read.
CASES = [
    (EULER, "cosine_growth", 160),
    (EULER, "logistic", 160),
    (MIDPOINT, "cosine_growth", 60),
    (MIDPOINT, "rigid_body", 60),
    (RK4, "cosine_growth", 40),
    (RK4, "rigid_body", 40),
    (DOPRI5, "oscillator", 60),
    (DOPRI5, "non_normal", 100),
    (TSIT5, "rigid_body", 130),
]
NUM_SAMPLES = 24


def _mesh(problem: ExactProblem, num_steps: int, *, regular: bool) -> Mesh:
    """Regular, or a smooth grading with a fixed zigzag: neighbors differ by up to a factor 3."""
    fraction = torch.linspace(0, 1, num_steps + 1, dtype=torch.float64)
    if not regular:
        zigzag = torch.tensor([0.0, 0.25, -0.1], dtype=torch.float64).repeat(num_steps)
        inner = fraction[1:-1] + zigzag[: num_steps - 1] / num_steps
        fraction = torch.cat([fraction[:1], inner, fraction[-1:]])
        fraction = (fraction + fraction**2) / 2
    span = (problem.t1 - problem.t0) * torch.linspace(0.5, 1, NUM_SAMPLES, dtype=torch.float64)
    return Mesh(problem.t0 + span * fraction.unsqueeze(1), uniform=regular)


@cache
def _orders(tableau: ButcherTableau, name: str, fewest: int, *, regular: bool) -> list[float]:
    """The slopes of the error against the number of steps: at the ends, and at random times."""
    problem, steps = PROBLEMS[name], [fewest * factor for factor in (1, 2, 3, 4)]
    anywhere = torch.from_numpy(np.random.default_rng(0).uniform(0, 1, 100))
    fractions = torch.cat([torch.ones(1, dtype=torch.float64), anywhere])
    errors = []
    for num_steps in steps:
        mesh = _mesh(problem, num_steps, regular=regular)
        y0 = problem.y0.repeat(NUM_SAMPLES, 1)
        times = mesh.times[0].unsqueeze(1) + fractions * (mesh.times[-1:] - mesh.times[:1]).T
        found = integrate(problem.vector_field, y0, mesh, tableau).evaluate(times)
        squares = (found - problem.exact(times)).square()
        errors.append([float(part.mean()) ** 0.5 for part in (squares[:, :1], squares[:, 1:])])
    return [float(slope) for slope in -np.polyfit(np.log(steps), np.log(errors), 1)[0]]


def _name(case: tuple[ButcherTableau, str, int]) -> str:
    return f"{case[0].name}-{case[1]}"


@pytest.mark.parametrize("regular", [True, False], ids=["uniform", "irregular"])
@pytest.mark.parametrize("case", CASES, ids=_name)
def test_the_end_value_converges_at_the_declared_order(
    case: tuple[ButcherTableau, str, int], regular: bool
) -> None:
    order, _ = _orders(*case, regular=regular)
    assert order == pytest.approx(case[0].order, abs=0.15)


@pytest.mark.parametrize("regular", [True, False], ids=["uniform", "irregular"])
@pytest.mark.parametrize("case", CASES, ids=_name)
def test_dense_output_converges_at_its_order_at_random_times(
    case: tuple[ButcherTableau, str, int], regular: bool
) -> None:
    _, order = _orders(*case, regular=regular)
    assert order == pytest.approx(case[0].dense_order, abs=0.15)
