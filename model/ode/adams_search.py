"""The search for an Adams solution: each sample's steps and orders, by its own local errors.

Runs without autograd. Samples that are done or have failed leave the table of active samples.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from model.ode.adams_active import ActiveSamples, jump_at
from model.ode.adams_segments import Segments
from model.ode.divided_differences import History
from model.ode.order_selection import (
    MIN_ORDER,
    ErrorsByOrder,
    plan_after_failure,
    plan_after_success,
)
from model.ode.predictor_corrector import Prediction, correct, defect, local_error, predict
from model.ode.problem import InitialValueProblem, restrict
from model.ode.sample_table import AbstractSampleTable
from model.ode.solution import Statistics, Status
from model.ode.step_size import Tolerance, first_step_size, second_guess


@dataclass(frozen=True)
class SearchResult:
    """The accepted steps and, for each sample, how the search went."""

    segments: Segments
    status: Int[Tensor, " sample"]
    last_times: Float[Tensor, " sample"]
    statistics: Statistics


@dataclass(frozen=True)
class _Trial(AbstractSampleTable):
    """One attempted step of every active sample."""

    t: Float[Tensor, " sample"]
    y: Float[Tensor, "sample state"]
    prediction: Prediction
    derivative: Float[Tensor, "sample state"]
    size: Float[Tensor, "sample state"]
    errors: ErrorsByOrder


class AdamsSearch:
    """One solve: `run` finds the steps, this object counts what they cost."""

    def __init__(
        self, problem: InitialValueProblem, *, tolerance: Tolerance, max_steps: int, max_order: int
    ) -> None:
        self._field = problem.vector_field
        self._tolerance = tolerance
        self._max_steps = max_steps
        self._max_order = max_order
        self._active = ActiveSamples.at_start(problem, num_rows=max_order + 1)
        self._segments: list[Segments] = []
        self._status = torch.zeros_like(self._active.samples)
        self._last_times = self._active.t.clone()
        self._statistics = Statistics.zeros(problem.num_samples, problem.y0.device)

    @torch.no_grad()
    def run(self) -> SearchResult:
        """Step until every sample has reached its end or failed."""
        self._restart(self._active.landed)
        self._remove(self._active.landed)
        for _ in range(self._max_steps):
            if not len(self._active.samples):
                break
            self._attempt()
            if bool(self._active.landed.any()):
                self._restart(self._active.at_jump())
                self._remove(self._active.landed)
        self._status[self._active.samples] = int(Status.TOO_MANY_STEPS)
        self._remove(torch.ones_like(self._active.landed))
        segments = Segments.join(self._segments)
        return SearchResult(segments, self._status, self._last_times, self._statistics)

    def _attempt(self) -> None:
        """Try one step of every active sample; keep it where its error is small enough."""
        active, trial = self._active, self._try()
        small = (trial.errors.same <= 1.0).nonzero().squeeze(1)
        derivative = torch.full_like(trial.y, torch.nan)
        derivative[small] = self._evaluate(active.samples[small], trial.t[small], trial.y[small])
        finite = derivative.isfinite().all(1)
        good, bad = finite.nonzero().squeeze(1), (~finite).nonzero().squeeze(1)
        self._statistics.num_accepted_steps[active.samples[good]] += 1
        self._statistics.num_rejected_steps[active.samples[bad]] += 1
        if len(good):
            part = self._accept(active.select(good), trial.select(good), derivative[good])
            self._active = self._active.put(good, part)
        if len(bad):
            self._reject(bad, trial.select(bad))

    def _try(self) -> _Trial:
        active = self._active
        t = active.trial_times()
        prediction = predict(active.y, active.history, t - active.t, active.order)
        derivative = self._evaluate(active.samples, t, prediction.y)
        y = correct(prediction, derivative, active.order)
        size = torch.maximum(active.y.abs(), y.abs())
        differences = derivative.unsqueeze(1) - prediction.extrapolations
        tolerance = self._tolerance.for_samples(active.samples)
        two_below, below, same = (
            tolerance.norm(local_error(prediction, differences, active.order - lag), size)
            for lag in (2, 1, 0)
        )
        errors = ErrorsByOrder(two_below, below, same, above=torch.full_like(same, torch.inf))
        return _Trial(t, y, prediction, derivative, size, errors)

    def _accept(
        self, active: ActiveSamples, trial: _Trial, derivative: Float[Tensor, "sample state"]
    ) -> ActiveSamples:
        length = trial.t - active.t
        history = active.history.advance(length, derivative, trial.prediction.extrapolations)
        missed = defect(trial.prediction, trial.derivative, derivative, active.order)
        self._log(active, length, active.order, missed, history)
        above = local_error(trial.prediction, history.differences, active.order + 1)
        above = self._tolerance.for_samples(active.samples).norm(above, trial.size)
        above = torch.where(active.order <= active.age + 1, above, torch.inf)
        plan = plan_after_success(
            active.order, replace(trial.errors, above=above), active.starting, self._max_order
        )
        return active.moved(trial.t, trial.y, history, plan)

    def _reject(self, rows: Int[Tensor, " row"], trial: _Trial) -> None:
        active = self._active.select(rows)
        plan = plan_after_failure(active.order, trial.errors, active.num_failures + 1)
        active = active.held(trial.t, plan)
        self._active = self._active.put(rows, active)
        stuck, finite = active.stuck(), trial.errors.same.isfinite()
        samples = active.samples
        self._status[samples[stuck & finite]] = int(Status.STEP_UNDERFLOW)
        self._status[samples[stuck & ~finite]] = int(Status.NOT_FINITE)
        self._remove(torch.zeros_like(self._active.landed).index_copy(0, rows, stuck))

    def _restart(self, mask: Bool[Tensor, " sample"]) -> None:
        """Begin anew, with the jump of this very time, where the mask says so."""
        rows = mask.nonzero().squeeze(1)
        if not len(rows):
            return
        active = self._active.select(rows)
        amount = jump_at(active.t, active.jump_times, active.jump_amounts)
        y = active.y + amount
        derivative = self._evaluate(active.samples, active.t, y)
        num_rows = self._max_order + 1
        history = History.start(derivative, direction=active.direction, num_rows=num_rows)
        nothing = replace(history, differences=torch.zeros_like(history.differences))
        order, length = torch.zeros_like(active.order), torch.zeros_like(active.t)
        self._log(active, length, order, amount, nothing)
        step = self._first_step(active, y, derivative)
        self._active = self._active.put(rows, active.restarted(y, history, step))
        finite = derivative.isfinite().all(1)
        self._status[active.samples[~finite]] = int(Status.NOT_FINITE)
        self._remove(torch.zeros_like(mask).index_copy(0, rows, ~finite))

    def _first_step(
        self,
        active: ActiveSamples,
        y: Float[Tensor, "sample state"],
        derivative: Float[Tensor, "sample state"],
    ) -> Float[Tensor, " sample"]:
        """Return a first step for order 2 (Hairer, Norsett, Wanner I, section II.4)."""
        tolerance = self._tolerance.for_samples(active.samples)
        span = (active.end - active.t).abs()
        probe = first_step_size(y, derivative, tolerance).to(span).minimum(span)
        shift = (active.direction * probe).to(y.dtype).unsqueeze(-1)
        t = active.t + active.direction * probe
        change = self._evaluate(active.samples, t, y + shift * derivative) - derivative
        slope, bend = (tolerance.norm(one, y).to(span) for one in (derivative, change))
        return second_guess(probe, slope, bend / probe, order=MIN_ORDER).minimum(span)

    def _evaluate(
        self,
        samples: Int[Tensor, " sample"],
        t: Float[Tensor, " sample"],
        y: Float[Tensor, "sample state"],
    ) -> Float[Tensor, "sample state"]:
        self._statistics.num_function_evaluations[samples] += 1
        return restrict(self._field, samples)(t, y) if len(samples) else y

    def _log(
        self,
        active: ActiveSamples,
        length: Float[Tensor, " sample"],
        order: Int[Tensor, " sample"],
        missed: Float[Tensor, "sample state"],
        history: History,
    ) -> None:
        self._segments.append(
            Segments(active.samples, active.t, length, order, active.y, missed, history)
        )

    def _remove(self, mask: Bool[Tensor, " sample"]) -> None:
        """Take samples out of the table; what they reached stays."""
        if bool(mask.any()):
            self._last_times[self._active.samples[mask]] = self._active.t[mask]
            self._active = self._active.select(~mask)
