"""The first Radau step of a sample: Hairer, Norsett, Wanner, Solving ODEs I, section II.4."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.ode.problem import VectorField
from model.ode.runge_kutta import evaluate
from model.ode.step_size import Tolerance, first_step_size, second_guess

_ERROR_ORDER = 3


def first_step(
    field: VectorField,
    start: tuple[Tensor, Tensor, Tensor],
    interval: Float[Tensor, " row"],
    tolerance: Tolerance,
) -> Float[Tensor, " row"]:
    """Return a signed first step, no longer than the interval; one evaluation of the field.

    `start` is the time [row], the state and its derivative [row state].
    """
    t, y, derivative = start
    sign = interval.sign()
    probe = torch.minimum(first_step_size(y, derivative, tolerance).to(t), interval.abs())
    signed = (probe * sign).unsqueeze(1).to(y)
    moved = evaluate(field, t + probe * sign, y + signed * derivative)
    probe = probe.to(y)
    curvature = tolerance.norm(moved - derivative, y) / probe
    slope = tolerance.norm(derivative, y)
    h = second_guess(probe, slope, curvature, _ERROR_ORDER + 1).to(t)
    # A field that is not finite there: begin small, the step loop will find out.
    h = torch.where(h.isfinite() & (h > 0), h, 1e-6 * interval.abs())
    return torch.minimum(h, interval.abs()) * sign
