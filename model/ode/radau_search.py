"""The search for a Radau solution: each sample's steps by its own error, Jacobian and factors.

Runs without autograd. Samples that are done or have failed leave the table of active samples.
Hairer, Wanner, Solving ODEs II, section IV.8.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from model.ode.gustafsson import first_step, hold_small_growth, next_step_factor
from model.ode.jacobian import batched_jacobian
from model.ode.newton import StageFactors
from model.ode.problem import InitialValueProblem, restrict
from model.ode.radau_active import NUM_COUNTERS, ActiveSamples, RadauTolerance
from model.ode.radau_steps import RadauSteps, sum_of_first_jumps
from model.ode.radau_trial import Trial, attempt
from model.ode.solution import Statistics, Status

# A Newton iteration that contracts slower than this asks for a new Jacobian.
_SLOW_RATE = 1e-3


@dataclass(frozen=True)
class SearchResult:
    """The accepted steps and, for each sample, how the search went."""

    steps: RadauSteps
    status: Int64[Tensor, " sample"]
    last_times: Float[Tensor, " sample"]
    statistics: Statistics


class RadauSearch:
    """One solve: `run` finds the steps, this object counts what they cost."""

    def __init__(
        self,
        problem: InitialValueProblem,
        *,
        tolerance: RadauTolerance,
        max_steps: int,
        step_size: float | None,
    ) -> None:
        self._field = problem.vector_field
        self._step_size = step_size
        self._max_steps = max_steps
        self._end = problem.end_times
        self._direction = problem.direction
        jumps = problem.jumps_in_order()
        self._jump_times = None if jumps is None else jumps.times.detach().to(self._end)
        self._jumps_so_far = None if jumps is None else sum_of_first_jumps(jumps.amounts.detach())
        self._active = ActiveSamples.at_start(problem.t0.detach(), problem.y0.detach(), tolerance)
        self._log: list[RadauSteps] = []
        self._accepted: list[Bool[Tensor, " row"]] = []
        self._status = torch.zeros_like(self._active.samples)
        self._last_times = problem.t0.detach().clone()
        self._counts = self._active.counts.clone()

    @torch.no_grad()
    def run(self) -> SearchResult:
        """Step until every sample has reached its end or failed."""
        self._begin()
        for _ in range(self._max_steps):
            if not len(self._active.samples):
                break
            self._refresh_matrices()
            trial = attempt(self._field, self._active, ignore_error=self._step_size is not None)
            self._settle(trial)
            self._remove_finished(trial)
        self._remove(torch.ones_like(self._active.needs_jacobian), failed_as=Status.TOO_MANY_STEPS)
        steps = RadauSteps.join(self._log).select(torch.cat(self._accepted))
        return SearchResult(
            steps.sorted_by_sample(), self._status, self._last_times, Statistics(*self._counts.T)
        )

    def _begin(self) -> None:
        """Record where the samples start, and add the jumps at their t0."""
        active = self._active
        everyone = torch.ones_like(active.needs_factors)
        passed = self._passed_jumps(active.samples, active.t)
        self._record(active, active.t, active.last_increments, passed, everyone)
        self._active = self._restart(active, everyone, passed)
        finite = self._active.derivative.isfinite().all(1) & self._active.y.isfinite().all(1)
        self._remove(~finite, failed_as=Status.NOT_FINITE)
        self._remove(self._active.t == self._end[self._active.samples])

    def _refresh_matrices(self) -> None:
        """Evaluate the Jacobians and factor the matrices that are out of date, and only those."""
        active = self._active
        fresh = active.needs_jacobian
        rows = _where(fresh)
        if len(rows):
            found = batched_jacobian(
                self._field, active.samples[rows], active.t[rows], active.y[rows]
            )
            active = replace(active, jacobian=active.jacobian.index_copy(0, rows, found))
        stale = active.needs_factors | fresh
        rows = _where(stale)
        if 2 * len(rows) > len(fresh):
            # To factor the same matrices again costs less than to pick the rows.
            active = replace(active, factors=StageFactors.of(active.jacobian, active.h))
        elif len(rows):
            factors = StageFactors.of(active.jacobian[rows], active.h[rows])
            active = replace(active, factors=active.factors.put(rows, factors))
        self._active = replace(active, jacobian_is_current=active.jacobian_is_current | fresh)

    def _settle(self, trial: Trial) -> None:
        """Move the samples whose step was accepted; give the others a smaller one."""
        active, accepted = self._active, trial.accepted
        passed = active.num_jumps
        if self._jump_times is not None:
            passed = torch.where(accepted, self._passed_jumps(active.samples, trial.t), passed)
        increments = trial.stages.increments.transpose(0, 1)
        self._record(active, trial.t, increments, passed, accepted)
        h, needs_jacobian = self._next_step(trial)
        factored = active.needs_factors | active.needs_jacobian
        evaluations = trial.num_function_evaluations
        cost = torch.stack([evaluations, accepted, ~accepted, active.needs_jacobian, factored], 1)
        row, stages = accepted.unsqueeze(1), accepted.view(-1, 1, 1)
        moved = replace(
            active,
            t=torch.where(accepted, trial.t, active.t),
            y=torch.where(row, trial.y, active.y),
            derivative=torch.where(row, trial.derivative, active.derivative),
            jacobian_is_current=active.jacobian_is_current & ~accepted,
            needs_jacobian=needs_jacobian,
            was_rejected=~accepted & (trial.stages.converged | active.was_rejected),
            last_h=torch.where(accepted, active.h, active.last_h),
            last_error=torch.where(accepted, trial.error, active.last_error),
            last_increments=torch.where(stages, increments, active.last_increments),
            counts=active.counts + cost,
        )
        h = _clip(h, moved)
        moved = replace(moved, h=h, needs_factors=h != active.h)
        if self._jump_times is not None:
            moved = self._restart(moved, passed > active.num_jumps, passed)
        self._active = moved

    def _next_step(self, trial: Trial) -> tuple[Float[Tensor, " row"], Bool[Tensor, " row"]]:
        """Return the step to try next and where it needs a new Jacobian.

        An old Jacobian is the first suspect of a diverged iteration, the step size the second.
        """
        active, stages, accepted = self._active, trial.stages, trial.accepted
        stale = ~stages.converged & ~active.jacobian_is_current
        slow = accepted & (stages.num_iterations > 2) & (stages.rate > _SLOW_RATE)
        after_divergence = active.h * torch.where(stale, 1.0, 0.5)
        if self._step_size is not None:
            wanted = self._step_size * self._direction[active.samples]
            return torch.where(accepted, wanted, after_divergence), slow | stale
        factor = next_step_factor(
            error=trial.error,
            last_error=active.last_error,
            ratio=(active.h / active.last_h).to(trial.error.dtype),
            num_iterations=stages.num_iterations,
        )
        grown = torch.where(active.was_rejected, factor.clamp(max=1.0), factor)
        grown = torch.where(slow, grown, hold_small_growth(grown))
        factor = torch.where(accepted, grown, factor)
        # A diverged iteration has no error to speak of.
        h = torch.where(stages.converged, active.h * factor.to(active.h), after_divergence)
        return h, slow | stale

    def _restart(
        self, active: ActiveSamples, mask: Bool[Tensor, " row"], passed: Int64[Tensor, " row"]
    ) -> ActiveSamples:
        """Return the table with these rows begun anew behind their jumps: no past, a first step."""
        rows = _where(mask)
        if not len(rows):
            return active
        part, passed = active.select(rows), passed[rows]
        samples, y = part.samples, part.y
        if self._jumps_so_far is not None:
            sums = self._jumps_so_far
            y = y + (sums[samples, passed] - sums[samples, part.num_jumps])
        derivative = restrict(self._field, samples)(part.t, y)
        part = replace(part, y=y, derivative=derivative, stop=self._next_stop(samples, passed))
        h = self._first_step(part)
        num_evaluations = 2 if self._step_size is None else 1
        yes = torch.ones_like(part.needs_jacobian)
        part = replace(
            part,
            h=_clip(h, part),
            jacobian_is_current=~yes,
            needs_jacobian=yes,
            was_rejected=~yes,
            last_h=torch.ones_like(part.last_h),
            last_error=torch.full_like(part.last_error, torch.inf),
            last_increments=torch.zeros_like(part.last_increments),
            num_jumps=passed,
            counts=part.counts + num_evaluations * _one_evaluation(samples),
        )
        return active.put(rows, part)

    def _first_step(self, part: ActiveSamples) -> Float[Tensor, " row"]:
        if self._step_size is not None:
            return self._step_size * self._direction[part.samples]
        return first_step(
            restrict(self._field, part.samples),
            part.t,
            part.y,
            part.derivative,
            interval=part.stop - part.t,
            scale=part.tolerance.scale(part.y.abs()),
        )

    def _passed_jumps(
        self, samples: Int64[Tensor, " row"], t: Float[Tensor, " row"]
    ) -> Int64[Tensor, " row"]:
        """Return how many jumps are behind each sample once it has reached t."""
        if self._jump_times is None:
            return torch.zeros_like(samples)
        sign = self._direction[samples].unsqueeze(1)
        return (self._jump_times[samples] * sign <= t.unsqueeze(1) * sign).sum(1)

    def _next_stop(
        self, samples: Int64[Tensor, " row"], passed: Int64[Tensor, " row"]
    ) -> Float[Tensor, " row"]:
        """Return the time of the next jump, or the end."""
        end = self._end[samples]
        if self._jump_times is None or not self._jump_times.shape[1]:
            return end
        place = passed.clamp(max=self._jump_times.shape[1] - 1)
        jump, sign = self._jump_times[samples, place], self._direction[samples]
        ahead = (place == passed) & (jump * sign < end * sign)
        return torch.where(ahead, jump, end)

    def _record(
        self,
        active: ActiveSamples,
        t: Float[Tensor, " row"],
        increments: Float[Tensor, "row stage state"],
        passed: Int64[Tensor, " row"],
        accepted: Bool[Tensor, " row"],
    ) -> None:
        self._accepted.append(accepted)
        self._log.append(
            RadauSteps(active.samples, active.t, t, active.y, increments, active.num_jumps, passed)
        )

    def _remove_finished(self, trial: Trial) -> None:
        """Let go of the samples at their end, and of those whose step has become too small."""
        active = self._active
        precision = torch.finfo(active.t.dtype)
        smallest = (10 * precision.eps * active.t.abs()).clamp(min=precision.tiny**0.5)
        stuck = (active.h.abs() < smallest) & (active.h != active.stop - active.t)
        finite = trial.stages.finite & ~trial.error.isposinf()
        done = active.t == self._end[active.samples]
        for status, mask in (
            (Status.STEP_UNDERFLOW, stuck & finite),
            (Status.NOT_FINITE, stuck & ~finite),
        ):
            self._status[active.samples[mask]] = int(status)
        self._remove(done | stuck)

    def _remove(self, mask: Bool[Tensor, " row"], *, failed_as: Status | None = None) -> None:
        """Take samples out of the table; what they reached stays."""
        if bool(mask.any()):
            samples = self._active.samples[mask]
            self._last_times[samples] = self._active.t[mask]
            self._counts[samples] = self._active.counts[mask]
            if failed_as is not None:
                self._status[samples] = int(failed_as)
            self._active = self._active.select(~mask)


def _clip(h: Float[Tensor, " row"], active: ActiveSamples) -> Float[Tensor, " row"]:
    """Return the step cut, or stretched a little, to end at the sample's stop."""
    remaining = active.stop - active.t
    return torch.where(1.0001 * h.abs() >= remaining.abs(), remaining, h)


def _one_evaluation(samples: Int64[Tensor, " row"]) -> Int64[Tensor, " counter"]:
    return torch.eye(1, NUM_COUNTERS, dtype=torch.int64, device=samples.device)[0]


def _where(mask: Bool[Tensor, " row"]) -> Int64[Tensor, " chosen"]:
    return mask.nonzero().squeeze(1)
