"""From the latent state at a query to a Laplace distribution of one variable.

Only queried (time, variable) pairs are decoded. The location is a learned blend of the variable's
last value, its next value, its mean in this series and its mean in the population, plus a
correction. The blend starts as linear interpolation (weights inverse to the distance in time), so
that training can only improve on carry-forward. The correction and the weights read the latent
state, the neighbors of every variable at that time, what the encoder knew on either side, and the
gaps. The Laplace distribution fits values that are charted unchanged for hours, and its location is
a median.

The scale never shrinks as the nearest observations recede: what it reads is constant between two
observation times, and distances enter through increasing functions with positive weights only.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from model.config import LatentODEConfig
from model.data.batch import Batch

# Ages enter as exp(-age / tau): bounded, 0 for an absent neighbor (age inf), on three scales.
_TIME_SCALES_HOURS = (1.0, 6.0, 24.0)
_FRESH_HOURS = 1.0
_RECENT_HOURS = 4.0
_AGE_FLOOR_HOURS = 0.05
_NUM_CANDIDATES = 4
_NUM_OWN_VALUES = 6
_NUM_OWN_AGES = 2 * len(_TIME_SCALES_HOURS)


@dataclass(frozen=True)
class DecodedQueries:
    """Parameters of the observation distribution in standardized units, for each posterior sample."""

    loc: Float[Tensor, "sample query"]
    scale: Float[Tensor, "sample query"]


@dataclass(frozen=True)
class _Own:
    """What the queried variable's own record says about a query."""

    values: Float[Tensor, "query value"]
    ages: Float[Tensor, "query age"]
    candidates: Float[Tensor, "query candidate"]
    prior_logits: Float[Tensor, "query candidate"]


class Decoder(nn.Module):
    """p(value | z(t), surroundings, variable)."""

    def __init__(self, config: LatentODEConfig) -> None:
        super().__init__()
        self.location = _LocationHead(config)
        self.scale = _ScaleHead(config)

    def forward(
        self,
        latents: Float[Tensor, "sample point latent"],
        past_states: Float[Tensor, "row hidden"],
        future_states: Float[Tensor, "row hidden"],
        batch: Batch[Tensor],
    ) -> DecodedQueries:
        """Decode each query of the batch.

        `latents` are the latent states at the points; `past_states` and `future_states` are what
        the encoder knew at each row (series * num_rows + row) from either side.
        """
        surroundings = torch.cat(
            [
                _surrounding_values(batch),
                _states_at(past_states, batch.last_rows),
                _states_at(future_states, batch.next_rows),
            ],
            dim=-1,
        )
        own = _own_record(batch)
        loc = self.location(latents, surroundings, own, batch)
        return DecodedQueries(loc, self.scale(surroundings, own, batch).expand_as(loc))


class _LocationHead(nn.Module):
    def __init__(self, config: LatentODEConfig) -> None:
        super().__init__()
        width, channels = config.decoder_dim, config.num_channels
        num_features = _num_surroundings(config) + 4 * channels
        self.surroundings = nn.Sequential(
            nn.Linear(num_features, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )
        self.latent = nn.Linear(config.latent_dim, width)
        self.own = nn.Linear(_NUM_OWN_VALUES + _NUM_OWN_AGES, width)
        self.variable_bias = nn.Embedding(channels, width)
        self.variable_gain = nn.Embedding(channels, width)
        self.hidden = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.head = nn.Linear(width, _NUM_CANDIDATES + 1)
        self.blend_bias = nn.Parameter(torch.tensor([0.0, 0.0, -3.0, -5.0]).repeat(channels, 1))
        nn.init.normal_(self.variable_gain.weight, mean=1.0, std=0.3)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self,
        latents: Float[Tensor, "sample point latent"],
        surroundings: Float[Tensor, "point feature"],
        own: _Own,
        batch: Batch[Tensor],
    ) -> Float[Tensor, "sample query"]:
        points, channels = batch.query_points, batch.query_channels
        features = torch.cat([surroundings, _surrounding_ages(batch)], dim=-1)
        at_points = self.latent(latents) + self.surroundings(features)
        mixed = (
            at_points.index_select(1, points) * self.variable_gain(channels)
            + self.own(torch.cat([own.values, own.ages], dim=-1))
            + self.variable_bias(channels)
        )
        outputs = self.head(self.hidden(mixed))
        logits = own.prior_logits + self.blend_bias[channels] + outputs[..., :_NUM_CANDIDATES]
        blended = (logits.softmax(-1) * own.candidates).sum(-1)
        return blended + outputs[..., _NUM_CANDIDATES]


