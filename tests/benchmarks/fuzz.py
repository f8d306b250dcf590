"""`python -m tests.benchmarks.fuzz --artifact DIR`: bodies from the OpenAPI document, all checks.

A real server process on loopback; requests by schemathesis, which judges every answer. Prints the
answers by status, what failed, what hung, and the server's memory. Exit status 1 if anything did.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.benchmarks.serve.processes import ProcessTree
from tests.service.fuzzing import Findings, Fuzzer, Kind

_START_SECONDS = 120.0
_ROUNDS = 20


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def resident_mib(self) -> float:
        """Resident memory of all its processes."""
        return ProcessTree(self.process.pid).resident_mib


def main(arguments: list[str]) -> int:
    """Ask, print, and return the exit status."""
    given = _parse(arguments)
    started = time.monotonic()
    with _serving(given.artifact) as server:
        document = requests.get(f"{server.url}/openapi.json", timeout=30).json()
        fuzzer = Fuzzer(server.url, document, timeout_seconds=given.timeout)
        _ask(fuzzer, server, given)
        fuzzer.close()
        print(f"memory at the end: {server.resident_mib:.0f} MiB")
    findings = fuzzer.findings
    _report(findings, time.monotonic() - started)
    is_stopped = server.process.returncode == 0
    print(f"exit status of the server: {server.process.returncode}")
    return 0 if is_stopped and not findings.failures and not findings.hung else 1


def _ask(fuzzer: Fuzzer, server: Server, given: argparse.Namespace) -> None:
    """Send the edges once, then rounds of random requests until there are enough bodies."""
    posts = [label for label in fuzzer.labels if label.startswith("POST ")]
    print(f"memory when ready: {server.resident_mib:.0f} MiB")
    for label in fuzzer.labels:
        fuzzer.boundary(label)
        if label not in posts:
            fuzzer.fuzz(label, Kind.FITTING, 50, start=given.seed)
    print(f"memory after the edges: {server.resident_mib:.0f} MiB", flush=True)
    share = 1 + (given.examples - _num_bodies(fuzzer.findings)) // (_ROUNDS * len(posts) * 3)
    end = time.monotonic() + given.seconds
    turn = 0
    while _num_bodies(fuzzer.findings) < given.examples and time.monotonic() < end:
        turn += 1
        for label in posts:
            for kind in (Kind.FITTING, Kind.MISFIT, Kind.SENSIBLE):
                fuzzer.fuzz(label, kind, share, start=given.seed + turn)
        bodies = f"{_num_bodies(fuzzer.findings):,} bodies"
        print(f"round {turn}: {bodies}, {server.resident_mib:.0f} MiB", flush=True)


def _num_bodies(findings: Findings) -> int:
    return sum(n for (label, _, _), n in findings.answers.items() if label.startswith("POST "))


def _report(findings: Findings, seconds: float) -> None:
    answers = findings.answers
    statuses = sorted({status for _, _, status in answers})
    print(f"\n{answers.total():,} requests in {seconds:.0f} s, {len(findings.hung)} hung")
    print("| operation | made from | " + " | ".join(map(str, statuses)) + " |")
    print("|---|---|" + "--:|" * len(statuses))
    for label, kind in dict.fromkeys((label, kind) for label, kind, _ in answers):
        counts = " | ".join(f"{answers[label, kind, status]:,}" for status in statuses)
        print(f"| {label} | {kind.value} | {counts} |")
    print(f"\nfailed checks: {dict(findings.failures) or 'none'}")
    for text in findings.shown:
        print(text)


@contextmanager
def _serving(artifact: Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["-m", "service", "serve", "--artifact", str(artifact), "--port", str(port)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LACUNA_DEVICE": "cpu"}
    with subprocess.Popen(
        [sys.executable, *command], env=environment, stderr=subprocess.DEVNULL
    ) as process:
        server = Server(f"http://127.0.0.1:{port}", process)
        try:
            _wait_until_ready(server)
            yield server
        finally:
            process.send_signal(signal.SIGTERM)


def _wait_until_ready(server: Server) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and server.process.poll() is None:
        try:
            if requests.get(f"{server.url}/health/ready", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.1)
    raise TimeoutError("the server did not get ready")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fuzz", description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--examples", type=int, default=20_000, help="bodies to send, at least")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds that count as a hang")
    parser.add_argument("--seconds", type=float, default=7200.0, help="begin no round after that")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
