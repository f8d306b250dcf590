"""What follows from a round: which samples have moved, and the step that each tries next."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from model.ode.first_step import first_step
from model.ode.problem import VectorField
from model.ode.radau.gustafsson import ERROR_ORDER, hold_small_growth, next_step_factor
from model.ode.radau.host import to_host
from model.ode.radau.newton import Progress
from model.ode.radau.rows import Rows, clip, fail
from model.ode.solution import Status
from model.ode.step_size import Tolerance

# A Newton iteration that contracts slower than this asks for a new Jacobian.
_SLOW_RATE = 1e-3


@dataclass(frozen=True)
class Outcome:
    """How the tried steps ended; a step of size `h` leads to `t1`. `error` is in units of the tolerance.

    All are [row].
    """

    t1: np.ndarray
    h: np.ndarray
    progress: Progress
    error: np.ndarray
    accepted: np.ndarray


def choose_next_steps(rows: Rows, outcome: Outcome, step_size: float | None) -> None:
    """Move the samples whose step was accepted, and choose the next step of each."""
    progress, error, accepted = outcome.progress, outcome.error, outcome.accepted
    t1, h = outcome.t1, outcome.h
    slow = accepted & (progress.num_iterations > 2) & (progress.rate > _SLOW_RATE)
    if step_size is None:
        ratio, effort = h / rows["last_h"], progress.num_iterations
        factor = next_step_factor(error, rows["last_error"], ratio, effort)
        grown = np.where(rows["rejected"], np.minimum(factor, 1.0), factor)
        grown = np.where(slow, grown, hold_small_growth(grown))
        wanted = rows["h"] * np.where(accepted, grown, factor)
    else:
        wanted = step_size * rows["sign"]
    rows["stale"] |= slow
    rows["accepted"] += accepted
    for name, values in (("t", t1), ("last_h", h), ("last_error", error)):
        np.copyto(rows[name], values, where=accepted)
    if accepted.all():
        rows["rejected"] = rows["fresh"] = False
        rows["h"] = wanted
        clip(rows)
    else:
        _retry(rows, outcome, wanted)


def _retry(rows: Rows, outcome: Outcome, wanted: np.ndarray) -> None:
    """Shorten steps that were not accepted, and let go of samples whose step has become tiny.

    An old Jacobian is the first suspect of a diverged iteration, the step size the second.
    """
    progress, error, accepted = outcome.progress, outcome.error, outcome.accepted
    converged = progress.converged
    diverged, failed = rows["running"] & ~converged, rows["running"] & ~accepted
    rows["diverged"] = diverged & ~rows["fresh"]
    shorter = rows["h"] * np.where(rows["fresh"], 0.5, 1.0)
    wanted = np.where(diverged, shorter, wanted)
    np.copyto(rows["h"], wanted, where=rows["running"])
    rows["rejected_steps"] += failed
    rows["rejected"] = failed & (converged | rows["rejected"])
    rows["fresh"] &= ~accepted
    clip(rows)
    precision = np.finfo(rows["t"].dtype)
    smallest = np.maximum(10 * precision.eps * np.abs(rows["t"]), precision.tiny**0.5)
    stuck = failed & (np.abs(rows["h"]) < smallest)
    stuck &= rows["h"] != rows["stop"] - rows["t"]
    finite = np.isfinite(progress.norm) & np.isfinite(error)
    fail(rows, stuck & finite, Status.STEP_UNDERFLOW)
    fail(rows, stuck & ~finite, Status.NOT_FINITE)


def first_steps(
    field: VectorField,
    start: tuple[Tensor, Tensor, Tensor],
    stop: Tensor,
    tolerance: Tolerance,
) -> np.ndarray:
    """Return the first step of each sample; `start` is time, state and derivative."""
    interval = stop - start[0]
    return to_host(
        first_step(
            field,
            start,
            interval.sign(),
            tolerance=tolerance,
            order=ERROR_ORDER + 1,
            longest=interval.abs(),
        )
    )
