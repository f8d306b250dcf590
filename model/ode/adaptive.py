"""Find a mesh on which an embedded Runge-Kutta method meets the tolerance.

Every sample has its own steps and its own end. Once fewer than half of the rows still run, the
others are left out: a sample that is done costs nothing. No gradients here; they come from walking
along the mesh that was found. The last step may pass the end, so that the answer to one query does
not depend on whether a later one was asked.
"""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from model.ode.interpolation import PiecewisePolynomial
from model.ode.mesh import Mesh
from model.ode.problem import InitialValueProblem, Jumps, VectorField, restrict
from model.ode.runge_kutta import Step, StepLog, combine, evaluate, take_step
from model.ode.solution import Statistics, Status
from model.ode.step_size import StepSizeController, Tolerance, first_step_size, second_guess
from model.ode.tableau import ButcherTableau

# Waiting for an accelerator at every step costs more than a few steps for nothing.
_STEPS_BETWEEN_LOOKS = 4


@dataclass(frozen=True)
class SearchResult:
    """The mesh, how each sample ended, and if asked for, the solution on it.

    Parameters
    ----------
    jump_index
        Which of the ordered jumps step i of a sample is; -1 for an ordinary step.
    """

    mesh: Mesh
    jump_index: Int64[Tensor, "step sample"] | None
    status: Int64[Tensor, " sample"]
    last_times: Float[Tensor, " sample"]
    statistics: Statistics
    solution: PiecewisePolynomial | None


@dataclass(frozen=True)
class _Rows:
    """The samples that are still in the batch; one entry of every tensor for each."""

    samples: Tensor
    t: Tensor
    end: Tensor
    y: Tensor
    f: Tensor
    size: Tensor
    """Of the next step to try, signed; before it is cut at a jump."""
    smallest: Tensor
    """The size relative to which a step counts as vanished."""
    error: Tensor
    rejected: Tensor
    accepted_steps: Tensor
    attempts: Tensor
    next_jump: Tensor
    status: Tensor
    running: Tensor

    def take(self, kept: Tensor) -> "_Rows":
        """Return some of the rows."""
        return _Rows(**{item.name: getattr(self, item.name)[kept] for item in fields(self)})


