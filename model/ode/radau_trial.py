"""One attempted Radau step of every active sample: its stages, its error, whether it may stand."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from model.ode.collocation import NUM_STAGES, extrapolate, radau_tableau
from model.ode.gustafsson import rms_norm
from model.ode.newton import MAX_ITERATIONS, StageEquations, Stages
from model.ode.problem import VectorField, restrict
from model.ode.radau_active import ActiveSamples

# Where the step size is given, the step is not to be made shorter instead.
_PATIENCE = 30


@dataclass(frozen=True)
class Trial:
    """What became of the step; `error` is in units of the tolerance, `derivative` at the end."""

    t: Float[Tensor, " row"]
    y: Float[Tensor, "row state"]
    derivative: Float[Tensor, "row state"]
    stages: Stages
    error: Float[Tensor, " row"]
    accepted: Bool[Tensor, " row"]
    num_function_evaluations: Int64[Tensor, " row"]


def attempt(vector_field: VectorField, active: ActiveSamples, *, ignore_error: bool) -> Trial:
    """Try the step `active.h`; accepted where it converged, is precise and leads to finite values.

    With `ignore_error` it need not be precise, and the iteration is given more time.
    """
    lands = active.h == active.stop - active.t
    t = torch.where(lands, active.stop, active.t + active.h)
    size = active.y.abs()
    stages = StageEquations(
        restrict(vector_field, active.samples.repeat(NUM_STAGES)),
        active.t,
        active.h,
        active.y,
        inverse_scale=active.tolerance.scale(size).reciprocal(),
        tolerance=active.tolerance.newton,
        rounding=active.tolerance.rounding,
        max_iterations=_PATIENCE if ignore_error else MAX_ITERATIONS,
    ).solve(extrapolate(active.h / active.last_h, active.last_increments), active.factors)
    num_evaluations = NUM_STAGES * stages.num_iterations
    y = active.y + stages.increments[-1]
    error = torch.zeros_like(active.last_error)
    if not ignore_error:
        scale = active.tolerance.scale(torch.maximum(size, y.abs()))
        error, refined = _estimate_error(vector_field, active, stages, scale)
        num_evaluations = num_evaluations + refined
    small = stages.converged & (error <= 1.0)
    rows = small.nonzero().squeeze(1)
    derivative = active.derivative
    if len(rows):
        field = restrict(vector_field, active.samples[rows])
        derivative = derivative.index_copy(0, rows, field(t[rows], y[rows]))
    accepted = small & derivative.isfinite().all(1)
    error = torch.where(accepted | ~small, error, torch.inf)
    return Trial(t, y, derivative, stages, error, accepted, num_evaluations + small)


def _estimate_error(
    vector_field: VectorField,
    active: ActiveSamples,
    stages: Stages,
    scale: Float[Tensor, "row state"],
) -> tuple[Float[Tensor, " row"], Bool[Tensor, " row"]]:
    """Return the error in units of the tolerance (IV.8.19) and where it was estimated again.

    The second estimate (IV.8.20) is for a first step, or one after a rejection: it ignores the
    stiff components, which the method damps.
    """
    weights = radau_tableau(active.y.dtype, active.y.device).error_weights
    inverse = active.h.to(active.y.dtype).reciprocal().unsqueeze(1)
    change = torch.einsum("s,srd->rd", weights, stages.increments) * inverse
    vector = active.factors.solve_real(active.derivative + change)
    error = rms_norm(vector / scale)
    fresh = active.was_rejected | ~active.last_error.isfinite()
    again = fresh & ~(error <= 1.0) & stages.converged
    rows = again.nonzero().squeeze(1)
    if len(rows):
        field = restrict(vector_field, active.samples[rows])
        moved = field(active.t[rows], active.y[rows] + vector[rows])
        vector = active.factors.select(rows).solve_real(moved + change[rows])
        refined = rms_norm(vector / scale[rows])
        # Where the shifted state leaves the domain of the field, the first estimate stands.
        refined = torch.where(refined.isfinite(), refined, error[rows])
        error = error.index_copy(0, rows, refined)
    error = torch.where(error.isfinite(), error, torch.inf)
    return error, again
