"""Running the network over context and queries: the components of every answer, draw by draw.

Training calibrates exactly the distribution that is served, so both come from here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from model.data.batch import Batch, build_batch
from model.data.normalization import Normalization
from model.data.query import Query
from model.data.rolling import roll
from model.data.series import Cohort
from model.runtime.mixture import LaplaceMixture
from model.runtime.network import Network, NetworkOutput

NUM_DRAWS = 4
"""Posterior draws of the summaries, in opposite pairs: the mean of the latent noise is zero."""
# Draws of as many queries as a network answers together: on a CPU some tens of megabytes.
_MAX_DRAWS = 32


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
    network: Network,
    normalization: Normalization,
    context: Cohort,
    query: Query,
    noise: Float[np.ndarray, "draw 1 latent"],
) -> Decoded:
    """Answer every query for every draw, in pieces of bounded size; long series are rolled."""
    rolled = roll(context, query)
    config = network.config
    places, outputs = [], []
    divergences = np.empty(len(rolled.context))
    for windows in rolled.pieces(network.max_queries):
        part = rolled.select(windows)
        batch = build_batch(
            part.context,
            part.query,
            normalization,
            knot_hours=config.knot_hours,
            is_causal=config.direction == "filter",
        )
        output = _run(network, batch, noise)
        places.append(part.positions)
        outputs.append(output)
        divergences[windows] = output.divergences
    order = np.argsort(np.concatenate(places))
    logits, loc, scale = (
        _in_order(parts, order)
        for parts in zip(*((one.logits, one.loc, one.scale) for one in outputs), strict=True)
    )
    weight = np.exp(logits - logits.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    return Decoded(loc, scale, weight, rolled.maximum(divergences))


def _run(
    network: Network, batch: Batch[np.ndarray], noise: Float[np.ndarray, "draw 1 latent"]
) -> NetworkOutput:
    """Run the network for some of the draws at a time."""
    max_rows = _MAX_DRAWS * network.max_queries
    num_parts = -(-len(noise) * len(batch.query_channels) // max_rows)
    parts = np.array_split(noise, max(1, min(num_parts, len(noise))))
    outputs = [network.run(batch, part) for part in parts]
    if len(outputs) == 1:
        return outputs[0]
    logits, loc, scale = (
        np.concatenate([getattr(output, name) for output in outputs])
        for name in ("logits", "loc", "scale")
    )
    return NetworkOutput(logits, loc, scale, outputs[0].divergences)


def _in_order(
    parts: Sequence[Float[np.ndarray, "draw _ component"]], order: Int[np.ndarray, " query"]
) -> Float[np.ndarray, "draw component query"]:
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    return joined[:, order].transpose(0, 2, 1).astype(float)
