"""Which order and step an Adams method takes next, for each sample by its own errors.

The rules of Shampine and Gordon (1975), chapter 7, and their reasons: the step is doubled, kept or
reduced but not fitted, since a multistep method is most stable, and its estimates most reliable,
on runs of equal steps; the order falls as soon as the errors of lower orders say so, and rises only
where the next order's error is the smaller one.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from model.ode.sample_table import AbstractSampleTable

# Lower than this the Euler-trapezoid pair has no error estimate.
MIN_ORDER = 2

# A step is chosen so that its error will be this part of the tolerance.
_TARGET = 0.5


@dataclass(frozen=True)
class ErrorsByOrder(AbstractSampleTable):
    """Local errors in units of the tolerance, had the step been taken with each of four orders.

    Infinite where an order cannot be judged.
    """

    two_below: Float[Tensor, " sample"]
    below: Float[Tensor, " sample"]
    same: Float[Tensor, " sample"]
    above: Float[Tensor, " sample"]

    def favor_lower(self, order: Int[Tensor, " sample"]) -> Bool[Tensor, " sample"]:
        """Return where the errors grow with the order instead of falling."""
        by_two = torch.maximum(self.two_below, self.below) <= self.same
        by_one = self.below <= 0.5 * self.same
        return torch.where(order > MIN_ORDER + 1, by_two, by_one & (order == MIN_ORDER + 1))


@dataclass(frozen=True)
class StepPlan(AbstractSampleTable):
    """The next order, the next step's size in units of this one, and whether the start goes on."""

    order: Int[Tensor, " sample"]
    factor: Float[Tensor, " sample"]
    starting: Bool[Tensor, " sample"]


def plan_after_success(
    order: Int[Tensor, " sample"],
    errors: ErrorsByOrder,
    starting: Bool[Tensor, " sample"],
    max_order: int,
) -> StepPlan:
    """Return the plan after an accepted step; while starting, order and step rise every time."""
    lower = errors.favor_lower(order)
    starting = starting & ~lower & (order < max_order)
    judged = errors.above.isfinite() & (order < max_order) & ~lower
    first = order == MIN_ORDER
    falls = judged & ~first & (errors.below <= torch.minimum(errors.same, errors.above))
    rises = judged & ~falls & (errors.above < torch.where(first, 0.5, 1.0) * errors.same)
    lower = (lower | falls) & ~starting
    rises = rises | starting
    error = torch.where(rises & ~starting, errors.above, errors.same)
    error = torch.where(lower, errors.below, error)
    order = order + rises.to(order) - lower.to(order)
    factor = torch.where(starting, 2.0, _step_factor(error, order))
    return StepPlan(order, factor, starting)


def plan_after_failure(
    order: Int[Tensor, " sample"], errors: ErrorsByOrder, num_failures: Int[Tensor, " sample"]
) -> StepPlan:
    """Return the plan after a rejected step, the `num_failures`-th one at this time.

    From the third on the history is not trusted any more: the order is the lowest.
    """
    order = order - errors.favor_lower(order).to(order)
    order = torch.where(num_failures >= 3, MIN_ORDER, order)
    lowest = (_TARGET / errors.same).sqrt().nan_to_num(0.1).clamp(0.1, 0.5)
    factor = torch.where(num_failures > 3, lowest, 0.5)
    factor = torch.where(errors.same.isfinite(), factor, 0.1)
    return StepPlan(order, factor, torch.zeros_like(order, dtype=torch.bool))


def _step_factor(
    error: Float[Tensor, " sample"], order: Int[Tensor, " sample"]
) -> Float[Tensor, " sample"]:
    """Return 2, 1 or something between 0.5 and 0.9; the error behaves as the step to the order."""
    fitted = (_TARGET / error.clamp(min=1e-30)) ** order.to(error).reciprocal()
    kept = torch.where(fitted >= 2.0, 2.0, 1.0)
    return torch.where(fitted >= 1.0, kept, fitted.clamp(0.5, 0.9))
