"""Chunks and who works on them: claim, renew, publish, fail, release.

A claim raises the chunk's epoch. Whoever was cut off and wakes up holds an older one: what it tries
to publish changes no row, and its file is no part of the output. A worker that dies says nothing;
its lease ends, and the next claim takes the chunk.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from typing import Any, final

from sqlalchemy import Connection, insert, select, update

from service.jobs.ledger.database import Database
from service.jobs.ledger.holding import chunk_at, held_chunk, was_published
from service.jobs.ledger.journal import end, find_job, is_claimable, note, settle
from service.jobs.ledger.records import (
    UNFINISHED,
    Chunk,
    ChunkState,
    Failure,
    JobState,
    Lease,
    Part,
    Planned,
)
from service.jobs.ledger.tables import chunk, job, worker

JOB_PROTOCOL = 2
"""Raised when workers of two versions must not share a job; a job waits for one of its own."""

_MICROSECONDS = 1_000_000
_DIED = Failure(
    "worker_died",
    "every worker that took this chunk ended without a word; look for too little memory, then "
    "resume the job",
    is_permanent=True,
)


@final
class Leases:
    """What a worker asks of the ledger.

    Parameters
    ----------
    lease_seconds
        How long a chunk is kept for a worker that is not heard of.
    max_failures, max_deaths
        How often a chunk may fail, or end with its worker, before its job fails.
    """

    def __init__(
        self,
        database: Database,
        *,
        lease_seconds: float,
        max_failures: int = 3,
        max_deaths: int = 20,
        retry_seconds: float = 1.0,
    ) -> None:
        self._database = database
        self.lease_seconds = lease_seconds
        self._lease_us = int(lease_seconds * _MICROSECONDS)
        self._retry_us = int(retry_seconds * _MICROSECONDS)
        self._max_failures = max_failures
        self._max_deaths = max_deaths

    def claim(self, worker_id: str, *, job_id: str | None = None) -> Lease | None:
        """Take the next chunk, of any job or of one; None where there is nothing to do."""
        while True:
            candidate = self._database.read(lambda c: self._candidate(c, job_id))
            if candidate is None:
                return None
            lease = self._database.write(partial(self._claim, candidate, worker_id))
            if lease is not None:
                return lease

    def _candidate(self, connection: Connection, job_id: str | None) -> str | None:
        now_us = self._database.clock.now_us(connection)
        query = (
            select(chunk.c.job_id)
            .join(job, job.c.id == chunk.c.job_id)
            .where(job.c.state.in_(UNFINISHED), job.c.protocol == JOB_PROTOCOL)
            .where(is_claimable(now_us))
            .order_by(job.c.created_us, chunk.c.number)
            .limit(1)
        )
        if job_id is not None:
            query = query.where(job.c.id == job_id)
        return connection.scalar(query)

    def _claim(self, job_id: str, worker_id: str, connection: Connection) -> Lease | None:
        """Take the first chunk of a job; None where others took all in the meantime."""
        now_us = self._database.clock.now_us(connection)
        known = find_job(connection, job_id, locks=True)
        if known is None or known.state not in UNFINISHED:
            return None
        row = connection.execute(
            select(chunk)
            .where(chunk.c.job_id == job_id, is_claimable(now_us))
            .order_by(chunk.c.number)
            .limit(1)
        ).one_or_none()
        if row is None:
            return None
        num_deaths = row.num_deaths + (row.state == ChunkState.RUNNING)
        if num_deaths > self._max_deaths:
            end(connection, job_id, now_us, JobState.FAILED, _DIED)
            return None
        connection.execute(
            chunk_at(job_id, row.number).values(
                state=ChunkState.RUNNING,
                epoch=row.epoch + 1,
                num_deaths=num_deaths,
                worker_id=worker_id,
                lease_until_us=now_us + self._lease_us,
                started_us=now_us,
            )
        )
        if known.state == JobState.QUEUED:
            _start(connection, job_id, now_us)
        planned = Chunk(row.number, row.num_subjects, row.num_rows, row.sha256)
        return Lease(known, planned, row.epoch + 1)

    def renew(self, leases: Iterable[Lease]) -> set[tuple[str, int, int]]:
        """Extend leases; return the keys of those that are still held."""

        def extend(connection: Connection) -> set[tuple[str, int, int]]:
            until_us = self._database.clock.now_us(connection) + self._lease_us
            return {
                lease.key
                for lease in sorted(held, key=lambda one: one.key)
                if connection.execute(held_chunk(lease).values(lease_until_us=until_us)).rowcount
            }

        held = list(leases)
        return self._database.write(extend) if held else set()

    def publish(self, lease: Lease, part: Part) -> bool:
        """Enter a finished chunk; False where the lease was lost, and nothing is entered."""

        def enter(connection: Connection, now_us: int) -> bool:
            done = held_chunk(lease).values(
                state=ChunkState.DONE,
                lease_until_us=None,
                error_code=None,
                part=part.name,
                part_sha256=part.sha256,
                part_bytes=part.num_bytes,
                num_filled_rows=part.num_filled_rows,
                num_abstained=part.num_abstained,
                num_quarantined=part.num_quarantined,
                num_dropped=part.num_dropped,
                account=part.account.text(),
                ended_us=now_us,
            )
            if not connection.execute(done).rowcount:
                return was_published(connection, lease)
            note(connection, lease.job.id, "chunk", now_us)
            settle(connection, lease.job.id, now_us)
            return True

        return self._on_job(lease, enter)

    def note_read(self, lease: Lease, num_rows: int) -> bool:
        """Enter how many rows of the input are read; False where the lease was lost."""

        def enter(connection: Connection, now_us: int) -> bool:
            is_held = bool(connection.execute(held_chunk(lease).values(num_rows=num_rows)).rowcount)
            if is_held:
                note(connection, lease.job.id, "read", now_us)
            return is_held

        return self._on_job(lease, enter)

    def publish_plan(self, lease: Lease, plan: str, planned: Planned) -> bool:
        """Enter the chunks that a plan, a folder in that of the job, consists of."""

        def enter(connection: Connection, now_us: int) -> bool:
            done = held_chunk(lease).values(
                state=ChunkState.DONE,
                lease_until_us=None,
                error_code=None,
                account=planned.account.text(),
                ended_us=now_us,
            )
            if not connection.execute(done).rowcount:
                return was_published(connection, lease)
            known = select(chunk.c.number).where(chunk.c.job_id == lease.job.id)
            done_before = set(connection.scalars(known))
            rows = [
                _row(lease.job.id, one) for one in planned.chunks if one.index not in done_before
            ]
            if rows:
                connection.execute(insert(chunk), rows)
            connection.execute(update(job).where(job.c.id == lease.job.id).values(plan=plan))
            note(connection, lease.job.id, "planned", now_us)
            settle(connection, lease.job.id, now_us)
            return True

        return self._on_job(lease, enter)

    def fail(self, lease: Lease, failure: Failure) -> None:
        """Have a chunk tried again later, or fail its job. A lost lease changes nothing."""

        def enter(connection: Connection, now_us: int) -> bool:
            row = connection.execute(
                held_chunk(lease)
                .values(
                    state=ChunkState.PENDING,
                    worker_id=None,
                    lease_until_us=None,
                    num_failures=chunk.c.num_failures + 1,
                    error_code=failure.code,
                )
                .returning(chunk.c.num_failures)
            ).one_or_none()
            if row is None:
                return False
            if failure.is_permanent or row.num_failures >= self._max_failures:
                end(connection, lease.job.id, now_us, JobState.FAILED, failure)
                return True
            wait_us = self._retry_us * 2 ** (row.num_failures - 1)
            waiting = chunk_at(lease.job.id, lease.chunk.index)
            connection.execute(waiting.values(not_before_us=now_us + wait_us))
            note(connection, lease.job.id, "retry", now_us)
            return True

        self._on_job(lease, enter)

    def release(self, lease: Lease) -> None:
        """Give a chunk back that was not finished, at once and without blame."""

        def enter(connection: Connection, _now_us: int) -> bool:
            given_back = held_chunk(lease).values(
                state=ChunkState.PENDING, worker_id=None, lease_until_us=None
            )
            return bool(connection.execute(given_back).rowcount)

        self._on_job(lease, enter)

    def greet(self, worker_id: str, host: str) -> None:
        """Say that a worker is alive."""

        def enter(connection: Connection) -> None:
            now_us = self._database.clock.now_us(connection)
            known = update(worker).where(worker.c.id == worker_id).values(heartbeat_us=now_us)
            if not connection.execute(known).rowcount:
                new = {"host": host, "protocol": JOB_PROTOCOL, "started_us": now_us}
                connection.execute(insert(worker).values(id=worker_id, heartbeat_us=now_us, **new))

        self._database.write(enter)

    def _on_job(self, lease: Lease, enter: "_Entry") -> bool:
        """Run an entry that changes a chunk, with its job locked."""

        def work(connection: Connection) -> bool:
            find_job(connection, lease.job.id, locks=True)
            return enter(connection, self._database.clock.now_us(connection))

        return self._database.write(work)


_Entry = Callable[[Connection, int], bool]


def _start(connection: Connection, job_id: str, now_us: int) -> None:
    connection.execute(
        update(job)
        .where(job.c.id == job_id)
        .values(state=JobState.RUNNING, started_us=now_us, ended_us=None)
    )
    note(connection, job_id, "state", now_us)


def _row(job_id: str, planned: Chunk) -> dict[str, Any]:
    values = {**asdict(planned), "job_id": job_id, "state": ChunkState.PENDING}
    return {**values, "number": values.pop("index")}
