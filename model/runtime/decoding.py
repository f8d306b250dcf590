"""Running the network over context and queries: the components of every answer, draw by draw.

Training calibrates exactly the distribution that is served, so both come from here.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.distributions import kl_divergence

from model.data.batch import Batch, Query, build_batch
from model.data.normalization import Normalization
from model.data.rolling import RollingWindows, roll
from model.data.series import Cohort
from model.decoder import DecodedQueries
from model.latent_ode import LatentODE
from model.runtime.mixture import LaplaceMixture

NUM_DRAWS = 8
"""Posterior draws of the summaries, in opposite pairs: the mean of the latent noise is zero."""
_MAX_QUERIES = 8192


@dataclass(frozen=True)
class Decoded:
    """The components of every query for every draw; a draw's weights sum to one.

    `divergences` are KL(q(z0) || p(z0)) of each series, the largest of its windows, in nats.
    """

    loc: Float[np.ndarray, "draw component query"]
    scale: Float[np.ndarray, "draw component query"]
    weight: Float[np.ndarray, "draw component query"]
    divergences: Float[np.ndarray, " series"]

    def mixture(
        self, channels: Int[np.ndarray, " query"], queries: slice | Int[np.ndarray, " chosen"]
    ) -> LaplaceMixture:
        """Return the equal mixture of the summaries' draws for some of the queries."""
        parts = (part[:NUM_DRAWS][..., queries] for part in (self.loc, self.scale, self.weight))
        loc, scale, weight = (
            part.reshape(NUM_DRAWS * part.shape[1], part.shape[2]) for part in parts
        )
        return LaplaceMixture(loc, scale, weight / NUM_DRAWS, channels[queries], NUM_DRAWS)


def summary_noise(
    latent_dim: int, generator: np.random.Generator
) -> Float[np.ndarray, "draw 1 latent"]:
    """Return the latent noise of the summaries."""
    half = generator.standard_normal((NUM_DRAWS // 2, 1, latent_dim))
    return np.concatenate([half, -half])


def decode(
    network: LatentODE,
    normalization: Normalization,
    context: Cohort,
    query: Query,
    noise: Float[np.ndarray, "draw 1 latent"],
) -> Decoded:
    """Answer every query for every draw, in pieces of bounded size; long series are rolled."""
    rolled = roll(context, query)
    device = next(network.parameters()).device
    latent_noise = torch.from_numpy(noise).float().to(device)
    places, pieces = [], []
    divergences = np.empty(len(rolled.context))
    network.eval()
    with torch.no_grad():
        for windows in rolled.pieces(_MAX_QUERIES):
            part = rolled.select(windows)
            output = network(_tensors(part, network, normalization, device), latent_noise)
            places.append(part.positions)
            pieces.append(_to_numpy(_components(output.decoded)))
            divergence = kl_divergence(output.posterior, output.prior).sum(-1)
            divergences[windows] = _to_numpy(divergence)
    order = np.argsort(np.concatenate(places))
    weight, loc, scale = np.concatenate(pieces, axis=-1)[..., order]
    return Decoded(loc, scale, weight, rolled.maximum(divergences))


def _tensors(
    part: RollingWindows, network: LatentODE, normalization: Normalization, device: torch.device
) -> Batch[Tensor]:
    config = network.config
    batch = build_batch(
        part.context,
        part.query,
        normalization,
        knot_hours=config.knot_hours,
        is_causal=config.direction == "filter",
    )
    return batch.map(lambda array: torch.from_numpy(array).to(device))


def _components(decoded: DecodedQueries) -> Float[Tensor, "part draw component query"]:
    """Return weight, location and scale of every component, stacked."""
    weight = decoded.logits.double().softmax(-1)
    parts = torch.stack([weight, decoded.loc.double(), decoded.scale.double()])
    return parts.movedim(-1, 2)


def _to_numpy(tensor: Tensor) -> np.ndarray:
    return tensor.double().cpu().numpy()
