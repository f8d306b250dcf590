"""The search for a Radau solution: each sample's steps by its own error, Jacobian and factors.

Runs without autograd. Hairer, Wanner, Solving ODEs II, section IV.8, with two differences. The
derivative at the end of a step is that of the collocation polynomial, which costs no evaluation.
And samples step side by side: those that are done are left out once they are the greater part.
"""

import numpy as np
import torch
from torch import Tensor

from model.ode.problem import InitialValueProblem, restrict
from model.ode.radau.collocation import (
    A_INVERSE,
    ERROR_WEIGHTS,
    NUM_STAGES,
    continuation,
    interpolation_share,
)
from model.ode.radau.gustafsson import rms, widening
from model.ode.radau.host import as_given, to_device, to_host
from model.ode.radau.jacobian import Jacobian
from model.ode.radau.newton import MAX_ITERATIONS, Progress, StageEquations
from model.ode.radau.path import PathLog, RadauPath
from model.ode.radau.rows import Rows, clip, fail, new_rows, set_bounds
from model.ode.radau.stage_factors import AbstractStageFactors, factor
from model.ode.radau.step_choice import Outcome, choose_next_steps, first_steps
from model.ode.runge_kutta import evaluate
from model.ode.solution import Status
from model.ode.step_size import Tolerance

# A new Jacobian waits for a round in common: to evaluate many costs hardly more than one.
_ROUNDS_BETWEEN_JACOBIANS = 3
_SLOPES_AND_ERROR = np.concatenate([A_INVERSE, ERROR_WEIGHTS])
# Where the step size is given, the step is not to be made shorter instead.
_PATIENCE = 30


