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
        mean = (own.means * own.counts / (own.counts + 1)).unsqueeze(1)
        sides = _Sides.of(own, mean)
        above, amount = _around(own, mean)
        between = _interpolate(sides.above, sides.age)
        day = 1 - torch.exp(-sides.age.amin(1, keepdim=True) / _DAY_HOURS)
        one, zero = torch.ones_like(mean), torch.zeros_like(mean)
        around = torch.stack([above, amount], dim=2).flatten(1)
        counts, spreads = torch.log1p(own.counts).unsqueeze(1), own.spreads.unsqueeze(1)
        return cls(
            (sides.is_present * sides.is_present.new_tensor([1, 2])).sum(1),
            torch.cat([one, mean, sides.features, between, above, day], dim=1),
            torch.cat([sides.last, mean, zero, mean + above], dim=1),
            torch.cat([sides.details, mean, between, counts, around, day, spreads], dim=1),
        )


@dataclass(frozen=True)
class _Sides:
    """The observations before and after the query; features and details are side by side."""

    last: Float[Tensor, "query side"]
    age: Float[Tensor, "query side"]
    above: Float[Tensor, "query side"]
    is_present: Int64[Tensor, "query side"]
    features: Float[Tensor, "query feature"]
    details: Float[Tensor, "query detail"]

    @classmethod
    def of(cls, own: OwnRecords[Tensor], mean: Float[Tensor, "query 1"]) -> "_Sides":
        """Describe the nearest value, how it decays, and recent means, all above the mean."""
        values, ages = own.values, own.ages
        last, age = values[:, :, :1], ages[:, :, :1]
        is_observed = torch.isfinite(ages)
        is_present = is_observed[:, :, :1]
        middle = mean.unsqueeze(2)
        above = torch.where(is_present, last - middle, 0.0)
        near_far = torch.exp(-age / age.new_tensor([_NEAR_HOURS, _FAR_HOURS]))
        since = torch.where(is_observed, ages - age, torch.inf)
        recent = torch.where(is_present, _recent_means(values, since) - middle, 0.0)
        second = torch.where(is_observed[:, :, 1:2], last - values[:, :, 1:2], 0.0)
        apart = torch.exp(-since[:, :, 1:2] / _FAR_HOURS)
        fading = torch.cat([recent[:, :, 1:2] * near_far[:, :, 1:], second * near_far[:, :, :1]], 2)
        features = [above, above * near_far, recent, fading]
        details = [last, above, near_far, recent, fading[:, :, :1], second, fading[:, :, 1:], apart]
        details.append(is_present.to(values.dtype))
        return cls(
            last.squeeze(2),
            age.squeeze(2),
            above.squeeze(2),
            is_present.squeeze(2).long(),
            torch.cat(features, dim=2).flatten(1),
            torch.cat(details, dim=2).flatten(1),
        )


def _recent_means(
    values: Float[Tensor, "query side neighbor"], since: Float[Tensor, "query side neighbor"]
) -> Float[Tensor, "query side scale"]:
    """Return means with weights exp(-since / scale)."""
    scales = since.new_tensor(_RECENT_HOURS).unsqueeze(1)
    weights = torch.exp(-since.unsqueeze(2) / scales)
    return (weights * values.unsqueeze(2)).sum(3) / weights.sum(3).clamp(min=1.0)


def _around(
    own: OwnRecords[Tensor], mean: Float[Tensor, "query 1"]
) -> tuple[Float[Tensor, "query scale"], Float[Tensor, "query scale"]]:
    """Return kernel means over both sides, above the mean, and how much they rest on."""
    scales = mean.new_tensor(_AROUND_HOURS).unsqueeze(1)
    weights = torch.exp(-own.ages.flatten(1).unsqueeze(1) / scales)
    total = weights.sum(2)
    sums = (weights * own.values.flatten(1).unsqueeze(1)).sum(2)
    return (sums - mean * total) / (total + _LITTLE_WEIGHT), torch.log1p(total)


def _interpolate(
    above: Float[Tensor, "query side"], age: Float[Tensor, "query side"]
) -> Float[Tensor, "query 1"]:
    """Interpolate linearly; with one neighbor that one counts, without any the result is 0."""
    (last, following), (last_age, next_age) = above.split(1, dim=1), age.split(1, dim=1)
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
