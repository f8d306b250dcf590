"""`python -m tests.benchmarks.predictor --artifact DIR --data MEDS`: the predictor alone.

Series per second by the size of a request, the distance to what the arithmetic alone would take, and
what the time is spent on. On one core and one thread; with `--device cuda` on a GPU.
"""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.benchmarks.predictor.report import Bench

_SIZES = {"cpu": (1, 8, 64, 256, 1024), "cuda": (1, 64, 1024, 16384)}
_PACKAGES = ("numpy", "onnxruntime", "torch")


def main(arguments: list[str]) -> None:
    """Measure, and print the tables as they come."""
    given = _parse(arguments)
    if given.device == "cuda" and not _has_gpu():
        print("skipped: --device cuda needs torch and a CUDA device, and one of them is not here")
        return
    if given.device == "cpu":
        _use_one_core()
    from model.artifact import load_artifact
    from tests.benchmarks.environment import Environment
    from tests.benchmarks.predictor.report import Bench
    from tests.benchmarks.predictor.workload import Workload

    placement = {"cpu": "one thread, pinned to one core", "cuda": "a GPU, named below"}
    print("# The predictor alone\n")
    print(
        Environment.look(
            "tests.benchmarks.predictor",
            arguments,
            placement=placement[given.device],
            packages=_PACKAGES,
        )
    )
    bench = Bench(
        load_artifact(given.artifact),
        Workload(given.data),
        given.sizes or _SIZES[given.device],
        given.seconds,
    )
    if given.device == "cuda":
        from tests.benchmarks.predictor.gpu import cuda_table

        print(cuda_table(bench), flush=True)
    else:
        _measure_cpu(bench)


def _measure_cpu(bench: "Bench") -> None:
    from tests.benchmarks.predictor.report import throughput

    for table in bench.graph_tables():
        print(table, flush=True)
    if find_spec("torch") is None:
        print("torch on the processor: skipped, torch is not installed")
        return
    from model.runtime.torch_network import TorchNetwork

    network = TorchNetwork.load(bench.artifact)
    print(throughput(network.computed_by, bench.costs(network)), flush=True)


def _has_gpu() -> bool:
    if find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _use_one_core() -> None:
    """Before anything that starts threads is imported."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.predictor", description=__doc__
    )
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="MEDS dataset of the stays")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--sizes", type=int, nargs="+", help="series in a request")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement, about")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