@dataclass(frozen=True)
class _Attempt:
    """What one round tried, for the log."""

    samples: Tensor
    slot: Tensor
    accepted: Tensor
    t1: Tensor
    jump_index: Tensor


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
        self._attempts: list[_Attempt] = []
        self._finished: list[_Rows] = []

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

    def _start(self) -> _Rows:
        problem = self._problem
        t, y = problem.t0.detach(), problem.y0.detach()
        f = evaluate(self._field, t, y)
        size = self._first_size(t, y, f) * problem.direction
        counts = torch.zeros(len(t), dtype=torch.int64, device=t.device)
        broken = ~(y.isfinite().all(1) & f.isfinite().all(1))
        status = torch.where(broken, int(Status.NOT_FINITE), int(Status.SUCCESS))
        rows = _Rows(
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
            next_jump=counts,
            status=status,
            running=~broken,
        )
        return replace(rows, running=~broken & ~self._arrived(rows))

    def _first_size(self, t: Tensor, y: Tensor, f: Tensor) -> Tensor:
        if self._first_step is not None:
            return torch.full_like(t, self._first_step)
        probe = first_step_size(y, f, self._tolerance)
        signed = (probe * self._problem.direction.to(y)).unsqueeze(1)
        moved = evaluate(self._field, t + signed.squeeze(1).to(t), y + signed * f)
        curvature = self._tolerance.norm(moved - f, y) / probe
        slope = self._tolerance.norm(f, y)
        return second_guess(probe, slope, curvature, self._tableau.order).to(t)

    def _arrived(self, rows: _Rows) -> Bool[Tensor, " row"]:
        forward = rows.size >= 0
        there = torch.where(forward, rows.t >= rows.end, rows.t <= rows.end)
        return there if self._jumps is None else there & (rows.t != self._target(rows))

    def _target(self, rows: _Rows) -> Float[Tensor, " row"]:
        """Return the time of each row's next jump; infinite where there is none."""
        assert self._jumps is not None
        times = self._jumps.times.detach()[rows.samples]
        none = torch.where(rows.size >= 0, torch.inf, -torch.inf).to(times).unsqueeze(1)
        return torch.cat([times, none], dim=1).gather(1, rows.next_jump.unsqueeze(1)).squeeze(1)

    def _round(self, rows: _Rows) -> _Rows:
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
        self._attempts.append(_Attempt(rows.samples, rows.accepted_steps, accepted, t1, index))
        if self._log is not None:
            self._log.add(rows.y, t1 - rows.t, step)
        return self._advance(rows, step, t1, error, accepted, index)

    def _error(self, rows: _Rows, t1: Tensor, step: Step) -> Float[Tensor, " row"]:
        assert self._tableau.b_error is not None
        duration = (t1 - rows.t).to(rows.y.dtype).unsqueeze(1)
        zero = torch.zeros_like(rows.y)
        error = combine(zero, duration, step.stages, self._tableau.b_error)
        scale = torch.maximum(rows.y.abs(), step.y.abs())
        return self._tolerance.norm(error, scale).to(rows.t)

    def _advance(
        self,
        rows: _Rows,
        step: Step,
        t1: Tensor,
        error: Tensor,
        accepted: Tensor,
        jump_index: Tensor,
    ) -> _Rows:
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
            next_jump=rows.next_jump + (accepted & jumped),
        )
        status = self._status(after, error, jumped)
        running = rows.running & (status == int(Status.SUCCESS)) & ~self._arrived(after)
        return replace(after, status=status, running=running)

    def _status(self, rows: _Rows, error: Tensor, jumped: Tensor) -> Int64[Tensor, " row"]:
        precision = torch.finfo(rows.t.dtype).eps
        floor = 16 * precision * torch.maximum(rows.t.abs(), rows.smallest)
        vanished = rows.rejected & ((rows.size.abs() <= floor) | jumped)
        failure = torch.where(
            error.isfinite(), int(Status.STEP_UNDERFLOW), int(Status.NOT_FINITE)
        )
        status = torch.where(vanished, failure, rows.status)
        exhausted = (rows.attempts >= self._max_steps) & ~self._arrived(rows) & rows.running
        exhausted &= status == int(Status.SUCCESS)
        return torch.where(exhausted, int(Status.TOO_MANY_STEPS), status)

    def _leave_out(self, rows: _Rows) -> _Rows:
        num_running = int(rows.running.sum())
        if 2 * num_running >= len(rows.running):
            return rows
        self._finish(rows.take(~rows.running))
        kept = rows.running.nonzero().squeeze(1)
        self._field = restrict(self._field, kept)
        self._tolerance = self._tolerance.for_samples(kept)
        return rows.take(kept)

    def _finish(self, rows: _Rows) -> None:
        self._finished.append(rows)
        if self._log is not None:
            self._log.close(rows.y, rows.f)

    def _result(self) -> SearchResult:
        order = torch.cat([rows.samples for rows in self._finished]).argsort()
        final = _Rows(
            **{
                item.name: torch.cat([getattr(rows, item.name) for rows in self._finished])[order]
                for item in fields(_Rows)
            }
        )
        counts = final.accepted_steps
        num_steps = int(counts.max()) if len(counts) else 0
        times = final.t.repeat(num_steps + 1, 1)
        times[0] = self._problem.t0.detach()
        table = torch.zeros(num_steps + 1, len(counts), dtype=torch.int64, device=times.device)
        jump_index = torch.full_like(table[1:], -1)
        num_rows = 0
        if self._attempts:
            joined = _join(self._attempts)
            num_rows = len(joined.accepted)
            hit = joined.accepted.nonzero().squeeze(1)
            slot, samples = joined.slot[hit], joined.samples[hit]
            times[slot + 1, samples] = joined.t1[hit]
            table[slot, samples] = hit
            jump_index[slot, samples] = joined.jump_index[hit]
        last = torch.arange(len(counts), device=times.device)
        table[counts, last] = num_rows + order
        index = None if self._jumps is None else jump_index
        mesh = attach(self._problem, Mesh(times, num_steps=counts), index)
        solution = None
        if self._log is not None:
            solution = PiecewisePolynomial(mesh, self._log.coefficients(), table)
        return self._package(final, mesh, index, solution)

    def _package(
        self,
        final: _Rows,
        mesh: Mesh,
        jump_index: Tensor | None,
        solution: PiecewisePolynomial | None,
    ) -> SearchResult:
        zeros = torch.zeros_like(final.attempts)
        start = 1 if self._first_step is not None else 2
        evaluations = start + final.attempts * self._tableau.evaluations_per_step
        rejected = final.attempts - final.accepted_steps
        statistics = Statistics(evaluations, final.accepted_steps, rejected, zeros, zeros.clone())
        done = final.status == int(Status.SUCCESS)
        last_times = torch.where(done, self._problem.end_times, final.t)
        return SearchResult(mesh, jump_index, final.status, last_times, statistics, solution)


def attach(problem: InitialValueProblem, mesh: Mesh, jump_index: Tensor | None) -> Mesh:
    """Return the mesh with gradients: its first knot is t0, jumps have their times and amounts.

    The other knots are the search's own choice; the solution does not depend on them, up to the
    tolerance.
    """
    times = torch.cat([problem.t0.unsqueeze(0), mesh.times[1:]])
    jumps = problem.jumps_in_order(beyond_end=True)
    if jumps is None or jump_index is None:
        return Mesh(times, num_steps=mesh.num_steps)
    happens = jump_index >= 0
    at = jump_index.clamp(min=0)
    moments = jumps.times.T.gather(0, at)
    none = torch.zeros_like(happens[:1])
    times = torch.where(torch.cat([none, happens]), torch.cat([times[:1], moments]), times)
    times = torch.where(torch.cat([happens, none]), torch.cat([moments, times[-1:]]), times)
    index = at.unsqueeze(-1).expand(*at.shape, jumps.amounts.shape[-1])
    amounts = torch.where(happens.unsqueeze(-1), jumps.amounts.transpose(0, 1).gather(0, index), 0)
    return Mesh(times, amounts, mesh.num_steps)


def _join(attempts: list[_Attempt]) -> _Attempt:
    return _Attempt(
        **{
            item.name: torch.cat([getattr(attempt, item.name) for attempt in attempts])
            for item in fields(_Attempt)
        }
    )
