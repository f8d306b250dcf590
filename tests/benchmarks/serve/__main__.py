"""`python -m tests.benchmarks.serve --artifact DIR --data MEDS`: ours beside the naive server.

Both serve the same artifact on one core's worth of threads, one after another, on loopback, and are
asked the same bodies. Bounded: some 100 seconds and 50,000 requests at most.
"""

import argparse
import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.benchmarks.serve.bodies import bodies
from tests.benchmarks.serve.load import Measured, closed_loop, message, open_loop

_START_SECONDS = 120.0
_PAGE_KIB = resource.getpagesize() // 1024
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    pid: int

    @property
    def cpu_seconds(self) -> float:
        """Processor time of the process so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def resident_mib(self) -> float:
        """Resident memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_KIB / 1024


def main(arguments: list[str]) -> None:
    """Measure both servers and print one table."""
    given = _parse(arguments)
    messages = [message("/v1/impute", body) for body in bodies(given.data)]
    print(
        f"{len(messages)} bodies of {sum(map(len, messages)) // len(messages):,} bytes on average"
    )
    print(
        "| server | load | p50 ms | p95 ms | p99 ms | requests/s | CPU ms/request | refused | MiB |"
    )
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|")
    for name in given.servers:
        with _serving(name, given.artifact) as server:
            for line in _lines(name, server, messages, given):
                print(line, flush=True)


def _lines(
    name: str, server: Server, messages: Sequence[bytes], given: argparse.Namespace
) -> Iterator[str]:
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
        before = server.cpu_seconds
        measured: Measured = asyncio.run(measure())
        yield _line(name, load, server, measured, server.cpu_seconds - before)


def _line(name: str, load: str, server: Server, measured: Measured, cpu_seconds: float) -> str:
    spent = 1e3 * cpu_seconds / max(1, len(measured.latencies_ms))
    latencies = " | ".join(f"{measured.percentile(percent):.1f}" for percent in (50, 95, 99))
    return (
        f"| {name} | {load} | {latencies} | {measured.requests_per_second:.0f} | {spent:.2f} | "
        f"{measured.num_failed} | {server.resident_mib:.0f} |"
    )


@contextmanager
def _serving(name: str, artifact: Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = {
        "ours": ["-m", "service", "serve", "--artifact", str(artifact), "--port", str(port)],
        "naive": ["-m", "tests.benchmarks.serve.naive", str(artifact), str(port)],
    }[name]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LACUNA_DEVICE": "cpu"}
    with subprocess.Popen(
        [sys.executable, *command], env=environment, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_until_ready(port)
            yield Server(port, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)


def _wait_until_ready(port: int) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready"):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise TimeoutError("the server did not get ready")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.serve", description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="MEDS dataset of the stays")
    parser.add_argument("--servers", nargs="+", default=["ours", "naive"])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rates", type=float, nargs="+", default=[20.0, 100.0])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
