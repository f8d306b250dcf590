"""The encoder: knots -> attention or GRU -> q(z0) and the control of the latent state."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Normal

from model.config import LatentODEConfig
from model.data.batch import Batch
from model.encoder.attention import AttentionBranch
from model.encoder.gru import GRUBranch
from model.encoder.tokens import Tokens
from model.encoding import Encoding

# The posterior starts narrow, so that the decoder learns to read z0 before the divergence is
# charged.
_POSTERIOR_SCALE_BIAS = -1.5


class Encoder(nn.Module):
    """q(z0 | context), a diagonal normal distribution for each series, and one token for each knot."""

    def __init__(self, config: LatentODEConfig) -> None:
        super().__init__()
        width = config.encoder_dim
        self.is_causal = config.direction == "filter"
        self.tokens = Tokens(config)
        self.branch = (
            AttentionBranch(config) if config.encoder == "attention" else GRUBranch(config)
        )
        self.head = nn.Sequential(
            nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, 2 * config.latent_dim)
        )

    def forward(self, batch: Batch[Tensor]) -> Encoding:
        """Read the context of every series."""
        tokens = self.tokens(batch)
        is_knot_mask = batch.padded_places < batch.knot_counts.unsqueeze(1)
        knots = self.branch(tokens, is_knot_mask)
        summary = self._summary(knots, is_knot_mask)
        loc, raw_scale = self.head(summary).float().chunk(2, dim=-1)
        scale = nn.functional.softplus(raw_scale + _POSTERIOR_SCALE_BIAS) + 1e-3
        return Encoding(Normal(loc, scale, validate_args=False), knots, batch.knot_counts)

    def _summary(
        self,
        knots: Float[Tensor, "series knot token"],
        is_knot_mask: Bool[Tensor, "series knot"],
    ) -> Float[Tensor, "series summary"]:
        """Return the first knot and the mean over all knots; a filter knows the first alone."""
        first = knots[:, 0]
        if self.is_causal:
            return torch.cat([first, torch.zeros_like(first)], dim=-1)
        weight = is_knot_mask.to(knots.dtype)
        weight = weight / weight.sum(1, keepdim=True)
        return torch.cat([first, (weight.unsqueeze(-1) * knots).sum(1)], dim=-1)
