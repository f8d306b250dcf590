"""Workers as processes of their own, watched over: one that dies is replaced.

A worker stops when the pipe to its parent closes, so that none outlives a parent that was killed.
The URL of the ledger goes by the environment, where other accounts do not see it.
"""

import logging
import os
import subprocess
import sys
import threading
from typing import final

from service.jobs.ledger.opening import database_url, jobs_dir_of
from service.settings import Settings

_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 60.0
_logger = logging.getLogger("service.jobs.workers.processes")


@final
class WorkerProcesses:
    """Runs `num_workers` processes until stopped, or until they end by themselves.

    Each is replaced up to `max_restarts` times, or for ever.
    """

    def __init__(
        self,
        settings: Settings,
        num_workers: int,
        *arguments: str,
        max_restarts: int | None = None,
    ) -> None:
        self._settings = settings
        self._max_restarts = max_restarts
        self._arguments = arguments
        self._is_stopping = threading.Event()
        self._lock = threading.Lock()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._threads = [
            threading.Thread(target=self._watch, args=(number,), name=f"worker-{number}")
            for number in range(num_workers)
        ]

    def start(self) -> None:
        """Start the processes."""
        for thread in self._threads:
            thread.start()

    @property
    def is_running(self) -> bool:
        """Whether some process has not ended by itself."""
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Have every process finish its chunk, and end; kill what takes too long."""
        with self._lock:
            self._is_stopping.set()
            running = list(self._processes.values())
        for process in running:
            process.terminate()
        for thread in self._threads:
            thread.join(self._settings.shutdown_seconds)
        for process in running:
            if process.poll() is None:
                process.kill()
        for thread in self._threads:
            thread.join()

    @property
    def process_ids(self) -> list[int]:
        """The processes that run now."""
        with self._lock:
            return [process.pid for process in self._processes.values() if process.poll() is None]

    def _watch(self, number: int) -> None:
        wait_seconds = _FIRST_WAIT_SECONDS
        num_restarts = 0
        while (process := self._start(number)) is not None:
            code = process.wait()
            if process.stdin is not None:
                process.stdin.close()
            if code == 0 or self._is_stopping.is_set() or num_restarts == self._max_restarts:
                return
            num_restarts += 1
            _logger.error("worker %d ended with status %d; starting another", number, code)
            self._is_stopping.wait(wait_seconds)
            wait_seconds = min(2 * wait_seconds, _LONGEST_WAIT_SECONDS)

    def _start(self, number: int) -> "subprocess.Popen[bytes] | None":
        words = [sys.executable, "-m", "service", "worker", "--with-parent", *self._arguments]
        with self._lock:
            if self._is_stopping.is_set():
                return None
            self._processes[number] = subprocess.Popen(
                words, stdin=subprocess.PIPE, env=_environment(self._settings)
            )
            return self._processes[number]


def _environment(settings: Settings) -> dict[str, str]:
    chosen = {
        "LACUNA_JOBS_DIR": str(jobs_dir_of(settings)),
        "LACUNA_JOBS_DATABASE_URL": database_url(settings),
        "LACUNA_JOB_LEASE_SECONDS": str(settings.job_lease_seconds),
        "LACUNA_JOB_CHUNK_TIMEOUT_SECONDS": str(settings.job_chunk_timeout_seconds),
        "LACUNA_JOB_RETENTION_DAYS": str(settings.job_retention_days),
        "LACUNA_BACKEND": settings.backend,
        "LACUNA_DEVICE": settings.device,
        "LACUNA_NUM_THREADS": str(settings.num_threads),
    }
    return {**os.environ, **chosen}
