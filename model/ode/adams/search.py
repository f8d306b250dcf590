"""The search for an Adams solution: each sample's steps and orders, by its own local errors.

Runs without autograd. Samples that are done or have failed leave the batch at once. The last step
may pass the end, so that the answer to one query does not depend on whether a later one was asked.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from model.ode.adams.active import ActiveSamples, History
from model.ode.adams.dense_output import AdamsDenseOutput
from model.ode.adams.order_selection import MIN_ORDER, plan_retry, plan_step
from model.ode.adams.predictor_corrector import Prediction
from model.ode.attempts import Attempt, AttemptLog
from model.ode.first_step import first_step
from model.ode.mesh import Mesh
from model.ode.problem import InitialValueProblem, Jumps, VectorField, restrict
from model.ode.runge_kutta import evaluate
from model.ode.solution import Statistics, Status
from model.ode.step_size import Tolerance


@dataclass(frozen=True)
class SearchResult:
    """The accepted steps, their solution, and how the search went for each sample."""

    mesh: Mesh
    dense: AdamsDenseOutput
    status: Int64[Tensor, " sample"]
    last_times: Float[Tensor, " sample"]
    statistics: Statistics


class AdamsSearch:
    """One search; `run` it once."""

    def __init__(
        self,
        problem: InitialValueProblem,
        *,
        tolerance: Tolerance,
        max_steps: int,
        first_step: float | None = None,
    ) -> None:
        self._problem = problem
        self._field: VectorField = problem.vector_field
        self._tolerance = tolerance
        self._max_steps = max_steps
        self._first_step = first_step
        self._jumps: Jumps | None = problem.jumps_in_order(beyond_end=True)
        self._attempts = AttemptLog()
        self._log = _KnotLog([], [], [], [])
        self._finished: list[ActiveSamples] = []

    def run(self) -> SearchResult:
        """Step until every sample has passed its end or failed."""
        with torch.no_grad():
            self._step_to_the_end()
        return self._result()

    def _step_to_the_end(self) -> None:
        rows, history = self._tidy(*self._start())
        for _ in range(self._max_steps):
            if not len(rows.samples):
                break
            rows, history = self._tidy(*self._round(rows, history))
        exhausted = torch.full_like(rows.status, int(Status.TOO_MANY_STEPS))
        self._finished.append(replace(rows, status=exhausted))

    def _start(self) -> tuple[ActiveSamples, History]:
        problem = self._problem
        t, y = problem.t0.detach(), problem.y0.detach()
        f = evaluate(self._field, t, y)
        counts = torch.zeros(len(t), dtype=torch.int64, device=t.device)
        finite = y.isfinite().all(1) & f.isfinite().all(1)
        everyone = torch.arange(len(t), device=t.device)
        rows = ActiveSamples(
            samples=everyone,
            t=t,
            y=y,
            size=torch.zeros_like(t),
            order=counts,
            starting=finite,
            num_failures=counts,
            num_accepted=counts,
            num_rejected=counts,
            next_jump=counts,
            jump_time=self._jump_time(counts, everyone),
            direction=problem.direction,
            end=problem.end_times,
            status=torch.where(finite, int(Status.SUCCESS), int(Status.NOT_FINITE)),
        )
        self._log.add(y, f, torch.zeros_like(y), counts)
        return self._begin(rows, y, f, self._field), History.start(t, f, rows.direction)

    def _begin(
        self, rows: ActiveSamples, y: Tensor, f: Tensor, field: VectorField
    ) -> ActiveSamples:
        """Choose a first step from y, whose derivative is f."""
        if self._first_step is not None:
            return rows.started(y, rows.direction * self._first_step)
        tolerance = self._tolerance.for_samples(rows.samples)
        start, order = (rows.t, y, f), MIN_ORDER
        step = first_step(field, start, rows.direction, tolerance=tolerance, order=order)
        return rows.started(y, step)

    def _round(self, rows: ActiveSamples, history: History) -> tuple[ActiveSamples, History]:
        """Try one step of every sample."""
        t1 = rows.next_times()
        prediction = Prediction.make(rows.y, history, t1, rows.order)
        derivative = evaluate(self._field, t1, prediction.y)
        y1 = prediction.correct(derivative)
        corrected = evaluate(self._field, t1, y1)
        allowed = self._allowed(rows, torch.maximum(rows.y.abs(), y1.abs()))
        errors = prediction.errors(derivative, corrected, allowed)
        # 0 * f is NaN where f is not finite.
        accepted = (errors[1] <= 1) & ((0 * corrected).sum(1) == 0)
        self._attempts.attempts.append(
            Attempt(rows.samples, rows.num_accepted, accepted, t1, torch.full_like(rows.order, -1))
        )
        defect = prediction.new_weight() * (derivative - corrected)
        self._log.add(y1, corrected, defect, rows.order)
        moved = rows.moved(t1, y1, plan_step(rows.order, errors, rows.starting))
        after = History(
            torch.cat([t1.unsqueeze(0), history.knots[:-1]]),
            torch.cat([corrected.unsqueeze(0), corrected - prediction.extrapolations]),
        )
        if bool(accepted.all()):
            return moved, after
        index = (~accepted).nonzero().squeeze(1)
        held = self._hold(rows.select(index), t1[index], errors[:, index])
        return moved.put(index, held), History.where(accepted, after, history)

    @staticmethod
    def _hold(rows: ActiveSamples, tried: Tensor, errors: Tensor) -> ActiveSamples:
        plan = plan_retry(rows.order, errors, rows.num_failures + 1)
        return rows.held(tried, errors[1].isfinite(), plan)

    def _allowed(self, rows: ActiveSamples, size: Tensor) -> Tensor:
        tolerance = self._tolerance.for_samples(rows.samples)
        return tolerance.atol + tolerance.rtol * size

    def _tidy(self, rows: ActiveSamples, history: History) -> tuple[ActiveSamples, History]:
        """Add the jumps of this very time, then leave out the samples that are done."""
        while self._jumps is not None:
            at_jump = (rows.t == rows.jump_time) & (rows.status == int(Status.SUCCESS))
            if not bool(at_jump.any()):
                break
            rows, history = self._jump(at_jump.nonzero().squeeze(1), rows, history)
        running = rows.running()
        if bool(running.all()):
            return rows, history
        self._finished.append(rows.select(~running))
        kept = running.nonzero().squeeze(1)
        self._field = restrict(self._field, kept)
        return rows.select(kept), history.select(kept)

    def _jump(
        self, index: Int64[Tensor, " row"], rows: ActiveSamples, history: History
    ) -> tuple[ActiveSamples, History]:
        """Add the next jump of some samples, and begin anew from there."""
        assert self._jumps is not None
        part, field = rows.select(index), restrict(self._field, index)
        y = part.y + self._jumps.amounts.detach()[part.samples, part.next_jump].to(part.y)
        f = evaluate(field, part.t, y)
        finite = f.isfinite().all(1)
        self._attempts.attempts.append(
            Attempt(part.samples, part.num_accepted, finite, part.t, part.next_jump)
        )
        self._log.add(y, f, torch.zeros_like(y), torch.zeros_like(part.order))
        part = replace(
            part,
            num_accepted=part.num_accepted + finite,
            next_jump=part.next_jump + finite,
            jump_time=self._jump_time(part.next_jump + 1, part.samples),
            status=torch.where(finite, part.status, int(Status.NOT_FINITE)),
        )
        begun = self._begin(part, y, f, field)
        start = History.start(part.t, f, part.direction, len(history.differences))
        return rows.put(index, begun), history.put(index, start)

    def _jump_time(self, number: Tensor, samples: Tensor) -> Float[Tensor, " row"]:
        """Return the time of each sample's jump of that number; infinite if it has fewer."""
        sign = self._problem.direction[samples]
        if self._jumps is None:
            return sign * torch.inf
        times = self._jumps.times.detach()[samples].to(sign)
        times = torch.cat([times, (sign * torch.inf).unsqueeze(1)], 1)
        return times.gather(1, number.unsqueeze(1)).squeeze(1)

    def _result(self) -> SearchResult:
        final, problem = ActiveSamples.join(self._finished), self._problem
        order = final.samples.argsort()
        counts, status, reached = final.num_accepted[order], final.status[order], final.t[order]
        mesh, table = self._attempts.mesh(problem, counts, reached)
        rejected, none = final.num_rejected[order], torch.zeros_like(counts)
        num_jumps = final.next_jump[order]
        at_starts = (1 + num_jumps) * (2 if self._first_step is None else 1)
        evaluations = at_starts + 2 * (counts - num_jumps + rejected)
        statistics = Statistics(evaluations, counts, rejected, none, none.clone())
        done = status == int(Status.SUCCESS)
        return SearchResult(
            mesh,
            self._log.dense_output(mesh, counts, table),
            status,
            torch.where(done, problem.end_times, reached),
            statistics,
        )


