"""Worker processes: one that dies is replaced, and none outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from service.jobs.workers.processes import WorkerProcesses
from service.settings import Settings

WAIT_SECONDS = 120.0

PARENT = """
import sys, time
from pathlib import Path
from service.jobs.workers.processes import WorkerProcesses
from service.settings import Settings

processes = WorkerProcesses(Settings(jobs_dir=Path(sys.argv[1])), 1)
processes.start()
while not processes.process_ids:
    time.sleep(0.01)
print(processes.process_ids[0], flush=True)
time.sleep(1000)
"""


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


def test_a_worker_that_is_killed_is_replaced_until_all_are_stopped(tmp_path: Path) -> None:
    processes = WorkerProcesses(Settings(jobs_dir=tmp_path / "jobs"), 2)
    processes.start()
    try:
        wait_until(lambda: len(processes.process_ids) == 2)
        victim, other = processes.process_ids
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len({*processes.process_ids} - {victim}) == 2)
        assert other in processes.process_ids
    finally:
        processes.stop()
    assert processes.process_ids == []
    assert not processes.is_running


def test_a_worker_that_cannot_start_is_given_up(tmp_path: Path) -> None:
    settings = Settings(jobs_dir=tmp_path / "jobs", jobs_database_url="nonsense")
    processes = WorkerProcesses(settings, 1, max_restarts=1)
    processes.start()
    wait_until(lambda: not processes.is_running)
    processes.stop()


def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    words = [sys.executable, "-c", PARENT, str(tmp_path / "jobs")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
    wait_until(lambda: not is_alive(worker))
