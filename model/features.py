"""Bounded features of a place's neighborhood, shared by the encoder (knots) and the decoder (points)."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.data.neighborhoods import Neighborhoods


def num_features(age_scales_hours: tuple[float, ...]) -> int:
    """Return how many features each channel has."""
    return 4 * len(age_scales_hours) + 4


def num_limit_features(num_channels: int) -> int:
    """Return how many numbers `limit_features` has for each place."""
    return 4 * num_channels


def limit_features(
    around: Neighborhoods[Tensor], age_scales_hours: tuple[float, ...]
) -> Float[Tensor, "place feature"]:
    """Return on which side of each neighbor's value the true one lies, whole and fading by its age.

    All are 0 where every value was measured.
    """
    sides = around.censoring.to(around.ages.dtype)
    fading = sides * torch.exp(-around.ages / age_scales_hours[-1])
    return torch.cat([sides, fading], dim=1).flatten(1)


def neighborhood_features(
    around: Neighborhoods[Tensor], age_scales_hours: tuple[float, ...]
) -> Float[Tensor, "place feature"]:
    """Return `num_features` bounded features for each channel.

    An age enters as exp(-age / tau) on each scale, which is 0 for an absent neighbor (age inf). A
    value enters whole, for what changes slowly, and with these weights, for what does not.
    """
    scales = around.ages.new_tensor(age_scales_hours).unsqueeze(1)
    values = around.values.unsqueeze(2)
    weights = torch.exp(-around.ages.unsqueeze(2) / scales)
    fading = torch.stack([weights, values * weights], dim=3).flatten(2, 3)
    shrunken = around.means * around.counts / (around.counts + 1)
    return torch.cat(
        [
            torch.cat([values, fading], dim=2).flatten(1),
            shrunken,
            torch.log1p(around.counts),
        ],
        dim=-1,
    )
