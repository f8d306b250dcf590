"""A worker as a process: from the settings to an exit status."""

import logging
import os
import signal
import socket
import sys
import threading
import uuid
from functools import partial
from pathlib import Path
from types import FrameType

from service.jobs.filling.model_filler import ModelFiller
from service.jobs.folder import make_private
from service.jobs.ledger.database import Database, DatabaseAwayError, DatabaseError
from service.jobs.ledger.leases import Leases
from service.jobs.ledger.ledger import Ledger
from service.jobs.ledger.opening import database_url, jobs_dir_of
from service.jobs.retention import clean_up
from service.jobs.workers.worker import Worker, WorkerOptions
from service.registry.loading import open_as_set
from service.settings import Settings

_PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 1.0
_CLEANING_SECONDS = 3_600.0
_DAY_SECONDS = 86_400.0
_MAX_HOST_LENGTH = 255
_logger = logging.getLogger("service.jobs.workers.working")


def work(
    settings: Settings, stop: threading.Event, *, job_id: str | None = None, ends: bool = False
) -> None:
    """Work on the jobs of the settings until `stop`, or until nothing is left to do.

    A ledger that is away is waited for, at the start as well.

    Raises
    ------
    DatabaseError
        If the ledger can never be used as the settings have it.
    WorkerStalledError
        If a chunk took too long; the process must end by `stalls.end_process`.
    """
    jobs_dir = make_private(jobs_dir_of(settings))
    database = Database(database_url(settings), patience_seconds=_PATIENCE_SECONDS)
    if not _has_ledger(database, stop):
        return
    ledger = Ledger(database)
    leases = Leases(database, lease_seconds=settings.job_lease_seconds)
    opening = partial(open_as_set, settings=settings)
    host = socket.gethostname()[:_MAX_HOST_LENGTH]
    options = WorkerOptions(
        uuid.uuid4().hex,
        host,
        job_id=job_id,
        ends=ends,
        chunk_timeout_seconds=settings.job_chunk_timeout_seconds,
    )
    worker = Worker(ledger, leases, ModelFiller(jobs_dir, opening), jobs_dir, options)
    has_ended = threading.Event()
    cleaner = threading.Thread(
        target=_clean,
        args=(ledger, jobs_dir, settings.job_retention_days * _DAY_SECONDS, has_ended),
        name="cleaner",
        daemon=True,
    )
    cleaner.start()
    _logger.info("worker %s is ready", options.worker_id)
    try:
        worker.run(stop)
    finally:
        has_ended.set()
    # Not after a stall: the cleaner may wait for the same dead disk.
    cleaner.join()
    database.close()


def _has_ledger(database: Database, stop: threading.Event) -> bool:
    """Wait for the ledger, so that a restart of this process cannot help; False after `stop`."""
    while not stop.is_set():
        try:
            database.create_tables(patience_seconds=0)
        except DatabaseAwayError:
            stop.wait(_LOOK_SECONDS)
        else:
            return True
    return False


def _clean(
    ledger: Ledger, jobs_dir: Path, retention_seconds: float, has_ended: threading.Event
) -> None:
    while not has_ended.is_set():
        try:
            clean_up(ledger, jobs_dir, retention_seconds=retention_seconds)
        except (DatabaseError, OSError) as error:
            _logger.warning("old jobs could not be removed: %s", type(error).__name__)
        has_ended.wait(_CLEANING_SECONDS)


def stop_on_signals(stop: threading.Event, *, with_parent: bool) -> None:
    """Set `stop` at SIGTERM, SIGINT, or when standard input closes; a second signal ends at once."""

    def on_signal(_signal: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    if with_parent:
        threading.Thread(target=_wait_for_parent, args=(stop,), daemon=True).start()


def _wait_for_parent(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stop.set()
