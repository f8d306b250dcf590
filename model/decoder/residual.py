"""The residual base: what the variable's own record says about a query, in closed form.

base = w(variable, regime) . phi(record), a linear rule per variable and regime (neighbors on both
sides, only earlier, only later, never observed). It starts as linear interpolation (carry-forward
beyond the record, the series mean shrunken towards the population without neighbors) and is fitted
by ridge least squares before training, so that the network has to learn only what the variable's
own record does not say.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from model.data.batch import Batch
from model.data.own_records import OwnRecords

_NEAR_HOURS = 2.0
_FAR_HOURS = 12.0
_DAY_HOURS = 24.0
# Means over what was seen about as long before the neighbor itself.
_RECENT_HOURS = (2.0, 8.0, 24.0)
# Means over both sides by distance from the query.
_AROUND_HOURS = (1.0, 4.0)
_LITTLE_WEIGHT = 0.05
NUM_FEATURES = 22
_BETWEEN = 18
NUM_REGIMES = 4
NUM_CANDIDATES = 6
NUM_DETAILS = 33


@dataclass(frozen=True)
class Record:
    """What the record of the queried variable says, standardized units and hours.

    `regime` is 0 for a variable that was never observed, 1 with an earlier neighbor only, 2 with a
    later one only, 3 with both. `candidates` are last, next, shrunken mean, the mean of the
    population and two means of the neighbors around; `details` are for a network.
    """

    regime: Int64[Tensor, " query"]
    features: Float[Tensor, "query feature"]
    candidates: Float[Tensor, "query candidate"]
    details: Float[Tensor, "query detail"]

    @classmethod
    def of(cls, batch: Batch[Tensor]) -> "Record":
        """Read the record of every query."""
        own = batch.records
        mean = own.means * own.counts / (own.counts + 1)
        before = _Side.of(own.values_before, own.ages_before, mean)
        after = _Side.of(own.values_after, own.ages_after, mean)
        between = _interpolate(before.above, after.above, before.age, after.age)
        around = _around(own, mean)
        day = 1 - torch.exp(-torch.minimum(before.age, after.age) / _DAY_HOURS)
        zero = torch.zeros_like(mean)
        features = [torch.ones_like(mean), mean, *before.features, *after.features, between]
        features += [above for above, _ in around] + [day]
        details = [*before.details, *after.details, mean, between, torch.log1p(own.counts)]
        details += [part for pair in around for part in pair] + [day, own.spreads]
        candidates = [before.last, after.last, mean, zero, *(mean + above for above, _ in around)]
        return cls(
            before.is_present.long() + 2 * after.is_present.long(),
            torch.stack(features, dim=-1),
            torch.stack(candidates, dim=-1),
            torch.stack(details, dim=-1),
        )


@dataclass(frozen=True)
class _Side:
    """The observations on one side of the query."""

    last: Float[Tensor, " query"]
    age: Float[Tensor, " query"]
    above: Float[Tensor, " query"]
    is_present: Bool[Tensor, " query"]
    features: list[Tensor]
    details: list[Tensor]

    @classmethod
    def of(
        cls,
        values: Float[Tensor, "query neighbor"],
        ages: Float[Tensor, "query neighbor"],
        mean: Float[Tensor, " query"],
    ) -> "_Side":
        """Describe the nearest value, how it decays, and recent means, all above the mean."""
        last, age = values[:, 0], ages[:, 0]
        is_present = torch.isfinite(age)
        above = torch.where(is_present, last - mean, 0.0)
        near, far = torch.exp(-age / _NEAR_HOURS), torch.exp(-age / _FAR_HOURS)
        since = torch.where(torch.isfinite(ages), ages - age.unsqueeze(1), torch.inf)
        recent = []
        for hours in _RECENT_HOURS:
            weights = torch.exp(-since / hours)
            total = weights.sum(1).clamp(min=1.0)
            recent.append(torch.where(is_present, (weights * values).sum(1) / total - mean, 0.0))
        second = torch.where(torch.isfinite(ages[:, 1]), last - values[:, 1], 0.0)
        apart = torch.exp(-since[:, 1] / _FAR_HOURS)
        features = [above, above * near, above * far, *recent, recent[1] * far, second * near]
        details = [last, above, near, far, *recent, recent[1] * far, second, second * near, apart]
        return cls(last, age, above, is_present, features, [*details, is_present.to(mean.dtype)])


def _around(own: OwnRecords[Tensor], mean: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return kernel means over both sides, above the mean, and how much they rest on."""
    values = torch.cat([own.values_before, own.values_after], dim=1)
    ages = torch.cat([own.ages_before, own.ages_after], dim=1)
    found = []
    for hours in _AROUND_HOURS:
        weights = torch.exp(-ages / hours)
        total = weights.sum(1)
        above = ((weights * values).sum(1) - mean * total) / (total + _LITTLE_WEIGHT)
        found.append((above, torch.log1p(total)))
    return found


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
        weights[:, :, _BETWEEN] = 1.0  # the interpolated distance from it
        self.register_buffer("weights", weights)

    def forward(self, record: Record, channels: Int64[Tensor, " query"]) -> Float[Tensor, " query"]:
        """Return the base of each query."""
        base: Tensor = (self.weights[channels, record.regime] * record.features).sum(-1)
        return base
