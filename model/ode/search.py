"""Find a mesh on which an embedded Runge-Kutta method meets the tolerance.

Every sample has its own steps and its own end. Once fewer than half of the rows still run, the
others are left out: a sample that is done costs nothing. No gradients here; they come from walking
along the mesh that was found. The last step may pass the end, so that the answer to one query does
not depend on whether a later one was asked.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from model.ode.active_rows import ActiveRows
from model.ode.attempts import Attempt, AttemptLog
from model.ode.first_step import first_step
from model.ode.interpolation import PiecewisePolynomial
from model.ode.mesh import Mesh
from model.ode.problem import InitialValueProblem, Jumps, VectorField, restrict
from model.ode.runge_kutta import Step, StepLog, combine, evaluate, take_step
from model.ode.solution import Statistics, Status
from model.ode.step_size import StepSizeController, Tolerance
from model.ode.tableau import ButcherTableau

# Waiting for an accelerator at every step costs more than a few steps for nothing.
_STEPS_BETWEEN_LOOKS = 4

# Hairer, Wanner, Solving ODEs II, section IV.2: dopri5 and tsit5 are stable up to step * |eigenvalue|
# of 3.3 and 3.5 on the negative axis. Steps that accuracy chooses stay below 2, nearly always below 1;
# so many beyond it in a row are no accident. A short solve is not examined.
_NEAR_THE_STABILITY_LIMIT = 2.0
_STIFF_STEPS = 15
_FIRST_EXAMINED_ROUND = 10


@dataclass(frozen=True)
class SearchResult:
    """The mesh, how each sample ended, and if asked for, the solution on it.

    Parameters
    ----------
    stiff
        Samples that were given up at `last_times` because stability, not accuracy, bounds their
        steps.
    """

    mesh: Mesh
    status: Int64[Tensor, " sample"]
    last_times: Float[Tensor, " sample"]
    stiff: Bool[Tensor, " sample"]
    statistics: Statistics
    solution: PiecewisePolynomial | None


class AdaptiveSearch:
    """One search; `run` it once."""

    def __init__(
        self,
        problem: InitialValueProblem,
        tableau: ButcherTableau,
        tolerance: Tolerance,
        *,
        max_steps: int,
        first_step: float | None = None,
        dense: bool = True,
        detect_stiffness: bool = False,
    ) -> None:
        if tableau.b_error is None:
            raise ValueError(f"method {tableau.name!r} has no error estimate: give it a fixed grid")
        self._problem = problem
        self._field: VectorField = problem.vector_field
        self._tableau = tableau
        self._tolerance = tolerance
        self._controller = StepSizeController(tableau.order)
        self._max_steps = max_steps
        self._first_step = first_step
        self._jumps: Jumps | None = problem.jumps_in_order(beyond_end=True)
        self._log = StepLog(tableau) if dense else None
        self._attempts = AttemptLog()
        self._detect = detect_stiffness
        self._finished: list[ActiveRows] = []

    def run(self) -> SearchResult:
        """Step until every sample has reached its end or failed."""
        with torch.no_grad():
            self._step_to_the_end()
        return self._result()

    def _step_to_the_end(self) -> None:
        rows = self._start()
        stride = 1 if rows.y.device.type == "cpu" else _STEPS_BETWEEN_LOOKS
        while bool(rows.running.any()):
            rows = self._leave_out(rows)
            for _ in range(stride):
                rows = self._round(rows)
        self._finish(rows)

    def _start(self) -> ActiveRows:
        problem = self._problem
        t, y = problem.t0.detach(), problem.y0.detach()
        f = evaluate(self._field, t, y)
        size = self._first_size(t, y, f)
        counts = torch.zeros(len(t), dtype=torch.int64, device=t.device)
        broken = ~(y.isfinite().all(1) & f.isfinite().all(1))
        status = torch.where(broken, int(Status.NOT_FINITE), int(Status.SUCCESS))
        rows = ActiveRows(
            samples=torch.arange(len(t), device=t.device),
            t=t,
            end=problem.end_times,
            y=y,
            f=f,
            size=size,
            smallest=size.abs(),
            error=torch.ones_like(t),
            rejected=torch.zeros_like(broken),
            accepted_steps=counts,
            attempts=counts,
            stiff_steps=counts,
            next_jump=counts,
            status=status,
            running=~broken,
        )
        return replace(rows, running=~broken & ~self._arrived(rows))

    def _first_size(self, t: Tensor, y: Tensor, f: Tensor) -> Tensor:
        direction = self._problem.direction
        if self._first_step is not None:
            return self._first_step * direction
        order = self._tableau.order
        return first_step(self._field, (t, y, f), direction, tolerance=self._tolerance, order=order)

    def _arrived(self, rows: ActiveRows) -> Bool[Tensor, " row"]:
        forward = rows.size >= 0
        there = torch.where(forward, rows.t >= rows.end, rows.t <= rows.end)
        return there if self._jumps is None else there & (rows.t != self._target(rows))

    def _target(self, rows: ActiveRows) -> Float[Tensor, " row"]:
        """Return the time of each row's next jump; infinite where there is none."""
        assert self._jumps is not None
        times = self._jumps.times.detach()[rows.samples]
        none = torch.where(rows.size >= 0, torch.inf, -torch.inf).to(times).unsqueeze(1)
        return torch.cat([times, none], dim=1).gather(1, rows.next_jump.unsqueeze(1)).squeeze(1)

    def _round(self, rows: ActiveRows) -> ActiveRows:
        """Try one step of every row that runs; the others stand still."""
        size = torch.where(rows.running, rows.size, 0)
        t1, jump = rows.t + size, None
        index = torch.full_like(rows.next_jump, -1)
        if self._jumps is not None:
            target = self._target(rows)
            meets = rows.running & (1.001 * size.abs() >= (target - rows.t).abs())
            t1 = torch.where(meets, target, t1)
            at_jump = rows.running & (rows.t == target)
            index = torch.where(at_jump, rows.next_jump, -1)
            amounts = self._jumps.amounts.detach()[rows.samples, index]
            jump = torch.where(at_jump.unsqueeze(1), amounts, 0).to(rows.y)
        step = take_step(self._field, (rows.t, t1), (rows.y, rows.f), self._tableau, jump)
        error = self._error(rows, t1, step)
        accepted = rows.running & (error <= 1)
        self._attempts.attempts.append(
            Attempt(rows.samples, rows.accepted_steps, accepted, t1, index)
        )
        if self._log is not None:
            self._log.add(rows.y, t1 - rows.t, step)
        return self._advance(rows, step, t1, error, accepted, index)

    def _error(self, rows: ActiveRows, t1: Tensor, step: Step) -> Float[Tensor, " row"]:
        assert self._tableau.b_error is not None
        duration = (t1 - rows.t).to(rows.y.dtype).unsqueeze(1)
        zero = torch.zeros_like(rows.y)
        error = combine(zero, duration, step.stages, self._tableau.b_error)
        scale = torch.maximum(rows.y.abs(), step.y.abs())
        return self._tolerance.norm(error, scale).to(rows.t)

    def _advance(
        self,
        rows: ActiveRows,
        step: Step,
        t1: Tensor,
        error: Tensor,
        accepted: Tensor,
        jump_index: Tensor,
    ) -> ActiveRows:
        """Return the rows after the round: moved where accepted, with the next step to try."""
        jumped = jump_index >= 0
        factor = self._controller.factor(error, rows.error)
        factor = torch.where(rows.rejected | ~accepted, factor.clamp(max=1.0), factor)
        tried = t1 - rows.t
        size = tried * factor
        # A step that was cut at a jump says nothing about how large the next may be.
        cut = accepted & (factor >= 1) & (size.abs() < rows.size.abs())
        size = torch.where(cut, rows.size, size)
        size = torch.where(jumped | ~rows.running, rows.size, size)
        moved = accepted.unsqueeze(1)
        after = replace(
            rows,
            t=torch.where(accepted, t1, rows.t),
            y=torch.where(moved, step.y, rows.y),
            f=torch.where(moved, step.f, rows.f),
            size=size,
            error=torch.where(accepted & ~jumped, error, rows.error),
            rejected=rows.running & ~accepted,
            accepted_steps=rows.accepted_steps + accepted,
            attempts=rows.attempts + rows.running,
            stiff_steps=self._stiff_steps(rows, step, tried, accepted & ~jumped),
            next_jump=rows.next_jump + (accepted & jumped),
        )
        status = self._status(after, error, jumped)
        running = rows.running & (status == int(Status.SUCCESS)) & ~self._arrived(after)
        running &= after.stiff_steps < _STIFF_STEPS
        return replace(after, status=status, running=running)

    def _stiff_steps(
        self, rows: ActiveRows, step: Step, tried: Tensor, counts: Tensor
    ) -> Int64[Tensor, " row"]:
        """Count by |f(y) - f(z)| / |y - z| at the last two stages, both at the step's end."""
        if not self._detect or len(self._attempts.attempts) < _FIRST_EXAMINED_ROUND:
            return rows.stiff_steps
        slopes = (step.f - step.stages[-2]).norm(dim=1)
        apart = (step.y - step.last_argument).norm(dim=1)
        at_limit = tried.abs() * slopes > _NEAR_THE_STABILITY_LIMIT * apart
        moved = torch.where(at_limit, rows.stiff_steps + 1, (rows.stiff_steps - 2).clamp(min=0))
        return torch.where(counts, moved, rows.stiff_steps)

    def _status(self, rows: ActiveRows, error: Tensor, jumped: Tensor) -> Int64[Tensor, " row"]:
        precision = torch.finfo(rows.t.dtype).eps
        floor = 16 * precision * torch.maximum(rows.t.abs(), rows.smallest)
        vanished = rows.rejected & ((rows.size.abs() <= floor) | jumped)
        failure = torch.where(error.isfinite(), int(Status.STEP_UNDERFLOW), int(Status.NOT_FINITE))
        status = torch.where(vanished, failure, rows.status)
        exhausted = (rows.attempts >= self._max_steps) & ~self._arrived(rows) & rows.running
        exhausted &= status == int(Status.SUCCESS)
        return torch.where(exhausted, int(Status.TOO_MANY_STEPS), status)

    def _leave_out(self, rows: ActiveRows) -> ActiveRows:
        num_running = int(rows.running.sum())
        if 2 * num_running >= len(rows.running):
            return rows
        self._finish(rows.take(~rows.running))
        kept = rows.running.nonzero().squeeze(1)
        self._field = restrict(self._field, kept)
        self._tolerance = self._tolerance.for_samples(kept)
        return rows.take(kept)

    def _finish(self, rows: ActiveRows) -> None:
        self._finished.append(rows)
        if self._log is not None:
            self._log.close(rows.y, rows.f)

    def _result(self) -> SearchResult:
        final, order = ActiveRows.in_order(self._finished)
        counts, problem = final.accepted_steps, self._problem
        mesh, table = self._attempts.mesh(problem, counts, final.t)
        solution = None
        if self._log is not None:
            last = torch.arange(len(counts), device=table.device)
            table[counts, last] = self._attempts.num_rows + order
            solution = PiecewisePolynomial(mesh, self._log.coefficients(), table)
        arrived = self._arrived(final)
        stiff = ~arrived & (final.status == int(Status.SUCCESS))
        last_times = torch.where(arrived, problem.end_times, final.t)
        return SearchResult(
            mesh, final.status, last_times, stiff, self._statistics(final), solution
        )

    def _statistics(self, final: ActiveRows) -> Statistics:
        zeros = torch.zeros_like(final.attempts)
        start = 1 if self._first_step is not None else 2
        evaluations = start + final.attempts * self._tableau.evaluations_per_step
        rejected = final.attempts - final.accepted_steps
        return Statistics(evaluations, final.accepted_steps, rejected, zeros, zeros.clone())
