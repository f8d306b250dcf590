"""A server with all its processes: what they cost, and on which core they run."""

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_KIB = resource.getpagesize() // 1024
SERVER_CORE = 0
CLIENT_CORE = 1


@dataclass(frozen=True)
class ProcessTree:
    """A process and everything that it has started."""

    pid: int

    @property
    def cpu_seconds(self) -> float:
        """Processor time so far; a process that has ended in between counts no more."""
        return sum(_ticks(pid) for pid in self._pids()) / _TICKS

    @property
    def resident_mib(self) -> float:
        """Resident memory; what processes share is counted once, by their shares of it."""
        return sum(_kib(pid) for pid in self._pids()) / 1024

    def _pids(self) -> Iterator[int]:
        yield self.pid
        for tasks in Path(f"/proc/{self.pid}/task").glob("*/children"):
            for child in tasks.read_text().split():
                yield from ProcessTree(int(child))._pids()


def pin(pid: int, core: int) -> None:
    """Keep a process, and what it starts from now on, on one core.

    Raises
    ------
    SystemExit
        If this machine lets us use fewer than two cores.
    """
    allowed = sorted(os.sched_getaffinity(0) | {SERVER_CORE, CLIENT_CORE})
    if (os.cpu_count() or 1) < 2:
        raise SystemExit(f"--pin needs two cores; found {allowed}: leave it out")
    os.sched_setaffinity(pid, {core})


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def _kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_KIB
