"""How long a Radau step may be: the first one, and each next one from the errors of the last two.

Gustafsson's predictive controller as in Hairer, Wanner, Solving ODEs II, section IV.8, and the
first step of Hairer, Norsett, Wanner, Solving ODEs I, section II.4. Steps are signed: negative
where a sample runs backward in time.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from model.ode.newton import MAX_ITERATIONS
from model.ode.problem import VectorField

ERROR_ORDER = 3
_SHRINK_MOST, _GROW_MOST = 0.2, 10.0
_SAFETY = 0.9
# A step that would grow by less keeps its size and with it its factored matrices.
_GROW_LEAST = 1.2


def rms_norm(scaled: Float[Tensor, "sample state"]) -> Float[Tensor, " sample"]:
    """Return each sample's root mean square."""
    return scaled.square().mean(-1).sqrt()


def next_step_factor(
    *,
    error: Float[Tensor, " sample"],
    last_error: Float[Tensor, " sample"],
    ratio: Float[Tensor, " sample"],
    num_iterations: Int[Tensor, " sample"],
) -> Float[Tensor, " sample"]:
    """Return by what to multiply the step, after an accepted or a rejected one.

    `ratio` is the last step over the accepted one before it; where there was none (or to ignore
    it after a jump), `last_error` is infinite. A Newton iteration that was slow makes it smaller.
    """
    trend = (last_error / error) ** (1 / (ERROR_ORDER + 1)) * ratio
    trend = torch.where(trend.isfinite(), trend.clamp(max=1.0), 1.0)
    effort = _SAFETY * (2 * MAX_ITERATIONS + 1) / (2 * MAX_ITERATIONS + num_iterations)
    factor = effort.to(error.dtype) * trend * error ** (-1 / (ERROR_ORDER + 1))
    return factor.clamp(_SHRINK_MOST, _GROW_MOST)


def hold_small_growth(factor: Float[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """Return 1 where the factor is between 1 and 1.2."""
    return torch.where((factor >= 1.0) & (factor < _GROW_LEAST), 1.0, factor)


def first_step(
    vector_field: VectorField,
    t: Float[Tensor, " sample"],
    y: Float[Tensor, "sample state"],
    derivative: Float[Tensor, "sample state"],
    *,
    interval: Float[Tensor, " sample"],
    scale: Float[Tensor, "sample state"],
) -> Float[Tensor, " sample"]:
    """Return a step whose error should be near the tolerance; one evaluation of the field.

    `interval` is signed; the step has its sign and is no longer.
    """
    y_norm, slope = rms_norm(y / scale), rms_norm(derivative / scale)
    small = (y_norm < 1e-5) | (slope < 1e-5)
    guess = torch.where(small, 1e-6, 0.01 * y_norm / slope).to(t.dtype)
    guess = torch.minimum(guess, interval.abs())
    signed = (guess * interval.sign()).unsqueeze(-1).to(y.dtype)
    moved = vector_field(t + guess * interval.sign(), y + signed * derivative)
    bend = rms_norm((moved - derivative) / scale) / guess.to(y.dtype)
    steepest = torch.maximum(slope, bend)
    by_bend = (0.01 / steepest) ** (1 / (ERROR_ORDER + 1))
    h = torch.where(steepest <= 1e-15, (guess * 1e-3).clamp(min=1e-6), by_bend.to(t.dtype))
    h = torch.minimum(torch.minimum(100 * guess, h), interval.abs())
    # A field that is not finite there: begin small, the step loop will find out.
    h = torch.where(h.isfinite() & (h > 0), h, 1e-6 * interval.abs())
    return h * interval.sign()
