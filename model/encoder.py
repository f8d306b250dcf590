"""From the observations of a series to q(z0): a GRU over the series' own observation times.

Each row of the GRU is one time at which anything was measured: standardized values, observed mask,
the gap to the neighboring row and the time since the series began. One GRU reads forwards and one
backwards, each a single fused call; there is no loop over time and no time that belongs to another
series.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributions import Normal

from model.config import LatentODEConfig
from model.data.batch import Batch

_DAY_HOURS = 24.0
# The posterior starts narrow, so that the decoder learns to read z0 before the divergence is
# charged.
_POSTERIOR_SCALE_BIAS = -1.5


@dataclass(frozen=True)
class Encoding:
    """q(z0) of each series, and what the two GRUs knew at each row (series * num_rows + row)."""

    posterior: Normal
    past_states: Float[Tensor, "row hidden"]
    future_states: Float[Tensor, "row hidden"]


class Encoder(nn.Module):
    """q(z0 | context), a diagonal normal distribution for each series."""

    def __init__(self, config: LatentODEConfig) -> None:
        super().__init__()
        width = config.encoder_dim
        self.num_channels = config.num_channels
        self.forward_gru = nn.GRU(2 * config.num_channels + 2, width, batch_first=True)
        self.backward_gru = nn.GRU(2 * config.num_channels + 2, width, batch_first=True)
        self.head = nn.Sequential(
            nn.Linear(2 * width + 2 * config.num_statics + 2 * config.num_channels, width),
            nn.SiLU(),
            nn.Linear(width, 2 * config.latent_dim),
        )

    def forward(self, batch: Batch[Tensor]) -> Encoding:
        """Read the context of every series."""
        cells, times, counts = self._cells(batch), batch.row_times, batch.row_counts
        backwards = _reversed_rows(times.shape[1], counts)
        past, _ = self.forward_gru(_with_time(cells, times))
        future, _ = self.backward_gru(
            _with_time(_reorder(cells, backwards), times.gather(1, backwards))
        )
        summaries = torch.cat(
            [
                _last_state(past, counts),
                _last_state(future, counts),
                batch.statics,
                batch.known_statics_mask.to(cells.dtype),
                batch.series_means,
                torch.log1p(batch.series_counts),
            ],
            dim=-1,
        )
        loc, raw_scale = self.head(summaries).chunk(2, dim=-1)
        scale = nn.functional.softplus(raw_scale + _POSTERIOR_SCALE_BIAS) + 1e-3
        return Encoding(
            Normal(loc, scale, validate_args=False),
            past.flatten(0, 1),
            _reorder(future, backwards).flatten(0, 1),
        )

    def _cells(self, batch: Batch[Tensor]) -> Float[Tensor, "series row two_channels"]:
        """Scatter the observations into rows: values and observed mask, side by side."""
        num_series, num_rows = batch.row_times.shape
        width = 2 * self.num_channels
        flat = batch.cell_values.new_zeros(num_series * num_rows * width)
        value_at = batch.cell_rows * width + batch.cell_channels
        flat[value_at] = batch.cell_values
        flat[value_at + self.num_channels] = 1.0
        return flat.view(num_series, num_rows, width)


def _with_time(
    cells: Float[Tensor, "series row two_channels"], times: Float[Tensor, "series row"]
) -> Float[Tensor, "series row input"]:
    gaps = torch.diff(times, dim=1, prepend=times[:, :1]).abs()
    return torch.cat(
        [cells, torch.log1p(gaps).unsqueeze(-1), (times / _DAY_HOURS).unsqueeze(-1)], dim=-1
    )


def _reversed_rows(num_rows: int, counts: Int[Tensor, " series"]) -> Int[Tensor, "series row"]:
    """Return the row order that reads each series from its own end; padding stays at the right."""
    rows = torch.arange(num_rows, device=counts.device)
    return (counts.unsqueeze(1) - 1 - rows).remainder(num_rows)


def _reorder(
    rows: Float[Tensor, "series row input"], order: Int[Tensor, "series row"]
) -> Float[Tensor, "series row input"]:
    return rows.gather(1, order.unsqueeze(-1).expand_as(rows))


def _last_state(
    states: Float[Tensor, "series row hidden"], counts: Int[Tensor, " series"]
) -> Float[Tensor, "series hidden"]:
    """Return the state after each series' last own row."""
    last = (counts - 1).view(-1, 1, 1).expand(-1, 1, states.shape[-1])
    return states.gather(1, last).squeeze(1)
