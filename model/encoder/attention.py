"""Self-attention over the knots of one series (Vaswani et al. 2017), without a union of times.

Pre-norm blocks. Half of the heads see all knots alike, the others prefer near ones by a fixed slope
per hour (ALiBi; Press, Smith & Lewis 2022, ICLR), so that local and global patterns need not be
found by training.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from model.config import LatentODEConfig

_STEEPEST_SLOPE = 0.5
_WIDENING = 2


class AttentionBranch(nn.Module):
    """Blocks of attention over time and of a feed-forward network."""

    slopes: Tensor

    def __init__(self, config: LatentODEConfig) -> None:
        super().__init__()
        self.is_causal = config.direction == "filter"
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.encoder_layers))
        self.norm = nn.LayerNorm(config.encoder_dim)
        heads = config.encoder_heads
        local = _STEEPEST_SLOPE / 4.0 ** torch.arange(heads // 2)
        slopes = torch.cat([torch.zeros(heads - len(local)), local]) * config.knot_hours
        self.register_buffer("slopes", slopes, persistent=False)

    def forward(
        self,
        tokens: Float[Tensor, "series knot token"],
        is_knot_mask: Bool[Tensor, "series knot"],
    ) -> Float[Tensor, "series knot token"]:
        """Mix the knots of each series; `is_knot_mask` is False at the padding."""
        bias = self._bias(is_knot_mask, tokens.dtype)
        for block in self.blocks:
            tokens = block(tokens, bias)
        mixed: Tensor = self.norm(tokens)
        return mixed

    def _bias(
        self, is_knot_mask: Bool[Tensor, "series knot"], dtype: torch.dtype
    ) -> Float[Tensor, "series head knot knot"]:
        place = torch.arange(is_knot_mask.shape[1], device=is_knot_mask.device)
        distance = (place[:, None] - place).to(dtype)
        bias = -self.slopes[:, None, None] * distance.abs()
        if self.is_causal:
            bias = bias.masked_fill(distance < 0, -torch.inf)
        return bias.masked_fill(~is_knot_mask[:, None, None, :], -torch.inf)


class _Block(nn.Module):
    def __init__(self, config: LatentODEConfig) -> None:
        super().__init__()
        width = config.encoder_dim
        self.heads, self.dropout = config.encoder_heads, config.dropout
        self.attention_norm, self.mixing_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projections = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.mixing = nn.Sequential(
            nn.Linear(width, _WIDENING * width),
            nn.SiLU(),
            nn.Dropout(config.dropout),
            nn.Linear(_WIDENING * width, width),
        )
        self.residual_dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        tokens: Float[Tensor, "series knot token"],
        bias: Float[Tensor, "series head knot knot"],
    ) -> Float[Tensor, "series knot token"]:
        series, knots, width = tokens.shape
        projected = self.projections(self.attention_norm(tokens))
        parts = projected.view(series, knots, 3 * self.heads, width // self.heads)
        query, key, value = parts.transpose(1, 2).chunk(3, dim=1)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        joined = attended.transpose(1, 2).reshape(series, knots, width)
        tokens = tokens + self.residual_dropout(self.output(joined))
        mixed = self.mixing(self.mixing_norm(tokens))
        result: Tensor = tokens + self.residual_dropout(mixed)
        return result
