"""Jobs while the server runs: the ledger, and worker processes of its own.

The server serves predictions whether the database of the ledger answers or not. While it does not,
a thread asks it again and again, and requests about jobs are refused without asking.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.jobs.ledger.database import Database, DatabaseAwayError, DatabaseError
from service.jobs.ledger.opening import Jobs, open_jobs
from service.jobs.workers.processes import WorkerProcesses
from service.settings import Settings

_LOOK_SECONDS = 1.0
_logger = logging.getLogger("service.jobs.serving")


@asynccontextmanager
async def running_jobs(settings: Settings) -> AsyncIterator[Jobs | None]:
    """Open the ledger and run workers while the block runs; None where there are no jobs."""
    jobs = await asyncio.to_thread(open_jobs, settings)
    if jobs is None:
        yield None
        return
    workers = WorkerProcesses(settings, settings.job_workers)
    has_ended = threading.Event()
    # Nobody waits for its end: a connection to a host that is silent takes its time.
    keeper = threading.Thread(
        target=_keep_usable, args=(jobs.database, has_ended), name="ledger-keeper", daemon=True
    )
    workers.start()
    keeper.start()
    try:
        yield jobs
    finally:
        has_ended.set()
        await asyncio.to_thread(workers.stop)
        jobs.database.close()


def _keep_usable(database: Database, has_ended: threading.Event) -> None:
    said = ""
    while not has_ended.wait(_LOOK_SECONDS):
        if database.is_usable:
            continue
        try:
            database.create_tables(patience_seconds=0)
        except DatabaseAwayError:
            continue  # the log has it
        except DatabaseError as error:
            if str(error) != said:
                said = str(error)
                _logger.error("%s", said)
