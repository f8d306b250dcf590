"""Where and with what the figures were measured."""

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Environment:
    """The provenance of one run. `placement`: which cores and threads were used."""

    command: str
    placement: str
    packages: tuple[str, ...]
    date: datetime
    revision: str

    @classmethod
    def look(
        cls, module: str, arguments: Sequence[str], *, placement: str, packages: Sequence[str]
    ) -> "Environment":
        """Note the clock and the checkout; `arguments` are those after the module's name."""
        command = shlex.join(["python", "-m", module, *arguments])
        return cls(command, placement, tuple(packages), datetime.now(UTC), _revision())

    def __str__(self) -> str:
        """Return a Markdown list."""
        versions = ", ".join(f"{name} {_version(name)}" for name in self.packages)
        facts = {
            "Date": self.date.isoformat(timespec="seconds"),
            "Command": self.command,
            "Seed": "0",
            "Code revision": self.revision,
            "Software": f"Python {platform.python_version()}, {versions}",
            "Hardware": f"{_cpu_model()}, {os.cpu_count()} cores, {self.placement}",
            "Load": f"{os.getloadavg()[1]:.1f} on {os.cpu_count()} cores, five minutes' mean",
        }
        lines = [f"- {name}: `{fact}`" for name, fact in facts.items()]
        return "## Provenance\n\n" + "\n".join(lines) + "\n"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _cpu_model() -> str:
    lines = _CPUINFO.read_text(encoding="utf-8").splitlines() if _CPUINFO.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _revision() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changes = "+changes" if git("status", "--porcelain") else ""
        return git("rev-parse", "--verify", "HEAD") + changes
    except (OSError, subprocess.SubprocessError):
        return "not a git checkout"
