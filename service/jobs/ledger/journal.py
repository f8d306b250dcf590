"""What every change of a job does in its transaction: lock it, note the event, see if it has ended.

All changes of a job and of its chunks hold the lock of its row. So events are numbered in the order
in which they become visible, and nobody misses one who asks for those after a number.
"""

from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update

from service.jobs.ledger.progress import progress
from service.jobs.ledger.records import ChunkState, Failure, JobRecord, JobState, Progress
from service.jobs.ledger.tables import chunk, event, job
from service.serialization import to_bytes

RECORD_COLUMNS = [job.c[field.name] for field in fields(JobRecord)]


def job_record(row: Row[Any]) -> JobRecord:
    """Turn a row of the job table into a record."""
    values = {field.name: getattr(row, field.name) for field in fields(JobRecord)}
    return JobRecord(**{**values, "state": JobState(row.state)})


def find_job(connection: Connection, job_id: str, *, locks: bool = False) -> JobRecord | None:
    """Return a job; with `locks` nobody else changes it until the transaction ends."""
    query = select(*RECORD_COLUMNS).where(job.c.id == job_id)
    row = connection.execute(query.with_for_update() if locks else query).one_or_none()
    return None if row is None else job_record(row)


def note(connection: Connection, job_id: str, kind: str, now_us: int) -> Progress:
    """Add an event that holds the state and the progress of the job. Its row must be locked."""
    changed = update(job).where(job.c.id == job_id).values(last_event=job.c.last_event + 1)
    row = connection.execute(
        changed.returning(job.c.last_event, job.c.state, job.c.error_code)
    ).one()
    how_far = progress(connection, job_id, now_us)
    content = {"state": row.state, "error_code": row.error_code, "progress": how_far}
    connection.execute(
        insert(event).values(
            job_id=job_id,
            number=row.last_event,
            kind=kind,
            at_us=now_us,
            content=to_bytes(content).decode(),
        )
    )
    return how_far


def settle(connection: Connection, job_id: str, now_us: int) -> None:
    """End a running job where nothing is left to do, or too many subjects had to be left out."""
    how_far = progress(connection, job_id, now_us)
    if how_far.num_chunks is None:
        return
    limit = connection.scalar(select(job.c.max_quarantined_share).where(job.c.id == job_id))
    assert limit is not None
    num_subjects = how_far.num_subjects or 0
    if how_far.num_quarantined > limit * num_subjects:
        failure = _too_many_quarantined(how_far.num_quarantined, num_subjects, limit)
        end(connection, job_id, now_us, JobState.FAILED, failure)
    elif how_far.num_chunks_done == how_far.num_chunks:
        end(connection, job_id, now_us, JobState.SUCCEEDED)


def _too_many_quarantined(num_quarantined: int, num_subjects: int, limit: float) -> Failure:
    return Failure(
        "too_many_quarantined",
        f"{num_quarantined} of {num_subjects} subjects have no answer so far, and "
        f"`max_quarantined_share` allows {int(limit * num_subjects)}; the quarantine says why. "
        "Correct the input, or submit it again with a larger share",
        is_permanent=True,
    )


def end(
    connection: Connection,
    job_id: str,
    now_us: int,
    state: JobState,
    failure: Failure | None = None,
) -> None:
    """End an unfinished job. Whoever still works on it can no longer publish."""
    connection.execute(
        update(job)
        .where(job.c.id == job_id)
        .values(
            state=state,
            ended_us=now_us,
            error_code=failure.code if failure else None,
            error_detail=failure.detail if failure else None,
        )
    )
    take_leases_back(connection, job_id)
    note(connection, job_id, "state", now_us)


def take_leases_back(connection: Connection, job_id: str) -> None:
    """Make every running chunk of a job claimable."""
    connection.execute(
        update(chunk)
        .where(chunk.c.job_id == job_id, chunk.c.state == ChunkState.RUNNING)
        .values(state=ChunkState.PENDING, worker_id=None, lease_until_us=None)
    )


def is_claimable(now_us: int) -> Any:
    """Return the condition: waiting, or held by somebody whose time is over."""
    return or_(
        (chunk.c.state == ChunkState.PENDING) & (chunk.c.not_before_us <= now_us),
        (chunk.c.state == ChunkState.RUNNING) & (chunk.c.lease_until_us < now_us),
    )
