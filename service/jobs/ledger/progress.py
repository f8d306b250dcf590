"""How far a job is, from its chunks."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, func, select

from service.jobs.ledger.records import ChunkState, Progress
from service.jobs.ledger.tables import PLAN, chunk, job

_MICROSECONDS = 1_000_000


def progress(connection: Connection, job_id: str, now_us: int) -> Progress:
    """Return the progress of a job that exists."""
    started = select(job.c.plan, job.c.started_us, job.c.ended_us).where(job.c.id == job_id)
    known = connection.execute(started).one()
    counted = connection.execute(_count(job_id, known.started_us or 0)).one()
    until_us = known.ended_us or now_us
    seconds = max(until_us - (known.started_us or until_us), 0) / _MICROSECONDS
    is_planned = known.plan is not None
    return Progress(
        num_rows_read=int(counted.num_rows_read),
        num_chunks=counted.num_chunks if is_planned else None,
        num_chunks_done=counted.num_chunks_done,
        num_chunks_running=counted.num_chunks_running,
        num_subjects=int(counted.num_subjects) if is_planned else None,
        num_subjects_done=int(counted.num_subjects_done),
        num_rows=int(counted.num_rows) if is_planned else None,
        num_rows_done=int(counted.num_rows_done),
        num_filled_rows=int(counted.num_filled_rows),
        num_abstained=int(counted.num_abstained),
        num_quarantined=int(counted.num_quarantined),
        num_dropped=int(counted.num_dropped),
        percent=_percent(counted, is_planned=is_planned),
        subjects_per_second=_rate(counted.recent_subjects, seconds),
        rows_per_second=_rate(counted.recent_rows, seconds),
        seconds_left=_seconds_left(counted, seconds),
    )


def _count(job_id: str, started_us: int) -> Any:
    """Count what is done, and of it what was done since the job was last set going."""
    is_done = chunk.c.state == ChunkState.DONE
    is_recent = is_done & (chunk.c.ended_us >= started_us)
    own_plan = select(chunk.c.num_rows).where(chunk.c.job_id == job_id, chunk.c.number == PLAN)
    return select(
        func.coalesce(own_plan.scalar_subquery(), 0).label("num_rows_read"),
        func.count().label("num_chunks"),
        _sum(is_done, 1).label("num_chunks_done"),
        _sum(chunk.c.state == ChunkState.RUNNING, 1).label("num_chunks_running"),
        func.coalesce(func.sum(chunk.c.num_subjects), 0).label("num_subjects"),
        func.coalesce(func.sum(chunk.c.num_rows), 0).label("num_rows"),
        _sum(is_done, chunk.c.num_subjects).label("num_subjects_done"),
        _sum(is_done, chunk.c.num_rows).label("num_rows_done"),
        _sum(is_recent, chunk.c.num_subjects).label("recent_subjects"),
        _sum(is_recent, chunk.c.num_rows).label("recent_rows"),
        _sum(is_done, chunk.c.num_filled_rows).label("num_filled_rows"),
        _sum(is_done, chunk.c.num_abstained).label("num_abstained"),
        _sum(is_done, chunk.c.num_quarantined).label("num_quarantined"),
        _sum(is_done, chunk.c.num_dropped).label("num_dropped"),
    ).where(chunk.c.job_id == job_id, chunk.c.number > PLAN)


def _sum(condition: ColumnElement[bool], value: Any) -> ColumnElement[Any]:
    return func.coalesce(func.sum(case((condition, value), else_=0)), 0)


def _percent(counted: Row[Any], *, is_planned: bool) -> float:
    if not is_planned:
        return 0.0
    if counted.num_chunks_done == counted.num_chunks:
        return 100.0
    return round(100.0 * float(counted.num_rows_done) / max(float(counted.num_rows), 1.0), 2)


def _rate(count: int, seconds: float) -> float | None:
    return round(float(count) / seconds, 1) if count and seconds > 0 else None


def _seconds_left(counted: Row[Any], seconds: float) -> float | None:
    if not counted.recent_rows or counted.num_chunks_done == counted.num_chunks:
        return None
    left = float(counted.num_rows) - float(counted.num_rows_done)
    return round(left * seconds / float(counted.recent_rows), 1)