class RadauSearch:
    """One search; `run` it once."""

    def __init__(
        self,
        problem: InitialValueProblem,
        tolerance: Tolerance,
        *,
        max_steps: int,
        first_step: float | None,
        step_size: float | None,
    ) -> None:
        self._problem, self._max_steps = problem, max_steps
        self._first_step, self._step_size = first_step, step_size
        self._y = problem.y0.detach()
        num_samples, width = self._y.shape
        self._set_tolerance(tolerance)
        self._samples = torch.arange(num_samples, device=self._y.device)
        self._set_fields()
        self._derivative = torch.zeros_like(self._y)
        self._increments = self._y.new_zeros(num_samples, NUM_STAGES, width)
        self._jacobian = self._y.new_zeros(num_samples, width, width)
        self._factors: AbstractStageFactors | None = None
        self._field_jacobian = Jacobian(problem.vector_field)
        jumps = problem.jumps_in_order()
        never = self._rows["sign"][:, None] * np.full((num_samples, 1), np.inf)
        self._jump_times = never if jumps is None else np.append(to_host(jumps.times), never, 1)
        self._amounts = None if jumps is None else jumps.amounts.detach()
        self._round_number = 0
        self._log = PathLog()
        self._finished: list[tuple[Rows, Tensor]] = []

    def _set_tolerance(self, tolerance: Tolerance) -> None:
        problem, y = self._problem, self._y
        precision = torch.finfo(y.dtype).eps
        rtol, atol = (
            torch.as_tensor(one).detach().to(y).expand(y.shape)
            for one in (tolerance.rtol, tolerance.atol)
        )
        rtol = rtol.clamp(min=100 * precision)
        wider = widening(torch.maximum(rtol, atol))
        self._rtol, self._atol = rtol * wider, atol * wider
        rows = new_rows(to_host(problem.t0), to_host(problem.end_times), to_host(problem.direction))
        smallest, most = to_host(rtol).min(1, initial=1.0), to_host(wider).max(1, initial=1.0)
        set_bounds(rows, precision, smallest, most)
        self._rows: Rows = rows

    def run(self) -> RadauPath:
        """Step until every sample has reached its end or failed."""
        with torch.no_grad(), np.errstate(all="ignore"):
            self._begin()
            while self._rows["running"].any():
                self._leave_out()
                self._refresh()
                self._round()
                self._arrive()
            self._finished.append((self._rows, self._y))
            rows = np.concatenate([one for one, _ in self._finished])
            order = np.argsort(rows["sample"])
            states = torch.cat([y for _, y in self._finished])
            states = states[as_given(order, states)]
        # With autograd again: the mesh moves with t0 and the jumps.
        return self._log.path(self._problem, rows[order], states)

    def _set_fields(self) -> None:
        """Take in which samples are left."""
        whole, size = self._problem.vector_field, NUM_STAGES * self._y.shape[1]
        self._stage_field = restrict(whole, self._samples.repeat_interleave(NUM_STAGES))
        self._stage_rtol, self._stage_atol = (
            one.repeat(1, NUM_STAGES) * size**0.5 for one in (self._rtol, self._atol)
        )

    def _begin(self) -> None:
        self._rows["running"] = True
        self._add_jumps()
        self._restart(np.arange(len(self._rows)))
        self._arrive()

    def _leave_out(self) -> None:
        running = self._rows["running"]
        if 2 * np.count_nonzero(running) >= len(running):
            return
        self._finished.append(
            (self._rows[~running], self._y[as_given((~running).nonzero()[0], self._y)])
        )
        kept = as_given(running.nonzero()[0], self._y)
        self._rows = self._rows[running]
        self._y, self._derivative, self._increments = (
            one[kept] for one in (self._y, self._derivative, self._increments)
        )
        self._jacobian, self._samples = self._jacobian[kept], self._samples[kept]
        self._rtol, self._atol = self._rtol[kept], self._atol[kept]
        if self._factors is not None:
            self._factors = self._factors.take(kept)
        self._set_fields()

    def _refresh(self) -> None:
        """Evaluate the Jacobians and factor the matrices that are out of date, and only those."""
        rows, y = self._rows, self._y
        stale = rows["diverged"]
        if self._round_number % _ROUNDS_BETWEEN_JACOBIANS == 0:
            stale = stale | rows["stale"]
        stale = stale & rows["running"]
        if stale.any():
            where, t = stale.nonzero()[0], as_given(rows["t"][stale], y)
            if len(where) == len(rows):
                self._jacobian = self._field_jacobian.evaluate(self._samples, t, y)
            else:
                at = as_given(where, y)
                found = self._field_jacobian.evaluate(self._samples[at], t, y[at])
                self._jacobian = self._jacobian.index_copy(0, at, found)
            rows["fresh"] |= stale
            rows["factored_h"][stale] = np.nan
            rows["stale"] &= ~stale
            rows["diverged"] = False
            rows["jacobians"] += stale
        old = (rows["factored_h"] != rows["h"]) & rows["running"]
        rows["factorizations"] += old
        where = old.nonzero()[0]
        if self._factors is None or 2 * len(where) > len(rows):
            # To factor the same matrices again costs less than to pick the rows.
            self._factors = factor(self._jacobian, rows["h"])
        elif len(where):
            at = as_given(where, y)
            part = factor(self._jacobian[at], rows["h"][where])
            self._factors = self._factors.put(at, part)
        np.copyto(rows["factored_h"], rows["h"], where=old)

    def _round(self) -> None:
        """Try one step of every sample that runs; the others stand still."""
        rows, y = self._rows, self._y
        assert self._factors is not None
        t1 = np.where(rows["h"] == rows["stop"] - rows["t"], rows["stop"], rows["t"] + rows["h"])
        h = t1 - rows["t"]
        weights = to_device(_SLOPES_AND_ERROR / h[:, None, None], y)
        size = y.abs()
        scale = torch.addcmul(self._stage_atol, self._stage_rtol, size.repeat(1, NUM_STAGES))
        equations = StageEquations(
            self._stage_field, rows["t"], h, y, scale, weights[:, :NUM_STAGES]
        )
        patience = MAX_ITERATIONS if self._step_size is None else _PATIENCE
        progress = Progress(rows["running"], rows["bound"], rows["rounding"], patience)
        ratio = h / rows["last_h"]
        guess = torch.bmm(to_device(continuation(ratio), y), self._increments)
        # The iteration writes over the guess.
        foreseen = guess[:, -1].clone()
        increments = equations.solve(guess, self._factors, progress)
        y1 = y + increments[:, -1]
        slope, change = torch.bmm(weights[:, NUM_STAGES - 1 :], increments).unbind(1)
        error = np.zeros(len(rows))
        if self._step_size is None:
            scale = torch.addcmul(self._atol, self._rtol, torch.maximum(size, y1.abs()))
            error = self._error(change, scale, progress.converged)
            between = rms((increments[:, -1] - foreseen) / scale) * interpolation_share(ratio)
            np.maximum(error, between, out=error, where=np.isfinite(rows["last_error"]))
        accepted = progress.converged & (error <= 1.0)
        self._log.add(rows, t1, y, increments, chosen=accepted)
        self._move(accepted, (y1, slope, increments))
        rows["evaluations"] += NUM_STAGES * progress.num_iterations
        outcome = Outcome(t1, h, progress, error, accepted)
        choose_next_steps(rows, outcome, self._step_size)
        self._round_number += 1

    def _error(self, change: Tensor, scale: Tensor, converged: np.ndarray) -> np.ndarray:
        """Return the error in units of the tolerance (IV.8.19); NaN where it has none.

        The second estimate (IV.8.20) is for a first step, or one after a rejection: it ignores the
        stiff components, which the method damps.
        """
        rows = self._rows
        assert self._factors is not None
        vector = self._factors.solve_real((self._derivative + change).unsqueeze(2)).squeeze(2)
        error = rms(vector / scale)
        again = converged & ~(error <= 1.0)
        if again.any():
            again &= rows["rejected"] | np.isinf(rows["last_error"])
        if again.any():
            at, t = as_given(again.nonzero()[0], scale), as_given(rows["t"][again], scale)
            field = restrict(self._problem.vector_field, self._samples[at])
            moved = evaluate(field, t, self._y[at] + vector[at])
            right = (moved + change[at]).unsqueeze(2)
            refined = rms(self._factors.take(at).solve_real(right).squeeze(2) / scale[at])
            # Where the shifted state leaves the domain of the field, the first estimate stands.
            error[again] = np.where(np.isfinite(refined), refined, error[again])
            rows["evaluations"] += again
        return error

    def _move(self, accepted: np.ndarray, arrived: tuple[Tensor, Tensor, Tensor]) -> None:
        if accepted.all():
            self._y, self._derivative, self._increments = arrived
        elif accepted.any():
            row = as_given(accepted, self._y).unsqueeze(1)
            y, derivative, increments = arrived
            self._y = torch.where(row, y, self._y)
            self._derivative = torch.where(row, derivative, self._derivative)
            self._increments = torch.where(row.unsqueeze(1), increments, self._increments)

    def _arrive(self) -> None:
        """Add the jumps at the times reached, and let go of the samples at their end."""
        rows = self._rows
        jumped = self._add_jumps()
        rows["running"] &= rows["t"] != rows["end"]
        jumped &= rows["running"]
        if jumped.any():
            self._restart(jumped.nonzero()[0])
        if self._round_number >= self._max_steps:
            fail(rows, rows["running"].copy(), Status.TOO_MANY_STEPS)

    def _add_jumps(self) -> np.ndarray:
        """Add every jump at the present time of a running sample; return the rows that had one."""
        rows, jumped = self._rows, np.zeros(len(self._rows), dtype=bool)
        while self._amounts is not None:
            following = self._jump_times[rows["sample"], rows["num_jumps"]]
            now = rows["running"] & (following == rows["t"])
            if not now.any():
                break
            place = np.minimum(rows["num_jumps"], self._amounts.shape[1] - 1)
            amounts = self._amounts[self._samples, as_given(place, self._y)]
            increments = torch.zeros_like(self._increments)
            increments[:, -1] = amounts
            self._log.add(rows, rows["t"].copy(), self._y, increments, chosen=now, is_jump=True)
            self._y = torch.where(as_given(now, self._y).unsqueeze(1), self._y + amounts, self._y)
            rows["num_jumps"] += now
            jumped |= now
        return jumped

    def _restart(self, which: np.ndarray) -> None:
        """Begin anew from the present states: no past, a first step."""
        rows, at = self._rows, as_given(which, self._y)
        part, y = rows[which], self._y[at]
        t = as_given(part["t"].copy(), y)
        field = restrict(self._problem.vector_field, self._samples[at])
        derivative = evaluate(field, t, y)
        self._derivative = self._derivative.index_copy(0, at, derivative)
        zeros = torch.zeros_like(self._increments[at])
        self._increments = self._increments.index_copy(0, at, zeros)
        sign, end = part["sign"], part["end"]
        following = self._jump_times[part["sample"], part["num_jumps"]]
        part["stop"] = np.where(following * sign < end * sign, following, end)
        part["evaluations"] += 1
        given = self._first_step if self._step_size is None else self._step_size
        if given is None:
            part["evaluations"] += 1
            tolerance = Tolerance(self._rtol[at], self._atol[at])
            part["h"] = first_steps(field, (t, y, derivative), as_given(part["stop"], y), tolerance)
        else:
            part["h"] = given * sign
        part["last_h"], part["last_error"] = 1.0, np.inf
        part["diverged"], part["fresh"], part["rejected"] = True, False, False
        rows[which] = part
        clip(rows)
        good = y.isfinite().all(1) & derivative.isfinite().all(1)
        broken = np.zeros(len(rows), dtype=bool)
        broken[which] = ~to_host(good)
        fail(rows, broken & rows["running"], Status.NOT_FINITE)
