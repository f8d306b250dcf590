"""The residual base: what the variable's own record says about a query, in closed form.

base = w(variable, regime) . phi(record), a linear rule per variable and regime (neighbors on both
sides, only earlier, only later, never observed). It starts as linear interpolation (carry-forward
beyond the record, the series mean shrunken towards the population without neighbors) and is fitted
by ridge least squares before training, so that the network has to learn only what the variable's
own record does not say.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from model.data.batch import Batch

_NEAR_HOURS = 2.0
_FAR_HOURS = 12.0
_DAY_HOURS = 24.0
NUM_FEATURES = 10
NUM_REGIMES = 4
NUM_CANDIDATES = 4
NUM_DETAILS = 14


@dataclass(frozen=True)
class Record:
    """What the record of the queried variable says, standardized units and hours.

    `regime` is 0 for a variable that was never observed, 1 with an earlier neighbor only, 2 with a
    later one only, 3 with both. `candidates` are last, next, shrunken mean and the mean of the
    population; `details` are for a network.
    """

    regime: Int64[Tensor, " query"]
    features: Float[Tensor, "query feature"]
    candidates: Float[Tensor, "query candidate"]
    details: Float[Tensor, "query detail"]

    @classmethod
    def of(cls, batch: Batch[Tensor]) -> "Record":
        """Read the record of every query."""
        around, at = batch.points, (batch.query_points, batch.query_channels)
        last, last_age = around.last_values[at], around.last_ages[at]
        following, next_age = around.next_values[at], around.next_ages[at]
        mean, count = around.means[at], around.counts[at]
        mean = mean * count / (count + 1)
        has_last, has_next = torch.isfinite(last_age), torch.isfinite(next_age)
        above_last = torch.where(has_last, last - mean, 0.0)
        above_next = torch.where(has_next, following - mean, 0.0)
        near_last, far_last = _decays(last_age)
        near_next, far_next = _decays(next_age)
        between = _interpolate(above_last, above_next, last_age, next_age)
        day = 1 - torch.exp(-torch.minimum(last_age, next_age) / _DAY_HOURS)
        features = [
            torch.ones_like(mean),
            mean,
            above_last,
            above_last * near_last,
            above_last * far_last,
            above_next,
            above_next * near_next,
            above_next * far_next,
            between,
            day,
        ]
        zero = torch.zeros_like(mean)
        details = [
            *(last, following, mean, above_last, above_next, between, torch.log1p(count)),
            *(near_last, far_last, near_next, far_next, day),
            *(has_last.to(mean.dtype), has_next.to(mean.dtype)),
        ]
        return cls(
            has_last.long() + 2 * has_next.long(),
            torch.stack(features, dim=-1),
            torch.stack([last, following, mean, zero], dim=-1),
            torch.stack(details, dim=-1),
        )


def _decays(age: Tensor) -> tuple[Tensor, Tensor]:
    return torch.exp(-age / _NEAR_HOURS), torch.exp(-age / _FAR_HOURS)


def _interpolate(last: Tensor, following: Tensor, last_age: Tensor, next_age: Tensor) -> Tensor:
    """Interpolate linearly; with one neighbor that one counts, without any the result is 0."""
    total = last_age + next_age
    share = torch.where(total > 0, last_age / total.clamp(min=1e-9), 0.5)
    share = torch.where(torch.isinf(total), torch.isinf(last_age).to(share.dtype), share)
    return last + share * (following - last)


class ResidualBase(nn.Module):
    """The linear rules, [channel regime feature]; `weights` is a buffer that training fits."""

    weights: Tensor

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        weights = torch.zeros(num_channels, NUM_REGIMES, NUM_FEATURES)
        weights[:, :, 1] = 1.0  # the shrunken mean
        weights[:, :, 8] = 1.0  # the interpolated distance from it
        self.register_buffer("weights", weights)

    def forward(self, record: Record, channels: Int64[Tensor, " query"]) -> Float[Tensor, " query"]:
        """Return the base of each query."""
        base: Tensor = (self.weights[channels, record.regime] * record.features).sum(-1)
        return base
