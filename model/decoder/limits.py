"""What the decoder is told about limits: on which side of a value in the record the true one lies.

The weights start at zero: a network starts as if every limit were the value itself, and without
limits in its records it stays the network that it would be.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.config import LatentODEConfig
from model.data.neighborhoods import Neighborhoods
from model.data.own_records import OwnRecords
from model.features import limit_features, num_limit_features

# Hours with which a neighbor of the queried variable loses its weight.
_SCALES_HOURS = (2.0, 8.0, 24.0)
_NUM_OWN = 2 * (1 + 2 * len(_SCALES_HOURS))


class Limits(nn.Module):
    """Linear maps of the sides, of all variables at a point and of the queried one's own record."""

    def __init__(self, config: LatentODEConfig) -> None:
        super().__init__()
        width = config.decoder_dim
        self.age_scales_hours = config.age_scales_hours
        self.around = nn.Linear(num_limit_features(config.num_channels), width, bias=False)
        self.own = nn.Linear(_NUM_OWN, width, bias=False)
        for map_of_sides in (self.around, self.own):
            nn.init.zeros_(map_of_sides.weight)

    def at_points(self, points: Neighborhoods[Tensor]) -> Float[Tensor, "point hidden"]:
        """Read the neighbors of every point."""
        read: Tensor = self.around(limit_features(points, self.age_scales_hours))
        return read

    def at_queries(self, records: OwnRecords[Tensor]) -> Float[Tensor, "query hidden"]:
        """Read the record of every query: its nearest observations, and means over the nearest."""
        scales = records.ages.new_tensor(_SCALES_HOURS).unsqueeze(1)
        weights = torch.exp(-records.ages.unsqueeze(2) / scales)
        total = weights.sum(3).clamp(min=1e-6)
        means = (weights * records.censoring.unsqueeze(2)).sum(3) / total
        nearest = records.censoring[:, :, :1]
        sides = torch.cat([nearest, nearest * weights[:, :, :, 0], means], dim=2)
        read: Tensor = self.own(sides.flatten(1))
        return read
