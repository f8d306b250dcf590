"""Which order and step an Adams method takes next, for each sample by its own errors.

The order is the one that promises the longest step, among the last one and its two neighbors. The
step is doubled, kept or reduced but not fitted, since a multistep method is most stable, and its
estimates most reliable, on runs of equal steps (Shampine and Gordon 1975, chapter 7).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

MIN_ORDER = 2
"""Lower than this there is no error estimate."""
MAX_ORDER = 12

# A step is chosen so that its error will be this part of the tolerance.
_TARGET = 0.5
# So many failures at one time, and the history is not trusted any more: the order is the lowest.
_TOO_MANY_FAILURES = 3


@dataclass(frozen=True)
class StepPlan:
    """The next order, the next step's size in units of this one, and whether the start goes on."""

    order: Int64[Tensor, " sample"]
    factor: Float[Tensor, " sample"]
    starting: Bool[Tensor, " sample"]


def plan_step(
    order: Int64[Tensor, " sample"],
    errors: Float[Tensor, "3 sample"],
    starting: Bool[Tensor, " sample"],
) -> StepPlan:
    """Return the plan after an accepted step; while starting, order and step rise every time.

    `errors` are local ones in units of the tolerance, had the step been taken with the order below,
    with this one and with the one above.
    """
    choice, best = _longest_step(order, errors)
    starting = starting & (choice > 0) & (order < MAX_ORDER)
    factor = best.clamp(0.5, 0.9).masked_fill(best >= 1, 1).masked_fill(starting | (best >= 2), 2)
    return StepPlan(order + choice.masked_fill(starting, 2) - 1, factor, starting)


def plan_retry(
    order: Int64[Tensor, " sample"],
    errors: Float[Tensor, "3 sample"],
    num_failures: Int64[Tensor, " sample"],
) -> StepPlan:
    """Return the plan after a rejected step, the `num_failures`-th one at this time."""
    errors = torch.cat([errors[:2], torch.full_like(errors[2:], torch.inf)])
    choice, best = _longest_step(order, errors)
    order = (order + choice - 1).masked_fill(num_failures >= _TOO_MANY_FAILURES, MIN_ORDER)
    return StepPlan(order, best.clamp(0.1, 0.5), torch.zeros_like(order, dtype=torch.bool))


def _longest_step(order: Tensor, errors: Tensor) -> tuple[Tensor, Tensor]:
    """Return which order allows the longest step, in units of this one, and that step."""
    orders = order + torch.arange(-1, 2, device=order.device).unsqueeze(1)
    fitted = (_TARGET / errors.clamp(min=1e-30)) ** orders.to(errors).reciprocal()
    outside = orders.clamp(MIN_ORDER, MAX_ORDER) != orders
    best = fitted.nan_to_num(0).masked_fill(outside, 0).max(0)
    # Where no error is finite, no order is better than this one.
    return torch.where(best.values > 0, best.indices, 1), best.values
