"""Tight tolerances: Adams beside dopri5, evaluations and time."""

from dataclasses import dataclass

import torch

from model.ode import InitialValueProblem, Solution, solve
from tests.benchmarks.ode.timing import Timing, take_turns
from tests.benchmarks.ode.workload import Workload
from tests.benchmarks.table import Table

_TOLERANCES = (1e-6, 1e-9, 1e-11)
_METHODS = ("dopri5", "adams")


@dataclass(frozen=True)
class Tight:
    """Each tolerance and method: time, evaluations of the mean patient, error."""

    rows: list[tuple[str, ...]]

    @classmethod
    def run(cls, num_runs: int, num_patients: int = 64) -> "Tight":
        """Solve forward in float64."""
        workload = Workload.draw(num_patients).double()
        exact = _solve(workload, "dopri5", 1e-13).ys
        rows = []
        for rtol in _TOLERANCES:
            tasks = {one: lambda one=one, r=rtol: _solve(workload, one, r) for one in _METHODS}
            for method, timing in take_turns(tasks, num_runs, warm_up=1).items():
                solution = _solve(workload, method, rtol)
                rows.append(_row(method, rtol, timing, solution, exact))
        return cls(rows)

    def table(self) -> Table:
        """Return a row for each tolerance and method."""
        return Table(
            "Tight tolerances, 64 patients, forward, float64",
            "Evaluations: of the vector field, mean over patients. Time: CPU milliseconds, median "
            "(smallest–largest). Error: largest absolute one, against dopri5 at 1e-13. Adams saves "
            "evaluations and pays in arithmetic: it is for fields that cost more than this one.",
            ("method", "rtol = atol", "evaluations", "time", "error"),
            self.rows,
        )


def _solve(workload: Workload, method: str, rtol: float) -> Solution:
    times = workload.times
    problem = InitialValueProblem(workload.field, workload.y0, times[:, 0], times)
    with torch.no_grad():
        return solve(problem, method=method, rtol=rtol, atol=rtol)


def _row(
    method: str, rtol: float, timing: Timing, solution: Solution, exact: torch.Tensor
) -> tuple[str, ...]:
    evaluations = solution.statistics.num_function_evaluations.double().mean()
    error = (solution.ys - exact).abs().max()
    return method, f"{rtol:g}", f"{evaluations:.0f}", str(timing), f"{error:.1e}"
