"""The ONNX graph of a trained network, compared with the network on the tuning subjects."""

from dataclasses import dataclass

import numpy as np

from model.data.query import Query
from model.data.windows import Window
from model.export import Parity, export_onnx, measure_parity
from model.latent_ode import LatentODE
from model.runtime.onnx_network import OnnxNetwork
from model.runtime.torch_network import TorchNetwork
from training.validation import Validation

_NUM_SERIES = 1000
_NUM_QUERIES = 40


@dataclass(frozen=True)
class Graph:
    """The bytes of an ONNX file, and how far its answers are from those of the network."""

    content: bytes
    parity: Parity


def export(network: LatentODE, validation: Validation) -> Graph:
    """Export a network and compare both on up to a thousand series of the tuning subjects."""
    content = export_onnx(network.cpu())
    window = validation.windows[0]
    chosen = np.arange(min(_NUM_SERIES, len(window.context)))
    parity = measure_parity(
        TorchNetwork(network),
        OnnxNetwork.of_graph(network.config, content),
        validation.normalization,
        window.context.select(chosen),
        _first_queries(window, chosen),
    )
    return Graph(content, parity)


def _first_queries(window: Window, chosen: np.ndarray) -> Query:
    """Ask for the first targets of every series: the comparison is of numbers, not of accuracy."""
    target = window.target.select(chosen)
    place = np.arange(len(target.values)) - target.offsets[target.series_indices]
    return Query.at(target.keep(place < _NUM_QUERIES))
