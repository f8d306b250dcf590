"""Jobs while the server runs: the ledger, and worker processes of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.jobs.ledger.opening import Jobs, open_jobs
from service.jobs.workers.processes import WorkerProcesses
from service.settings import Settings


@asynccontextmanager
async def running_jobs(settings: Settings) -> AsyncIterator[Jobs | None]:
    """Open the ledger and run workers while the block runs; None where there are no jobs."""
    jobs = await asyncio.to_thread(open_jobs, settings)
    if jobs is None:
        yield None
        return
    workers = WorkerProcesses(settings, settings.job_workers)
    workers.start()
    try:
        yield jobs
    finally:
        await asyncio.to_thread(workers.stop)
        jobs.database.close()
