"""Chunks on a Ray cluster: Ray places the workers, one on each GPU, and the ledger does the rest.

Ray has no part in durability: a cluster that is killed loses the chunks in hand, and the next run
goes on. Every machine needs the folder of the job, and a ledger that it can reach (PostgreSQL where
there is more than one). RAY_ADDRESS names the cluster; without it, one is started here, that listens
on the loopback interface alone, reports to nobody, and has little memory for objects: none passes.
"""

import os
import threading
from typing import Any, final

from service.jobs.workers.stalls import WorkerStalledError, end_process
from service.jobs.workers.working import work
from service.settings import Settings

_LOOK_SECONDS = 0.5
_OBJECT_STORE_BYTES = 100 * 2**20
# Ray reads them as it is imported. The first keeps it on the loopback interface; its name is of other
# systems, where this is the default.
_OWN_CLUSTER = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}


@final
class RayExecutor:
    """Works in `num_workers` tasks of a cluster, as many as it has room for at a time."""

    def __init__(self, settings: Settings, num_workers: int) -> None:
        self._settings = settings
        self._num_workers = num_workers

    def run(self, job_id: str, stop: threading.Event) -> None:
        """Let the cluster work until the job has ended."""
        ray = _connect()
        try:
            has_gpus = self._settings.device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0
            options = {"num_cpus": 1, "num_gpus": int(has_gpus), "max_retries": 3}
            task = ray.remote(**options)(_work_there)
            content = self._settings.model_dump_json()
            pending = [task.remote(content, job_id) for _ in range(self._num_workers)]
            while pending and not stop.is_set():
                ended, pending = ray.wait(pending, timeout=_LOOK_SECONDS)
                ray.get(ended)
        finally:
            ray.shutdown()


def _connect() -> Any:
    """Connect to the cluster that the environment names, or start one; return Ray's module."""
    is_own = os.environ.get("RAY_ADDRESS", "") in ("", "local")
    if is_own:
        os.environ.update(_OWN_CLUSTER)
    import ray  # noqa: PLC0415

    options = {"configure_logging": False, "log_to_driver": False, "include_dashboard": False}
    if is_own:
        ray.init("local", object_store_memory=_OBJECT_STORE_BYTES, **options)
    else:
        ray.init(**options)
    return ray


def _work_there(settings: str, job_id: str) -> None:
    try:
        work(Settings.model_validate_json(settings), threading.Event(), job_id=job_id, ends=True)
    except WorkerStalledError as error:
        end_process(error)
