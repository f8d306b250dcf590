"""Runs the public commands as a user does: another process, an exit status, what it printed."""

import os
import socket
import subprocess
import sys
from pathlib import Path

TIMEOUT_SECONDS = 300


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `python -m ARGUMENTS` in a folder and return its result, whatever its exit status."""
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "1"},
    )


def succeed(*arguments: str | Path, cwd: Path) -> str:
    """Run a command that must end with status 0; return what it printed."""
    result = run(*arguments, cwd=cwd)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
