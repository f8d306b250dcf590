"""What a knot says: the surroundings of all channels, the statics, the time."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.config import LatentODEConfig
from model.data.batch import Batch
from model.features import (
    limit_features,
    neighborhood_features,
    num_features,
    num_limit_features,
)

_DAY_HOURS = 24.0
_PERIODS_HOURS = (6.0, 12.0, 24.0, 48.0, 96.0)
NUM_TIME_FEATURES = 1 + 2 * len(_PERIODS_HOURS)


def time_features(times_hours: Float[Tensor, " place"]) -> Float[Tensor, "place feature"]:
    """Return the time since the series began, plain and as waves."""
    periods = times_hours.new_tensor(_PERIODS_HOURS)
    angles = 2 * math.pi * times_hours.unsqueeze(-1) / periods
    return torch.cat(
        [(times_hours / _DAY_HOURS).unsqueeze(-1), torch.sin(angles), torch.cos(angles)], dim=-1
    )


class Tokens(nn.Module):
    """One vector for each knot of each series, padded to the longest series of the batch."""

    def __init__(self, config: LatentODEConfig) -> None:
        super().__init__()
        width = config.encoder_dim
        self.knot_hours = config.knot_hours
        self.age_scales_hours = config.age_scales_hours
        size = num_features(config.age_scales_hours) * config.num_channels
        self.around = nn.Linear(size, width)
        self.time = nn.Linear(NUM_TIME_FEATURES, width)
        # A catalogue may have no static.
        self.statics = nn.Linear(2 * config.num_statics, width) if config.num_statics else None
        self.limits = None
        if config.reads_limits:
            self.limits = nn.Linear(num_limit_features(config.num_channels), width, bias=False)
            nn.init.zeros_(self.limits.weight)

    def forward(self, batch: Batch[Tensor]) -> Float[Tensor, "series knot token"]:
        """Read every knot."""
        times = batch.knot_places.to(batch.statics.dtype) * self.knot_hours
        around = self.around(neighborhood_features(batch.knots, self.age_scales_hours))
        tokens = around + self.time(time_features(times))
        if self.statics is not None:
            known = batch.known_statics_mask.to(batch.statics.dtype)
            statics = self.statics(torch.cat([batch.statics, known], -1))
            tokens = tokens + statics.index_select(0, batch.knot_series)
        if self.limits is not None:
            tokens = tokens + self.limits(limit_features(batch.knots, self.age_scales_hours))
        num_series, longest = batch.knot_counts.shape[0], batch.padded_places.shape[0]
        padded = tokens.new_zeros(num_series * longest, tokens.shape[-1])
        place = batch.knot_series * longest + batch.knot_places
        return padded.index_copy(0, place, tokens).view(num_series, longest, -1)
