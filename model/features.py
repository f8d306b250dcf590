"""Bounded features of a place's neighborhood, shared by the encoder (knots) and the decoder (points)."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.data.neighborhoods import Neighborhoods


def num_features(age_scales_hours: tuple[float, ...]) -> int:
    """Return how many features each channel has."""
    return 4 * len(age_scales_hours) + 4


def neighborhood_features(
    around: Neighborhoods[Tensor], age_scales_hours: tuple[float, ...]
) -> Float[Tensor, "place feature"]:
    """Return `num_features` bounded features for each channel.

    An age enters as exp(-age / tau) on each scale, which is 0 for an absent neighbor (age inf). A
    value enters whole, for what changes slowly, and with these weights, for what does not.
    """
    parts: list[Tensor] = []
    for values, ages in (
        (around.last_values, around.last_ages),
        (around.next_values, around.next_ages),
    ):
        parts.append(values)
        for tau in age_scales_hours:
            weight = torch.exp(-ages / tau)
            parts += [weight, values * weight]
    shrunken = around.means * around.counts / (around.counts + 1)
    return torch.cat([*parts, shrunken, torch.log1p(around.counts)], dim=-1)
