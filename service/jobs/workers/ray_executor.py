"""Chunks on a Ray cluster: Ray places the workers, one on each GPU, and the ledger does the rest.

Ray has no part in durability: a cluster that is killed loses the chunks in hand, and the next run
goes on. Every machine needs the folder of the job, and a ledger that it can reach (PostgreSQL where
there is more than one). RAY_ADDRESS names the cluster; without it, one is started here.
"""

import threading
from typing import final

import ray

from service.jobs.workers.stalls import WorkerStalledError, end_process
from service.jobs.workers.working import work
from service.settings import Settings

_LOOK_SECONDS = 0.5


@final
class RayExecutor:
    """Works in `num_workers` tasks of a cluster, as many as it has room for at a time."""

    def __init__(self, settings: Settings, num_workers: int) -> None:
        self._settings = settings
        self._num_workers = num_workers

    def run(self, job_id: str, stop: threading.Event) -> None:
        """Let the cluster work until the job has ended."""
        ray.init(configure_logging=False, log_to_driver=False, include_dashboard=False)
        try:
            num_gpus = 0 if self._settings.device == "cpu" else int(_has_gpus())
            task = ray.remote(num_cpus=1, num_gpus=num_gpus, max_retries=3)(_work_there)
            content = self._settings.model_dump_json()
            pending = [task.remote(content, job_id) for _ in range(self._num_workers)]
            while pending and not stop.is_set():
                ended, pending = ray.wait(pending, timeout=_LOOK_SECONDS)
                ray.get(ended)
        finally:
            ray.shutdown()


def _has_gpus() -> bool:
    return ray.cluster_resources().get("GPU", 0) > 0


def _work_there(settings: str, job_id: str) -> None:
    try:
        work(Settings.model_validate_json(settings), threading.Event(), job_id=job_id, ends=True)
    except WorkerStalledError as error:
        end_process(error)
