"""Where the figures of a report come from: what was judged, on what, by which command, on which machine."""

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from model.artifact import Artifact
from model.data.variables import Catalogue

_GIT_TIMEOUT_SECONDS = 10
_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """The machine, as far as it decides timings and last digits."""

    cpu: str
    num_cores: int
    num_torch_threads: int
    device: str


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Everything that a reader needs to obtain the same figures again.

    `catalogue` is the artifact's own: it says what the channels of the figures mean. `git_revision` is
    None outside a git checkout, and ends in "+changes" where files differ from the revision. `subjects`
    says who was judged and who was left out, `left_out` which values were; empty where there is
    nothing to say.
    """

    date: str
    command: str
    seed: int
    artifact_name: str
    artifact_version: str
    artifact_sha256: str
    data_name: str
    data_sha256: str
    subjects: str
    left_out: str
    git_revision: str | None
    python_version: str
    torch_version: str
    hardware: Hardware
    catalogue: Catalogue

    @property
    def judged(self) -> list[str]:
        """Whom the figures are about, as paragraphs: none where it is not known."""
        return [f"Judged on {self.subjects}."] * bool(self.subjects)

    @classmethod
    def collect(
        cls,
        *,
        artifact: Artifact,
        data_name: str,
        data_sha256: str,
        subjects: str = "",
        left_out: str = "",
        seed: int,
        command: Sequence[str],
        device: str = "cpu",
    ) -> "Provenance":
        """Look at the clock, the machine and the checkout.

        `command` holds the arguments after `python -m training`.
        """
        return cls(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            command=shlex.join(["python", "-m", "training", *command]),
            seed=seed,
            artifact_name=artifact.manifest.name,
            artifact_version=artifact.manifest.version,
            artifact_sha256=artifact.sha256,
            data_name=data_name,
            data_sha256=data_sha256,
            subjects=subjects,
            left_out=left_out,
            git_revision=_git_revision(),
            python_version=platform.python_version(),
            torch_version=torch.__version__,
            hardware=Hardware(
                cpu=_cpu_model(),
                num_cores=len(os.sched_getaffinity(0)),
                num_torch_threads=torch.get_num_threads(),
                device=_device_name(device),
            ),
            catalogue=artifact.catalogue,
        )

    def rows(self) -> tuple[tuple[str, str], ...]:
        """Return label and text of each fact, for a table."""
        hardware = self.hardware
        return (
            ("Date", self.date),
            ("Command", self.command),
            ("Seed", str(self.seed)),
            ("Artifact", f"{self.artifact_name} {self.artifact_version}"),
            ("Artifact sha256", self.artifact_sha256),
            ("Data", self.data_name),
            ("Data sha256", self.data_sha256),
            *([("Subjects", self.subjects)] if self.subjects else []),
            *([("Values", self.left_out)] if self.left_out else []),
            ("Code revision", self.git_revision or "not a git checkout"),
            ("Software", f"Python {self.python_version}, PyTorch {self.torch_version}"),
            (
                "Hardware",
                f"{hardware.cpu}, {hardware.num_cores} cores, "
                f"{hardware.num_torch_threads} PyTorch threads, device {hardware.device}",
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `metrics.json`."""
        facts = {name: value for name, value in vars(self).items() if name != "catalogue"}
        return {**facts, "hardware": vars(self.hardware)}


def _cpu_model() -> str:
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def _git_revision() -> str | None:
    """Return the revision of the checkout that this code runs from, None where there is none."""
    revision = _git("rev-parse", "--verify", "HEAD")
    if revision is None:
        return None
    return f"{revision}+changes" if _git("status", "--porcelain") else revision


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=_GIT_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