@dataclass(frozen=True)
class _KnotLog:
    """What was computed at the start and at the end of every attempt, block by block."""

    states: list[Tensor]
    derivatives: list[Tensor]
    defects: list[Tensor]
    orders: list[Tensor]

    def add(self, y: Tensor, f: Tensor, defect: Tensor, order: Tensor) -> None:
        """Append one block."""
        self.states.append(y)
        self.derivatives.append(f)
        self.defects.append(defect)
        self.orders.append(order)

    def dense_output(self, mesh: Mesh, num_steps: Tensor, table: Tensor) -> AdamsDenseOutput:
        """Return the accepted ones; `table` holds their rows among the attempts."""
        knot = torch.arange(len(mesh.times), device=table.device).unsqueeze(1)
        before = torch.minimum(knot, num_steps) - 1
        at_start = torch.arange(len(num_steps), device=table.device)
        rows = table.gather(0, before.clamp(min=0)) + len(num_steps)
        rows = torch.where(before >= 0, rows, at_start)
        orders = torch.cat(self.orders)[rows.roll(-1, 0)]
        return AdamsDenseOutput(
            times=mesh.times.detach(),
            orders=torch.where(knot < num_steps, orders, 0),
            states=torch.cat(self.states)[rows],
            derivatives=torch.cat(self.derivatives)[rows],
            defects=torch.cat(self.defects)[rows[1:]],
        )
