"""Embedded Runge-Kutta with steps of each sample's own; a stiff sample goes on with Radau.

First the steps are found, without gradients (`search`); then the solution is read from the mesh,
with the gradient of exactly these steps. Where stability instead of accuracy bounds the steps of a
sample, that sample alone is given up at the time reached, and Radau IIA continues from there.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from model.ode.differentiation import Adjoint, needs_gradient
from model.ode.explicit import solve_on_mesh
from model.ode.problem import InitialValueProblem, restrict
from model.ode.radau.solve_radau import solve_radau
from model.ode.search import AdaptiveSearch
from model.ode.solution import Solution, Statistics, Status
from model.ode.step_size import Tolerance
from model.ode.tableau import ButcherTableau


def solve_adaptive(
    problem: InitialValueProblem,
    *,
    tableau: ButcherTableau,
    tolerance: Tolerance,
    max_steps: int,
    first_step: float | None,
    switch_when_stiff: bool,
    adjoint: Adjoint,
    parameters: tuple[Tensor, ...],
) -> Solution:
    """Solve every sample with steps of its own, as large as the tolerance allows.

    Parameters
    ----------
    max_steps
        For each sample, rejected steps included.
    switch_when_stiff
        Continue with Radau where a sample turns out to be stiff. Such samples have Jacobians in
        their statistics. The gradient there is Radau's exact one, whatever
        the adjoint; `backsolve` becomes `interpolated` where a sample is stiff, since a stiff equation
        cannot be solved backward.

    Raises
    ------
    ValueError
        If the problem's times have no meaning, or the method has no error estimate.
    """
    problem.check_values()
    wanted = needs_gradient(problem, parameters)
    found = AdaptiveSearch(
        problem,
        tableau,
        tolerance,
        max_steps=max_steps,
        first_step=first_step,
        dense=not wanted,
        detect_stiffness=switch_when_stiff,
    ).run()
    last, sign = found.last_times.unsqueeze(1), problem.direction.unsqueeze(1)
    ahead = sign * (problem.query_times.detach() - last)
    lost = (found.status != int(Status.SUCCESS)).unsqueeze(1) & (ahead > 0)
    rest = found.stiff.unsqueeze(1) & (ahead >= 0)
    # Beyond a sample's last time there is no mesh; what is read there is replaced below.
    times = torch.cat([torch.where(lost | rest, last, problem.query_times), last], dim=1)
    stiff = found.stiff.nonzero().squeeze(1)
    if len(stiff) and adjoint is Adjoint.BACKSOLVE:
        adjoint = Adjoint.INTERPOLATED
    if found.solution is not None:
        states = found.solution.evaluate(times)
    else:
        within = replace(problem, query_times=times)
        states = solve_on_mesh(within, found.mesh, tableau, adjoint, parameters)
    ys = torch.where(lost.unsqueeze(-1), torch.nan, states[:, :-1])
    explicit = Solution(ys, found.status, found.last_times, found.statistics)
    if not len(stiff):
        return explicit
    handover = _Handover(stiff, states[stiff, -1], rest[stiff])
    return handover.continued(problem, explicit, tolerance, max_steps)


@dataclass(frozen=True)
class _Handover:
    """The stiff samples, their states at their last times, and the queries still to be answered."""

    samples: Int64[Tensor, " stiff"]
    states: Float[Tensor, "stiff state"]
    open_queries: Bool[Tensor, "stiff query"]

    def continued(
        self,
        problem: InitialValueProblem,
        explicit: Solution,
        tolerance: Tolerance,
        max_steps: int,
    ) -> Solution:
        """Return the solution with the rest of the stiff samples solved by Radau."""
        implicit = solve_radau(
            self._rest(problem, explicit.last_times),
            tolerance=tolerance.for_samples(self.samples),
            max_steps=max_steps,
            adjoint=Adjoint.CHECKPOINT,
        )
        rows = self.samples
        ys = torch.where(self.open_queries.unsqueeze(-1), implicit.ys, explicit.ys[rows])
        return Solution(
            explicit.ys.index_copy(0, rows, ys),
            explicit.status.index_copy(0, rows, implicit.status),
            explicit.last_times.index_copy(0, rows, implicit.last_times),
            Statistics.sum(explicit.statistics, rows, implicit.statistics),
        )

    def _rest(self, problem: InitialValueProblem, last_times: Tensor) -> InitialValueProblem:
        """Return the problem from the handover on; a jump at that very time is still to come."""
        rows, start = self.samples, last_times[self.samples]
        times = torch.where(self.open_queries, problem.query_times[rows], start.unsqueeze(1))
        field = restrict(problem.vector_field, rows)
        return InitialValueProblem(field, self.states, start, times, problem.jumps_of(rows))
