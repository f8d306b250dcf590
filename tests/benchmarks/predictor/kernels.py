"""What onnxruntime's own profiler says: every kernel that ran, how long, and on which shapes."""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.artifact import Artifact
from model.runtime.mixture_predictor import MixturePredictor
from model.runtime.onnx_network import OnnxNetwork
from model.runtime.predictor import Request

# Kinds of node whose multiply-adds `product` finds; others with arithmetic of that order are named.
_PRODUCTS = frozenset({"MatMul", "FusedMatMul", "Gemm", "FusedGemm"})
_UNCOUNTED = frozenset({"Einsum", "Conv", "GRU", "LSTM", "Attention", "MultiHeadAttention"})


@dataclass(frozen=True)
class Product:
    """`count` products of a [rows, inner] with an [inner, columns] matrix."""

    count: int
    rows: int
    inner: int
    columns: int

    @property
    def multiply_adds(self) -> int:
        """How many."""
        return self.count * self.rows * self.inner * self.columns


@dataclass(frozen=True)
class Kernels:
    """The kernels of `num_requests` equal requests."""

    seconds: Counter[str]
    products: Counter[Product]
    uncounted: Counter[str]
    num_requests: int

    @property
    def multiply_adds(self) -> float:
        """Multiply-adds of one request."""
        whole = sum(one.multiply_adds * times for one, times in self.products.items())
        return whole / self.num_requests


def profile(artifact: Artifact, request: Request, *, num_requests: int) -> Kernels:
    """Run requests with the profiler on.

    The shapes are those that each kernel really got, after onnxruntime's own rewriting of the graph;
    a matrix product whose factor is a constant shows only the other one, which is enough to know
    its size.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # Imported here: it reads the variable when it is first imported.
    import onnxruntime  # noqa: PLC0415

    assert artifact.onnx is not None
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(
            artifact.onnx, options, providers=["CPUExecutionProvider"]
        )
        predictor = MixturePredictor(artifact, OnnxNetwork(artifact.config, session))
        for _ in range(num_requests):
            predictor.predict(request)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return _kernels(list(_nodes(events)), num_requests)


def _nodes(events: Sequence[Any]) -> Iterator[Any]:
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            yield event


def _kernels(nodes: Sequence[Any], num_requests: int) -> Kernels:
    seconds: Counter[str] = Counter()
    products: Counter[Product] = Counter()
    uncounted: Counter[str] = Counter()
    for node in nodes:
        kind = node["args"]["op_name"]
        seconds[kind] += node["dur"] * 1e-6
        if kind in _PRODUCTS:
            products[product(*map(_first_shape, _shapes(node)))] += 1
        elif kind in _UNCOUNTED:
            uncounted[kind] += 1
    return Kernels(seconds, products, uncounted, num_requests)


def _shapes(node: Any) -> tuple[Any, Any]:
    return node["args"]["input_type_shape"], node["args"]["output_type_shape"]


def _first_shape(typed: Any) -> list[int]:
    (shape,) = typed[0].values()
    return [int(length) for length in shape]


def product(left: Sequence[int], result: Sequence[int]) -> Product:
    """Return the product that makes `result` of a left factor, which may stand transposed."""
    *outer, rows, columns = [1, *result] if len(result) == 1 else result
    is_upright = len(left) == 1 or left[-2] == rows
    count = 1
    for length in outer:
        count *= length
    return Product(count, rows, left[-1] if is_upright else left[-2], columns)
