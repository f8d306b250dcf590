"""Bounded features of a place's neighborhood, shared by the encoder (knots) and the decoder (points)."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.data.neighborhoods import Neighborhoods

# Ages enter as exp(-age / tau): bounded, 0 for an absent neighbor (age inf).
_FRESH_HOURS = 1.0
_RECENT_HOURS = 8.0
NUM_FEATURES = 10
"""Features of each channel."""


def neighborhood_features(around: Neighborhoods[Tensor]) -> Float[Tensor, "place feature"]:
    """Return bounded features of the surroundings, `NUM_FEATURES` for each channel."""
    parts = []
    for values, ages in (
        (around.last_values, around.last_ages),
        (around.next_values, around.next_ages),
    ):
        fresh, recent = torch.exp(-ages / _FRESH_HOURS), torch.exp(-ages / _RECENT_HOURS)
        parts += [fresh, recent, values * fresh, values * recent]
    shrunken = around.means * around.counts / (around.counts + 1)
    return torch.cat([*parts, shrunken, torch.log1p(around.counts)], dim=-1)
