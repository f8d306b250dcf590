"""From the latent state at a query to a mixture of Laplace distributions of one variable.

Only queried (time, variable) pairs are decoded. The hidden vector of a query joins the latent
state z(t), the neighborhood of all variables at that time and the record of the variable itself,
gated by an embedding of the variable (a low-rank hypernetwork). Each component has a location, a
scale and a weight: location = residual base + weights . (candidates - base) + correction, where the
head starts at zero, so that training starts from the residual base. Laplace components fit values
that are charted unchanged for hours, and their mixture is skewed and has several peaks where the
records have.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.config import LatentODEConfig
from model.data.batch import Batch
from model.decoder.limits import Limits
from model.decoder.residual import NUM_CANDIDATES, NUM_DETAILS, Record, ResidualBase
from model.features import neighborhood_features, num_features

_NARROWEST_SCALE = 0.05
_WIDEST_SCALE = 1.0
_MAX_LOG_SCALE = 4.0
_OUTPUTS = NUM_CANDIDATES + 3


@dataclass(frozen=True)
class DecodedQueries:
    """The mixture of every query, standardized units, for each posterior sample.

    Weights are softmax(logits).
    """

    logits: Float[Tensor, "sample query component"]
    loc: Float[Tensor, "sample query component"]
    scale: Float[Tensor, "sample query component"]

    @property
    def mean(self) -> Float[Tensor, "sample query"]:
        """Mean of the mixture."""
        return (self.logits.softmax(-1) * self.loc).sum(-1)


class Decoder(nn.Module):
    """p(value | z(t), neighborhood, record, variable)."""

    def __init__(self, config: LatentODEConfig) -> None:
        super().__init__()
        self.config = config
        width, channels = config.decoder_dim, config.num_channels
        self.base = ResidualBase(channels)
        self.latent = nn.Linear(config.latent_dim, width)
        size = num_features(config.age_scales_hours) * channels + 2 * config.num_statics
        self.neighborhood = nn.Linear(size, width)
        self.details = nn.Linear(NUM_DETAILS + 1, width)
        self.variable_bias = nn.Embedding(channels, width)
        self.variable_gain = nn.Embedding(channels, width)
        # There are several queries at a point: fewer numbers to draw than for each query.
        self.dropout = nn.Dropout(config.dropout)
        self.hidden = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.output_gain = nn.Embedding(channels, width)
        self.head = nn.Linear(width, config.num_components * _OUTPUTS)
        self.bias = nn.Parameter(_initial_bias(config).repeat(channels, 1, 1))
        self.limits = Limits(config) if config.reads_limits and config.use_residual else None
        for gain in (self.variable_gain, self.output_gain):
            nn.init.normal_(gain.weight, mean=1.0, std=0.3)
        nn.init.normal_(self.variable_bias.weight, std=0.3)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, latents: Float[Tensor, "sample point latent"], batch: Batch[Tensor]
    ) -> DecodedQueries:
        """Decode each query of the batch; `latents` are the latent states at its points."""
        channels = batch.query_channels
        record = Record.of(batch)
        num_samples, num_points = latents.shape[:2]
        # The solver's arrays have the state first: with it in front nothing is transposed.
        flat = latents.permute(2, 0, 1).flatten(1).T
        at_points = self.latent(flat).view(num_samples, num_points, self.latent.out_features)
        if self.config.use_residual:
            at_points = at_points + self.neighborhood(_neighborhoods(batch, self.config))
        if self.limits is not None:
            at_points = at_points + self.limits.at_points(batch.points)
        at_queries = self.dropout(at_points).index_select(1, batch.query_points)
        gated = at_queries * self.variable_gain(channels)
        gated = gated + self.variable_bias(channels)
        base = self.base(record, channels)
        if self.config.use_residual:
            gated = gated + self.details(torch.cat([record.details, base.unsqueeze(-1)], -1))
        else:
            base = torch.zeros_like(base)
        if self.limits is not None:
            gated = gated + self.limits.at_queries(batch.records)
        outputs = self.head(self.hidden(gated) * self.output_gain(channels))
        # In lower precision everything up to here may be; locations and scales are not.
        shaped = outputs.float().unflatten(-1, (self.config.num_components, _OUTPUTS))
        return self._mixture(shaped + self.bias[channels], record, base)

    def _mixture(
        self,
        outputs: Float[Tensor, "sample query component output"],
        record: Record,
        base: Float[Tensor, " query"],
    ) -> DecodedQueries:
        blend, rest = outputs.split([NUM_CANDIDATES, 3], dim=-1)
        correction, log_scale, logits = rest.unbind(-1)
        loc = base.unsqueeze(-1) + correction
        if self.config.use_residual:
            offsets = record.candidates - base.unsqueeze(-1)
            loc = loc + (blend * offsets.unsqueeze(1)).sum(-1)
        scale = self.config.min_scale + torch.exp(log_scale.clamp(max=_MAX_LOG_SCALE))
        return DecodedQueries(logits, loc, scale)


def _initial_bias(config: LatentODEConfig) -> Float[Tensor, "component output"]:
    """Return biases with which all components stand at the base, from narrow to wide."""
    bias = torch.zeros(config.num_components, _OUTPUTS)
    ends = torch.tensor([_NARROWEST_SCALE, _WIDEST_SCALE]).log()
    bias[:, -2] = torch.linspace(float(ends[0]), float(ends[1]), config.num_components)
    return bias


def _neighborhoods(batch: Batch[Tensor], config: LatentODEConfig) -> Float[Tensor, "point feature"]:
    statics = torch.cat([batch.statics, batch.known_statics_mask.to(batch.statics.dtype)], dim=-1)
    return torch.cat(
        [
            neighborhood_features(batch.points, config.age_scales_hours),
            statics.index_select(0, batch.point_series),
        ],
        dim=-1,
    )
