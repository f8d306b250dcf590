"""`python -m tests.benchmarks.serve --artifact DIR --data MEDS`: our server beside two others.

All serve the same artifact, each with one thread for its arithmetic, one after another, on
loopback, and are asked the same bodies. Bounded: some four minutes with the defaults.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tests.benchmarks.environment import Environment
from tests.benchmarks.serve.bodies import bodies
from tests.benchmarks.serve.contenders import CONTENDERS, Server, serving
from tests.benchmarks.serve.load import Measured, closed_loop, message, open_loop
from tests.benchmarks.serve.processes import CLIENT_CORE, SERVER_CORE, pin

_PACKAGES = ("numpy", "onnxruntime", "torch", "fastapi", "uvicorn", "litserve")
_HEADER = (
    *("server", "load", "p50 ms", "p95 ms", "p99 ms", "requests/s", "series/s"),
    *("queue ms", "predict ms", "CPU ms/request", "CPU ms/series", "refused", "MiB"),
)


def main(arguments: list[str]) -> None:
    """Measure every server and print one table."""
    given = _parse(arguments)
    if given.pin:
        pin(os.getpid(), CLIENT_CORE)
        placement = f"every process of a server on core {SERVER_CORE}, the client on {CLIENT_CORE}"
    else:
        placement = "server and client where the system puts them"
    print("# The server under load\n")
    environment = Environment.look(
        "tests.benchmarks.serve", arguments, placement=placement, packages=_PACKAGES
    )
    print(environment)
    contents = bodies(given.data, num_series=given.series)
    messages = [message("/v1/impute", body) for body in contents]
    print(
        f"{len(messages)} bodies of {np.mean([len(one) for one in messages]):,.0f} bytes on average, "
        f"{given.series} stays of a day and 100 queries each; {given.seconds:g} s for each line. "
        "`queue` and `predict` are medians of what an answer says of itself; CPU and memory are of "
        "all processes of a server.\n"
    )
    for name in given.servers:
        print(f"- {name}: {CONTENDERS[name].about}")
    print(f"\n| {' | '.join(_HEADER)} |\n|---|---|{'--:|' * (len(_HEADER) - 2)}")
    for name in given.servers:
        with serving(name, given.artifact, is_pinned=given.pin) as server:
            for cells in _rows(name, server, messages, given):
                print(f"| {' | '.join(cells)} |", flush=True)


def _rows(
    name: str, server: Server, messages: Sequence[bytes], given: argparse.Namespace
) -> Iterator[Sequence[str]]:
    asyncio.run(closed_loop(server.port, messages, num_clients=2, seconds=2.0))
    port, seconds = server.port, given.seconds
    loads = {
        f"{rate:g} requests/s": partial(open_loop, port, messages, per_second=rate, seconds=seconds)
        for rate in given.rates
    } | {
        f"{count} clients": partial(closed_loop, port, messages, num_clients=count, seconds=seconds)
        for count in given.clients
    }
    for load, measure in loads.items():
        before = server.processes.cpu_seconds
        measured: Measured = asyncio.run(measure())
        spent = server.processes.cpu_seconds - before
        yield name, load, *_cells(server, measured, spent, given.series)


def _cells(
    server: Server, measured: Measured, cpu_seconds: float, num_series: int
) -> Iterator[str]:
    yield from (f"{measured.percentile(percent):.1f}" for percent in (50, 95, 99))
    yield f"{measured.requests_per_second:.0f}"
    yield f"{num_series * measured.requests_per_second:.0f}"
    for times in zip(*((one.queue_ms, one.predict_ms) for one in measured.replies), strict=True):
        median = np.median(times)
        yield "-" if np.isnan(median) else f"{median:.2f}"
    spent_ms = 1e3 * cpu_seconds / max(1, len(measured.replies))
    yield f"{spent_ms:.2f}"
    yield f"{spent_ms / num_series:.2f}"
    yield str(measured.num_refused)
    yield f"{server.processes.resident_mib:.0f}"


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.serve", description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="MEDS dataset of the stays")
    parser.add_argument(
        "--servers", nargs="+", choices=sorted(CONTENDERS), default=list(CONTENDERS)
    )
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8, 32])
    parser.add_argument("--rates", type=float, nargs="*", default=[20.0, 100.0])
    parser.add_argument("--series", type=int, default=1, help="stays in a request")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument(
        "--pin", action="store_true", help="a core for the server, one for the client"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
