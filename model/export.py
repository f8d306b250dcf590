"""From a trained network to one ONNX graph: encoder, ODE solve at own query times, decoder.

The graph is dynamic in series, observations, knots, points, queries and draws; the noise is an input.
The solver's grid is the one with which the network was certified.
"""

import logging
import warnings
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.config import LatentODEConfig
from model.data.batch import Batch, build_batch
from model.data.normalization import Normalization
from model.data.query import Query
from model.data.series import Cohort, Series
from model.latent_ode import LatentODE
from model.runtime.decoding import decode, summary_noise
from model.runtime.inversion import reduce_components
from model.runtime.network import Network
from model.served import Served

LARGEST_ERROR = 1e-4
"""Standard deviations by which the graph may differ from the network."""

_LEVELS = (0.05, 0.5, 0.95)

OUTPUTS = ("logits", "loc", "scale", "divergences")

# The first axis of every input, by its name or by the part of the batch that it is of.
_AXES = MappingProxyType(
    {
        "statics": "series",
        "known_statics_mask": "series",
        "knot_counts": "series",
        "knot_series": "knot",
        "knot_places": "knot",
        "padded_places": "padded_knot",
        "solver_blocks": "solver_block",
        "point_series": "point",
        "point_times": "point",
        "query_points": "query",
        "query_channels": "query",
        "knots": "knot",
        "points": "point",
        "records": "query",
        "noise": "draw",
    }
)


def export_onnx(network: LatentODE) -> bytes:
    """Return the graph of a network as the bytes of an ONNX file."""
    example = _example(network.config)
    arrays = {name: torch.from_numpy(array) for name, array in example.arrays().items()}
    arrays["noise"] = torch.zeros(3, 1, network.config.latent_dim)
    axes = {name: torch.export.Dim(name) for name in sorted(set(_AXES.values()))}
    shapes = tuple({0: axes[_axis(name)]} for name in arrays)
    graph = _Graph(network, tuple(arrays)).eval()
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    # The exporter warns of what it renames inside and of packages that nobody needs.
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph,
                tuple(arrays.values()),
                input_names=list(arrays),
                output_names=list(OUTPUTS),
                dynamic_shapes=(shapes,),
                dynamo=True,
                verbose=False,
            )
    finally:
        logger.setLevel(level)
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


class _Graph(nn.Module):
    """A served network whose inputs are the arrays of a batch, and the noise, one after another."""

    def __init__(self, network: LatentODE, names: tuple[str, ...]) -> None:
        super().__init__()
        self.served = Served(network)
        self.names = names

    def forward(self, *arrays: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        named = dict(zip(self.names, arrays, strict=True))
        noise = named.pop("noise")
        outputs: tuple[Tensor, Tensor, Tensor, Tensor] = self.served(Batch.of_arrays(named), noise)
        return outputs


def _axis(name: str) -> str:
    return _AXES[name] if name in _AXES else _AXES[name.split("_", maxsplit=1)[0]]


def _example(config: LatentODEConfig) -> Batch[np.ndarray]:
    """Return a batch in which no two axes have the same length by chance."""
    generator = np.random.default_rng(0)
    statics = np.zeros(config.num_statics)
    series = []
    for number, size in enumerate((40, 50)):
        times = np.sort(generator.uniform(0, 20 + number, size))
        channels = generator.integers(0, config.num_channels, size)
        series.append(Series(str(number), times, channels, generator.normal(size=size), statics))
    asked = [generator.integers(0, config.num_channels, size) for size in (2, 3)]
    return build_batch(
        Cohort.from_series(series),
        Query.grid([np.arange(30.0, 34.0), np.arange(34.0, 37.0)], asked),
        _plain(config),
        knot_hours=config.knot_hours,
        is_causal=config.direction == "filter",
    )


def _plain(config: LatentODEConfig) -> Normalization:
    """Return a normalization that leaves values as they are."""
    size, nothing = config.num_channels, np.full(config.num_channels, np.nan)
    return Normalization(
        loc=np.zeros(size),
        scale=np.ones(size),
        log_offset=nothing,
        low=np.full(size, -np.inf),
        high=np.full(size, np.inf),
        static_loc=np.zeros(config.num_statics),
        static_scale=np.ones(config.num_statics),
        resolution=nothing,
        grid=nothing,
    )


@dataclass(frozen=True)
class Parity:
    """How far the answers of a graph are from those of its network, in their standard deviations.

    The largest error of the mean and of the quantiles 0.05, 0.5 and 0.95, over all queries.
    """

    largest_mean_error: float
    largest_quantile_error: float
    num_series: int
    num_queries: int

    @property
    def holds(self) -> bool:
        """Whether no answer is off by more than `LARGEST_ERROR`."""
        return max(self.largest_mean_error, self.largest_quantile_error) <= LARGEST_ERROR

    @property
    def text(self) -> str:
        """One sentence for people."""
        largest = max(self.largest_mean_error, self.largest_quantile_error)
        return (
            f"on {self.num_queries:,} queries of {self.num_series:,} series the graph's mean and "
            f"quantiles are within {largest:.1g} standard deviations of the network's"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "holds": self.holds, "unit": "predictive standard deviations"}


def measure_parity(
    network: Network, graph: Network, normalization: Normalization, context: Cohort, query: Query
) -> Parity:
    """Compare what a network and its graph answer."""
    noise = summary_noise(network.config.latent_dim, np.random.default_rng(0))
    exact, found = (
        decode(one, normalization, context, query, noise).mixture(query.channels, slice(None))
        for one in (network, graph)
    )
    mean = reduce_components(exact.weight * exact.loc)
    # A Laplace distribution of scale s has variance 2 s^2.
    spread = 2 * exact.scale**2 + (exact.loc - mean) ** 2
    deviation = np.sqrt(reduce_components(exact.weight * spread))
    moved = np.abs(reduce_components(found.weight * found.loc) - mean) / deviation
    levels = np.array(_LEVELS)
    quantiles = found.standardized_quantiles(levels) - exact.standardized_quantiles(levels)
    return Parity(
        largest_mean_error=float(moved.max()),
        largest_quantile_error=float((np.abs(quantiles) / deviation).max()),
        num_series=len(context),
        num_queries=query.num_queries,
    )
