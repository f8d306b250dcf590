"""Jobs as a client sees them: enter, find, watch, cancel, resume, delete."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from typing import Any, final

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from service.jobs.account import Account
from service.jobs.ledger.database import Database
from service.jobs.ledger.journal import (
    RECORD_COLUMNS,
    end,
    find_job,
    job_record,
    note,
    settle,
    take_leases_back,
)
from service.jobs.ledger.leases import JOB_PROTOCOL
from service.jobs.ledger.progress import progress
from service.jobs.ledger.records import (
    UNFINISHED,
    ChunkRecord,
    ChunkState,
    EventRecord,
    JobRecord,
    JobState,
    Page,
    Part,
    Progress,
    Submission,
)
from service.jobs.ledger.tables import PLAN, chunk, event, job, worker

_ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
_MICROSECONDS = 1_000_000


@final
class Ledger:
    """What the server and the command line ask of the ledger.

    >>> database = Database(f"sqlite:///{folder / 'ledger.sqlite'}", patience_seconds=1)
    >>> database.create_tables()
    >>> ledger = Ledger(database)
    >>> entered = ledger.submit(Submission("1", "{}", "input/input", "a", "icu", "3", "b"))
    >>> entered.state.value, ledger.num_unfinished()
    ('queued', 1)
    >>> database.close()
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, submission: Submission) -> JobRecord:
        """Enter a job, or return the one that was entered with the same idempotency key."""

        def enter(connection: Connection) -> JobRecord:
            known = self._same_key(connection, submission)
            if known is not None:
                return known
            now_us = self._database.clock.now_us(connection)
            row = {"state": JobState.QUEUED, "protocol": JOB_PROTOCOL, "created_us": now_us}
            connection.execute(insert(job).values(**asdict(submission), **row))
            connection.execute(
                insert(chunk).values(job_id=submission.id, number=PLAN, state=ChunkState.PENDING)
            )
            note(connection, submission.id, "state", now_us)
            return _existing(connection, submission.id)

        return self._database.write(enter)

    def _same_key(self, connection: Connection, submission: Submission) -> JobRecord | None:
        """Find the job with this key, or with this id: entered by an attempt whose answer was lost."""
        same: ColumnElement[bool] = job.c.id == submission.id
        if submission.idempotency_key is not None:
            same = same | (job.c.idempotency_key == submission.idempotency_key)
        row = connection.execute(select(*RECORD_COLUMNS).where(same)).one_or_none()
        return None if row is None else job_record(row)

    def find(self, job_id: str) -> JobRecord | None:
        """Return a job, or a tombstone."""
        return self._database.read(lambda connection: find_job(connection, job_id))

    def list_jobs(
        self, *, limit: int, state: JobState | None = None, before_us: int | None = None
    ) -> Page:
        """Return jobs, newest first; tombstones only where they are asked for."""
        query = select(*RECORD_COLUMNS).order_by(job.c.created_us.desc(), job.c.id).limit(limit + 1)
        if state is None:
            query = query.where(job.c.state != JobState.DELETED)
        else:
            query = query.where(job.c.state == state)
        if before_us is not None:
            query = query.where(job.c.created_us < before_us)
        found = self._database.read(
            lambda connection: [job_record(row) for row in connection.execute(query)]
        )
        more = len(found) > limit
        return Page(found[:limit], found[limit - 1].created_us if more else None)

    def num_unfinished(self) -> int:
        """Return how many jobs wait or run."""
        query = select(func.count()).where(job.c.state.in_(UNFINISHED))
        return self._database.read(lambda connection: connection.scalar(query)) or 0

    def num_live_workers(self, *, within_seconds: float) -> int:
        """Return how many workers were heard of lately."""

        def count(connection: Connection) -> int:
            since_us = self._database.clock.now_us(connection) - int(within_seconds * _MICROSECONDS)
            query = select(func.count()).where(worker.c.heartbeat_us >= since_us)
            return connection.scalar(query) or 0

        return self._database.read(count)

    def progress(self, job_id: str) -> Progress:
        """Return how far a job is."""
        return self._database.read(
            lambda connection: progress(connection, job_id, self._database.clock.now_us(connection))
        )

    def chunks(
        self, job_id: str, *, after: int = PLAN, limit: int | None = None
    ) -> Sequence[ChunkRecord]:
        """Return the chunks of a job after an index, in order, without the plan."""
        query = (
            select(chunk)
            .where(chunk.c.job_id == job_id, chunk.c.number > after)
            .order_by(chunk.c.number)
            .limit(limit)
        )
        return self._database.read(
            lambda connection: [_chunk_record(row) for row in connection.execute(query)]
        )

    def account(self, job_id: str) -> Account:
        """Return what became of the rows of a job so far: those of its plan, and of its done chunks."""
        query = select(chunk.c.account).where(
            chunk.c.job_id == job_id, chunk.c.state == ChunkState.DONE
        )
        texts = self._database.read(lambda connection: connection.scalars(query).all())
        return Account.total(map(Account.of_text, texts))

    def events(self, job_id: str, *, after: int, limit: int = 1_000) -> Sequence[EventRecord]:
        """Return what happened to a job after the event of a number, in order."""
        query = (
            select(event.c.number, event.c.kind, event.c.at_us, event.c.content)
            .where(event.c.job_id == job_id, event.c.number > after)
            .order_by(event.c.number)
            .limit(limit)
        )
        return self._database.read(
            lambda connection: [EventRecord(*row) for row in connection.execute(query)]
        )

    def cancel(self, job_id: str) -> JobRecord | None:
        """Stop a job; what is finished stays. A job that has ended is returned as it is."""

        def change(connection: Connection, known: JobRecord, now_us: int) -> None:
            if known.state in UNFINISHED:
                end(connection, job_id, now_us, JobState.CANCELLED)

        return self._change(job_id, change)

    def resume(self, job_id: str) -> JobRecord | None:
        """Set a failed or cancelled job going again where it stood; another is returned as it is."""

        def change(connection: Connection, known: JobRecord, now_us: int) -> None:
            if known.state not in (JobState.FAILED, JobState.CANCELLED):
                return
            connection.execute(
                update(job)
                .where(job.c.id == job_id)
                .values(
                    state=JobState.QUEUED,
                    started_us=None,
                    ended_us=None,
                    error_code=None,
                    error_detail=None,
                )
            )
            take_leases_back(connection, job_id)
            connection.execute(
                update(chunk)
                .where(chunk.c.job_id == job_id, chunk.c.state != ChunkState.DONE)
                .values(num_failures=0, num_deaths=0, not_before_us=0, error_code=None)
            )
            note(connection, job_id, "state", now_us)
            settle(connection, job_id, now_us)

        return self._change(job_id, change)

    def redo(self, job_id: str, lost: Collection[int]) -> JobRecord | None:
        """Have chunks filled again whose output was lost; the plan is made again for them.

        The same input gives the same chunks, so the others stay as they are.
        """

        def change(connection: Connection, _known: JobRecord, now_us: int) -> None:
            take_leases_back(connection, job_id)
            own = chunk.c.job_id == job_id
            undone = chunk.c.number.in_(lost) | (chunk.c.state != ChunkState.DONE)
            connection.execute(delete(chunk).where(own, chunk.c.number > PLAN, undone))
            planned = {"state": ChunkState.PENDING, "num_rows": 0, "not_before_us": 0}
            connection.execute(update(chunk).where(own, chunk.c.number == PLAN).values(**planned))
            connection.execute(
                update(job)
                .where(job.c.id == job_id)
                .values(state=JobState.QUEUED, plan=None, started_us=None, ended_us=None)
            )
            note(connection, job_id, "state", now_us)

        return self._change(job_id, change)

    def bury(self, job_id: str) -> JobRecord | None:
        """Make a job a tombstone, whatever it does. Its files are the caller's to remove."""

        def change(connection: Connection, known: JobRecord, now_us: int) -> None:
            if known.state == JobState.DELETED:
                return
            connection.execute(
                update(job).where(job.c.id == job_id).values(idempotency_key=None, source="")
            )
            end(connection, job_id, now_us, JobState.DELETED)

        return self._change(job_id, change)

    def ended_before(self, *, age_seconds: float) -> Sequence[str]:
        """Return the jobs that ended longer ago than this."""

        def find(connection: Connection) -> Sequence[str]:
            until_us = self._database.clock.now_us(connection) - int(age_seconds * _MICROSECONDS)
            query = select(job.c.id).where(job.c.state.in_(_ENDED), job.c.ended_us < until_us)
            return connection.scalars(query).all()

        return self._database.read(find)

    def artifacts_in_use(self) -> set[str]:
        """Return the sha256 of every artifact that a job which is not deleted began with."""
        query = select(job.c.artifact_sha256).where(job.c.state != JobState.DELETED).distinct()
        return self._database.read(lambda connection: set(connection.scalars(query)))

    def _change(self, job_id: str, change: "_Change") -> JobRecord | None:
        """Change a job with its row locked; return it as it is then, None where there is none."""

        def work(connection: Connection) -> JobRecord | None:
            known = find_job(connection, job_id, locks=True)
            if known is None:
                return None
            change(connection, known, self._database.clock.now_us(connection))
            return _existing(connection, job_id)

        return self._database.write(work)


_Change = Callable[[Connection, JobRecord, int], None]


def _existing(connection: Connection, job_id: str) -> JobRecord:
    found = find_job(connection, job_id)
    assert found is not None
    return found


def _chunk_record(row: Row[Any]) -> ChunkRecord:
    part = Part(
        row.part or "",
        row.part_sha256 or "",
        row.part_bytes,
        row.num_filled_rows,
        row.num_abstained,
        row.num_quarantined,
        row.num_dropped,
        Account.of_text(row.account),
    )
    return ChunkRecord(
        index=row.number,
        state=ChunkState(row.state),
        epoch=row.epoch,
        num_failures=row.num_failures,
        num_deaths=row.num_deaths,
        worker_id=row.worker_id,
        num_subjects=row.num_subjects,
        num_rows=row.num_rows,
        sha256=row.sha256,
        error_code=row.error_code,
        part=part if row.part else None,
        started_us=row.started_us,
        ended_us=row.ended_us,
    )
