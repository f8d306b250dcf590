"""How busy a GPU is: the time that at least one of its kernels or copies runs, of the whole."""

import torch
from torch.profiler import ProfilerActivity, profile

from model.runtime.mixture_predictor import MixturePredictor
from model.runtime.predictor import Request
from model.runtime.torch_network import TorchNetwork
from tests.benchmarks.predictor.busy import covered
from tests.benchmarks.predictor.report import Bench
from tests.benchmarks.table import Table

_NUM_REQUESTS = 5


def cuda_table(bench: Bench) -> Table:
    """Measure torch on the first CUDA device."""
    network = TorchNetwork.load(bench.artifact, device="cuda")
    predictor = MixturePredictor(bench.artifact, network)
    rows = []
    for size, cost in bench.costs(network).items():
        busy = busy_seconds(predictor, bench.workload.request(size))
        rows.append(
            (
                str(size),
                f"{size / cost.wall:,.0f}",
                f"{1e3 * cost.wall:,.2f}",
                f"{cost.network / cost.wall:.0%}",
                f"{1e3 * busy:,.2f}",
                f"{busy / cost.wall:.0%}",
            )
        )
    return Table(
        f"Series per second: torch on {torch.cuda.get_device_name()}",
        "Medians. The device is busy while at least one kernel or copy runs on it (torch.profiler); the "
        "share is of the time of a request without the profiler.",
        (
            *("series in a request", "series/s", "ms/request", "of it the network"),
            *("device ms", "device busy"),
        ),
        rows,
    )


def busy_seconds(predictor: MixturePredictor, request: Request) -> float:
    """Return how long the device works on one request."""
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        for _ in range(_NUM_REQUESTS):
            predictor.predict(request)
        torch.cuda.synchronize()
    intervals = [
        (float(event.time_range.start), float(event.time_range.end))
        for event in profiled.events() or ()
        # An annotation spans the pauses between the kernels that it is about.
        if event.device_type.name == "CUDA" and not event.is_user_annotation
    ]
    return 1e-6 * covered(intervals) / _NUM_REQUESTS