class _ScaleHead(nn.Module):
    """scale = base * (1 + own growth + growth with the distances of the other variables)."""

    def __init__(self, config: LatentODEConfig) -> None:
        super().__init__()
        width, channels = config.decoder_dim // 2, config.num_channels
        self.min_scale = config.min_scale
        self.surroundings = nn.Linear(_num_surroundings(config), width)
        self.own = nn.Linear(_NUM_OWN_VALUES, width)
        self.variable_bias = nn.Embedding(channels, width)
        self.variable_gain = nn.Embedding(channels, width)
        self.hidden = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.head = nn.Linear(width, 1 + len(_TIME_SCALES_HOURS))
        self.bias = nn.Parameter(torch.tensor([-1.0, -1.0, -1.0, -1.0]).repeat(channels, 1))
        self.coupling = nn.Parameter(torch.full((channels, channels), -5.0))
        nn.init.normal_(self.variable_gain.weight, mean=1.0, std=0.3)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, surroundings: Float[Tensor, "point feature"], own: _Own, batch: Batch[Tensor]
    ) -> Float[Tensor, " query"]:
        points, channels = batch.query_points, batch.query_channels
        mixed = (
            self.surroundings(surroundings)[points] * self.variable_gain(channels)
            + self.own(own.values)
            + self.variable_bias(channels)
        )
        positive = nn.functional.softplus(self.head(self.hidden(mixed)) + self.bias[channels])
        distances = torch.minimum(batch.last_ages, batch.next_ages)
        own_distances = distances[points, channels].unsqueeze(-1)
        time_scales = own_distances.new_tensor(_TIME_SCALES_HOURS)
        own_growth = (positive[:, 1:] * -torch.expm1(-own_distances / time_scales)).sum(-1)
        coupled = -torch.expm1(-distances / _RECENT_HOURS) @ nn.functional.softplus(self.coupling)
        return self.min_scale + positive[:, 0] * (1 + own_growth + coupled[points, channels])


def _num_surroundings(config: LatentODEConfig) -> int:
    return 4 * config.num_channels + 2 * config.num_statics + 2 * config.encoder_dim


def _surrounding_values(batch: Batch[Tensor]) -> Float[Tensor, "point feature"]:
    """Describe what is constant between two observation times: values, means, counts, statics."""
    return torch.cat(
        [
            batch.last_values,
            batch.next_values,
            batch.series_means[batch.point_series],
            torch.log1p(batch.series_counts)[batch.point_series],
            batch.statics[batch.point_series],
            batch.known_statics_mask.to(batch.statics.dtype)[batch.point_series],
        ],
        dim=-1,
    )


def _surrounding_ages(batch: Batch[Tensor]) -> Float[Tensor, "point feature"]:
    """Describe how old the neighbors of all variables are, and the values of the fresh ones."""
    return torch.cat(
        [
            batch.last_values * torch.exp(-batch.last_ages / _FRESH_HOURS),
            batch.next_values * torch.exp(-batch.next_ages / _FRESH_HOURS),
            torch.exp(-batch.last_ages / _RECENT_HOURS),
            torch.exp(-batch.next_ages / _RECENT_HOURS),
        ],
        dim=-1,
    )


def _states_at(
    states: Float[Tensor, "row hidden"], rows: Int[Tensor, " point"]
) -> Float[Tensor, "point hidden"]:
    """Return the state of each point's row, 0 where there is none."""
    is_present = (rows >= 0).to(states.dtype).unsqueeze(-1)
    return states.index_select(0, rows.clamp(min=0)) * is_present


def _own_record(batch: Batch[Tensor]) -> _Own:
    at = (batch.query_points, batch.query_channels)
    last, following = batch.last_values[at], batch.next_values[at]
    last_age, next_age = batch.last_ages[at], batch.next_ages[at]
    of_series = (batch.point_series[batch.query_points], batch.query_channels)
    mean, count = batch.series_means[of_series], batch.series_counts[of_series]
    # -log(age) makes the softmax weights of last and next those of linear interpolation.
    proximity = [-torch.log(age + _AGE_FLOOR_HOURS) for age in (last_age, next_age)]
    unseen = torch.where(count > 0, 0.0, -torch.inf)
    decays = [torch.exp(-age / tau) for age in (last_age, next_age) for tau in _TIME_SCALES_HOURS]
    values = [last, following, mean, last - mean, following - mean, torch.log1p(count)]
    population_mean = torch.zeros_like(mean)
    return _Own(
        values=torch.stack(values, dim=-1),
        ages=torch.stack(decays, dim=-1),
        candidates=torch.stack([last, following, mean, population_mean], dim=-1),
        prior_logits=torch.stack([*proximity, unseen, population_mean], dim=-1),
    )
