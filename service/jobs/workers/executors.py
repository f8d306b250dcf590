"""Where the chunks of one job are worked on: here, in processes, or on a Ray cluster.

All claim from the same ledger and publish into the same folder, so a job may be killed under one
executor and finished by another.
"""

import threading
from typing import Literal, Protocol, final

from service.jobs.workers.processes import WorkerProcesses
from service.jobs.workers.working import work
from service.settings import Settings

_LOOK_SECONDS = 0.2
_MAX_RESTARTS = 5


class Executor(Protocol):
    """Works on a job until it has ended, or until it is to stop."""

    def run(self, job_id: str, stop: threading.Event) -> None:
        """Return when the job has ended; after `stop` sooner, with nothing lost."""
        ...


def make_executor(
    name: Literal["local", "process", "ray"], settings: Settings, *, num_workers: int
) -> Executor:
    """Make an executor for the jobs folder and the ledger of the settings."""
    if name == "process":
        return ProcessExecutor(settings, num_workers)
    if name == "ray":
        # Ray is optional.
        from service.jobs.workers.ray_executor import RayExecutor  # noqa: PLC0415

        return RayExecutor(settings, num_workers)
    return LocalExecutor(settings)


@final
class LocalExecutor:
    """Works in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def run(self, job_id: str, stop: threading.Event) -> None:
        """Work until the job has ended."""
        work(self._settings, stop, job_id=job_id, ends=True)


@final
class ProcessExecutor:
    """Works in processes of its own; one that dies is replaced."""

    def __init__(self, settings: Settings, num_workers: int) -> None:
        self._settings = settings
        self._num_workers = num_workers

    def run(self, job_id: str, stop: threading.Event) -> None:
        """Let the processes work until the job has ended."""
        arguments = ("--job", job_id, "--until-idle")
        processes = WorkerProcesses(
            self._settings, self._num_workers, *arguments, max_restarts=_MAX_RESTARTS
        )
        processes.start()
        try:
            while not stop.is_set() and processes.is_running:
                stop.wait(_LOOK_SECONDS)
        finally:
            processes.stop()
