"""The first step that an adaptive method tries (Hairer, Norsett, Wanner, Solving ODEs I, II.4)."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.ode.problem import VectorField
from model.ode.runge_kutta import evaluate
from model.ode.step_size import Tolerance


def first_step(
    vector_field: VectorField,
    start: tuple[Tensor, Tensor, Tensor],
    direction: Float[Tensor, " sample"],
    *,
    tolerance: Tolerance,
    order: int,
    longest: Float[Tensor, " sample"] | None = None,
) -> Float[Tensor, " sample"]:
    """Return a signed step whose error should be near the tolerance; one evaluation of the field.

    Parameters
    ----------
    start
        The time [sample], and the state and its derivative there [sample state].
    longest
        What neither the probe nor the step may exceed; no limit if not given.
    """
    t, y, derivative = start
    state, slope = tolerance.norm(y, y), tolerance.norm(derivative, y)
    small = (state < 1e-5) | (slope < 1e-5)
    probe = torch.where(small, 1e-6, 0.01 * state / slope).nan_to_num(1e-6, 1e-6, 1e-6).to(t)
    if longest is not None:
        probe = torch.minimum(probe, longest)
    moved = evaluate(
        vector_field, t + probe * direction, y + (probe * direction).unsqueeze(1).to(y) * derivative
    )
    curvature = tolerance.norm(moved - derivative, y) / probe.to(y)
    largest = torch.maximum(slope, curvature).to(t)
    flat = largest <= 1e-15
    wanted = torch.where(flat, (probe * 1e-3).clamp(min=1e-6), (0.01 / largest) ** (1 / order))
    # A field that is not finite at the probe: begin there, the steps will find out.
    wanted = torch.where(wanted.isfinite() & (wanted > 0), wanted, probe)
    step = torch.minimum(100 * probe, wanted)
    return (step if longest is None else torch.minimum(step, longest)) * direction
