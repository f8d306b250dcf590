"""The tables: throughput, distance to the floor, and what the time is spent on."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from model.artifact import Artifact
from model.runtime.mixture_predictor import MixturePredictor
from model.runtime.network import Network
from model.runtime.onnx_network import OnnxNetwork
from tests.benchmarks.predictor.cost import Cost
from tests.benchmarks.predictor.floor import Floor
from tests.benchmarks.predictor.kernels import Kernels, profile
from tests.benchmarks.predictor.stages import NAMES, stage_shares
from tests.benchmarks.predictor.workload import Workload
from tests.benchmarks.table import Table

_NUM_KINDS = 14


@dataclass(frozen=True)
class Bench:
    """What is measured: `sizes` are series in a request, `seconds` those of one measurement."""

    artifact: Artifact
    workload: Workload
    sizes: Sequence[int]
    seconds: float

    def costs(self, network: Network) -> Mapping[int, Cost]:
        """Measure a predictor with this network for every size."""
        return {
            size: Cost.measure(
                self.artifact, network, self.workload.request(size), seconds=self.seconds
            )
            for size in self.sizes
        }

    def graph_tables(self) -> Iterator[Table]:
        """Measure the graph of the artifact on the processor."""
        network = OnnxNetwork.load(self.artifact)
        costs = self.costs(network)
        yield throughput(network.computed_by, costs)
        kernels = {
            size: profile(self.artifact, self.workload.request(size), num_requests=3)
            for size in self.sizes
        }
        yield _distances(costs, kernels)
        yield _kinds(kernels)
        yield self._stages(network)

    def _stages(self, network: Network) -> Table:
        predictor = MixturePredictor(self.artifact, network)
        rows = []
        for size in self.sizes:
            request = self.workload.request(size)
            shares = stage_shares(predictor, request, num_requests=max(3, 100 // size))
            rows.append((str(size), *(_percent(shares[name]) for name in NAMES)))
        return Table(
            "The whole answer by stage",
            "Shares of the time, by Python's profiler; everything but the network is numpy.",
            ("series in a request", *NAMES),
            rows,
        )


def throughput(computed_by: str, costs: Mapping[int, Cost]) -> Table:
    """Show how many series a predictor answers in a second."""
    rows = [
        (
            str(size),
            f"{size / cost.wall:,.0f}",
            f"{1e3 * cost.wall:,.2f}",
            f"{1e3 * cost.cpu / size:,.3f}",
            f"{cost.network / cost.wall:.0%}",
        )
        for size, cost in costs.items()
    ]
    return Table(
        f"Series per second: {computed_by}",
        "Medians. A series has 100 queries, and the answers are complete: moments, three quantiles, "
        "calibration, support.",
        ("series in a request", "series/s", "ms/request", "CPU ms/series", "of it the network"),
        rows,
    )


def _distances(costs: Mapping[int, Cost], kernels: Mapping[int, Kernels]) -> Table:
    rows = []
    for size, found in kernels.items():
        floor, cost = Floor.of(found), costs[size]
        times = (floor.highest, floor.of_these_sizes, cost.network, cost.wall)
        rows.append(
            (
                str(size),
                f"{found.multiply_adds / size / 1e6:.2f}",
                f"{floor.highest_rate / 1e9:.1f}",
                f"{floor.rate_of_these_sizes / 1e9:.1f}",
                *(f"{1e3 * one / size:.3f}" for one in times),
                f"{cost.network / floor.of_these_sizes:.1f}",
                f"{cost.wall / floor.of_these_sizes:.1f}",
                f"{cost.wall / floor.highest:.1f}",
            )
        )
    missing = sorted({kind for found in kernels.values() for kind in found.uncounted})
    note = f" Not counted: {', '.join(missing)}." if missing else ""
    return Table(
        "Distance to the floor",
        "Multiply-adds are counted from the shapes that each matrix product of the graph gets at "
        "run time (onnxruntime's profiler), for these very requests. Rates are of float32 products "
        "in numpy on one thread, in 10^9 multiply-adds a second: the highest (512 x 512), and that of "
        f"the sizes that occur here, in proportion to their work. Times are ms for each series.{note}",
        (
            *("series", "10^6 multiply-adds/series", "highest rate", "rate of these sizes"),
            *("floor at highest", "floor at these sizes", "network", "whole answer"),
            *("network / floor", "answer / floor", "answer / floor at highest"),
        ),
        rows,
    )


def _kinds(kernels: Mapping[int, Kernels]) -> Table:
    whole: Counter[str] = Counter()
    for found in kernels.values():
        whole.update({kind: one / found.seconds.total() for kind, one in found.seconds.items()})
    named = [kind for kind, _ in whole.most_common(_NUM_KINDS)]
    rows = [
        (kind, *(_percent(_share(found, [kind])) for found in kernels.values())) for kind in named
    ]
    others = (1 - _share(found, named) for found in kernels.values())
    return Table(
        "The network by kind of operator",
        "Shares of the time in onnxruntime's kernels, by its own profiler.",
        ("operator", *(f"{size} series" for size in kernels)),
        [*rows, ("all others", *map(_percent, others))],
    )


def _share(found: Kernels, kinds: Sequence[str]) -> float:
    return sum(found.seconds[kind] for kind in kinds) / found.seconds.total()


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
