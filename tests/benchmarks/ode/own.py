"""Our own ways to solve the workload, and the cheapest whose error no peer undercuts."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from model.ode import RK4, odeint
from model.ode.kernel import load, solve_fused
from model.ode.mlp import MLPField
from tests.benchmarks.ode.contender import Contender
from tests.benchmarks.ode.workload import Workload

_STEPS = range(2, 33)
_TOLERANCES = (3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 1e-5)


def fixed_grid(workload: Workload, num_steps: int, adjoint: str) -> Contender:
    """RK4 with so many steps for each patient."""

    def answers(y0: Tensor) -> Tensor:
        return odeint(
            workload.field,
            y0,
            workload.times,
            method="rk4",
            options={"num_steps": num_steps},
            adjoint=adjoint,
        )

    return Contender.of(f"Lacuna rk4, {num_steps} steps, {adjoint}", workload, answers)


def adaptive(workload: Workload, rtol: float) -> Contender:
    """dopri5 with each patient's own steps; the default adjoint."""

    def answers(y0: Tensor) -> Tensor:
        return odeint(workload.field, y0, workload.times, rtol=rtol, atol=rtol / 10)

    return Contender.of(f"Lacuna dopri5, own steps, rtol {rtol:g}", workload, answers)


@dataclass(frozen=True)
class Goal:
    """Errors that must not be exceeded: the smallest that any peer has."""

    state_error: float
    gradient_error: float

    @classmethod
    def of(cls, workload: Workload, peers: Iterable[Contender]) -> "Goal":
        """Look at every peer's errors."""
        known = list(peers)
        return cls(
            min(one.state_error(workload.exact) for one in known),
            min(one.gradient_error(workload.exact) for one in known),
        )

    def meets(self, contender: Contender, workload: Workload) -> bool:
        """Whether neither error is larger."""
        exact = workload.exact
        return (
            contender.state_error(exact) <= self.state_error
            and contender.gradient_error(exact) <= self.gradient_error
        )

    def fewest_steps(self, workload: Workload) -> int:
        """Return the coarsest RK4 grid that meets the goal."""
        return next(
            steps for steps in _STEPS if self.meets(fixed_grid(workload, steps, "direct"), workload)
        )

    def loosest_tolerance(self, workload: Workload) -> float:
        """Return the loosest tolerance of dopri5 that meets the goal."""
        return next(rtol for rtol in _TOLERANCES if self.meets(adaptive(workload, rtol), workload))


def fused(workload: Workload, num_steps: int, *, keep_stages: bool) -> Contender | None:
    """The fused kernel on the same grid; None where it was not built."""
    kernel = load()
    if kernel is None:
        return None
    field, times = MLPField(workload.field.layers), workload.times
    start = times[:, 0]
    step = (times[:, -1] - start) / num_steps

    def answers(y0: Tensor) -> Tensor:
        return solve_fused(
            field, y0, start, step, num_steps, times, RK4, kernel, keep_stages=keep_stages
        ).ys

    adjoint = "direct" if keep_stages else "checkpoint"
    return Contender.of(f"Lacuna rk4, {num_steps} steps, {adjoint}, fused", workload, answers)
