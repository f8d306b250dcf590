"""A GRU over the knots of one series: forwards, and backwards where the future may be seen."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from model.config import LatentODEConfig


class GRUBranch(nn.Module):
    """One fused call for each direction; there is no loop over time."""

    def __init__(self, config: LatentODEConfig) -> None:
        super().__init__()
        width = config.encoder_dim
        self.is_causal = config.direction == "filter"
        self.activation = nn.SiLU()
        states = width if self.is_causal else width // 2
        self.forward_gru = nn.GRU(width, states, batch_first=True)
        self.backward_gru = None if self.is_causal else nn.GRU(width, states, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        tokens: Float[Tensor, "series knot token"],
        is_knot_mask: Bool[Tensor, "series knot"],
    ) -> Float[Tensor, "series knot token"]:
        """Read the knots of each series; `is_knot_mask` is False at the padding."""
        inputs = self.activation(tokens)
        states, _ = self.forward_gru(inputs)
        if self.backward_gru is not None:
            order = _reversed(is_knot_mask)
            future, _ = self.backward_gru(_reorder(inputs, order))
            states = torch.cat([states, _reorder(future, order)], dim=-1)
        mixed: Tensor = self.norm(tokens + self.output(self.dropout(states)))
        return mixed


def _reversed(is_knot_mask: Bool[Tensor, "series knot"]) -> Int64[Tensor, "series knot"]:
    """Return the order that reads each series from its own end; padding stays at the right."""
    counts = is_knot_mask.sum(dim=1, keepdim=True)
    places = torch.arange(is_knot_mask.shape[1], device=is_knot_mask.device)
    return torch.where(is_knot_mask, counts - 1 - places, places)


def _reorder(
    tokens: Float[Tensor, "series knot token"], order: Int64[Tensor, "series knot"]
) -> Float[Tensor, "series knot token"]:
    return tokens.gather(1, order.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
