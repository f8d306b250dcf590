"""`python -m service serve` as a process of its own, with the settings that a test names."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.end_to_end.commands import free_port

_START_SECONDS = 120.0
_END_SECONDS = 60.0


@dataclass(frozen=True)
class ServerProcess:
    """A running server. `log` is the file that it writes its lines to."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def terminate(self) -> None:
        """Send the stop signal."""
        self.process.send_signal(signal.SIGTERM)

    def exit_status(self) -> int:
        """Wait for the end."""
        return self.process.wait(timeout=_END_SECONDS)

    def resident_mib(self) -> float:
        """Return the memory that it holds."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8").splitlines()
        (line,) = [one for one in lines if one.startswith("VmRSS")]
        return int(line.split()[1]) / 1024

    def model_process_id(self) -> int:
        """Return the process that has the model, by the last line of the log that names one."""
        lines = self.log.read_text(encoding="utf-8")
        return int(re.findall(r"process (\d+) has the model", lines)[-1])

    def error_lines(self) -> list[str]:
        """Return what the server complains about in its log."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if " ERROR " in line or "Traceback" in line]


@contextmanager
def server_process(
    artifact: Path, log: Path, *, python: Sequence[str] = (sys.executable,), **settings: object
) -> Iterator[ServerProcess]:
    """Start a server, wait until it is ready, and end it, if it has not ended."""
    port = free_port()
    named = {f"LACUNA_{name.upper()}": str(value) for name, value in settings.items()}
    command = [*python, "-m", "service", "serve", "--device", "cpu"]
    with (
        log.open("wb") as lines,
        subprocess.Popen(
            [*command, "--artifact", str(artifact), "--port", str(port)],
            cwd=REPOSITORY,
            env={**os.environ, "OMP_NUM_THREADS": "1", **named},
            stderr=lines,
            stdout=lines,
        ) as process,
    ):
        server = ServerProcess(process, port, log)
        try:
            _wait_until_ready(server)
            yield server
        finally:
            process.kill()


def _wait_until_ready(server: ServerProcess) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.log.read_text(encoding="utf-8")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/health/ready", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise TimeoutError(server.log.read_text(encoding="utf-8"))
