"""The servers: how each is started. All get one thread for their arithmetic."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.serve.processes import SERVER_CORE, ProcessTree, pin

_START_SECONDS = 120.0


@dataclass(frozen=True)
class Contender:
    """A server: what it is, the arguments of Python that start it, and its own environment."""

    about: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


_LITSERVE = "our predictor (onnx), reading and answer form: one HTTP process, one worker, batches of up to 32"
_OURS = ("-m", "service", "serve", "--artifact", "{artifact}", "--port", "{port}")
CONTENDERS: Mapping[str, Contender] = {
    "ours": Contender("this server: a process for HTTP, one for the model", _OURS),
    "ours-in-one": Contender(
        "this server, all in one process", _OURS, {"LACUNA_MODEL_PROCESS": "false"}
    ),
    "naive": Contender(
        "FastAPI with typed models and eager PyTorch, one process",
        ("-m", "tests.benchmarks.serve.naive", "{artifact}", "{port}"),
    ),
    "litserve": Contender(
        f"LitServe with {_LITSERVE} gathered for 1 ms",
        ("-m", "tests.benchmarks.serve.litserve_peer", "{artifact}", "{port}", "1"),
    ),
    "litserve-10ms": Contender(
        f"LitServe with {_LITSERVE} gathered for 10 ms",
        ("-m", "tests.benchmarks.serve.litserve_peer", "{artifact}", "{port}", "10"),
    ),
}


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    processes: ProcessTree


@contextmanager
def serving(name: str, artifact: Path, *, is_pinned: bool) -> Iterator[Server]:
    """Start a server, wait until it is ready, and end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [one.format(artifact=artifact, port=port) for one in CONTENDERS[name].arguments]
    own = CONTENDERS[name].environment
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LACUNA_DEVICE": "cpu", **own}
    # A group of its own: LitServe's children outlive their parent.
    with subprocess.Popen(
        [sys.executable, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        if is_pinned:
            pin(process.pid, SERVER_CORE)
        try:
            _wait_until_ready(process, port)
            yield Server(port, ProcessTree(process.pid))
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"the server ended with status {process.returncode} while starting")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready"):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise TimeoutError("the server did not get ready")
