"""Jobs on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from service.jobs.account import Account
from service.jobs.ledger.records import ChunkRecord, ChunkState, JobRecord, JobState, Progress

_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class JobModel:
    """The model that a job began with, and is finished with."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class JobError:
    """Why a job failed; it never holds anything of the input."""

    code: str
    detail: str


@dataclass(frozen=True)
class JobSummary:
    """A job in a list."""

    id: str
    state: JobState
    model: JobModel
    created: str
    started: str | None
    ended: str | None
    error: JobError | None


@dataclass(frozen=True)
class JobList:
    """Jobs, newest first. `next_before_us` is the `before_us` of the following page."""

    jobs: list[JobSummary]
    next_before_us: int | None


@dataclass(frozen=True)
class JobDetail:
    """A job. `num_live_workers` are those that may take its chunks; without any, it waits.

    `reading` counts the rows that were not used, by reason and variable, and what was remarked about
    those that were: of the plan, and of the chunks that are done.
    """

    id: str
    state: JobState
    model: JobModel
    created: str
    started: str | None
    ended: str | None
    error: JobError | None
    progress: Progress
    reading: Account
    num_live_workers: int
    request: dict[str, Any]


@dataclass(frozen=True)
class ChunkDetail:
    """A part of a job. `part_bytes` and `part_sha256` are of its output, once it is done."""

    index: int
    state: ChunkState
    worker: str | None
    epoch: int
    num_failures: int
    num_deaths: int
    num_subjects: int
    num_rows: int
    started: str | None
    ended: str | None
    error_code: str | None
    num_filled_rows: int | None
    num_abstained: int | None
    num_quarantined: int | None
    part_bytes: int | None
    part_sha256: str | None


@dataclass(frozen=True)
class ChunkList:
    """Chunks in order. `next_after` is the `after` of the following page."""

    chunks: list[ChunkDetail]
    next_after: int | None


def job_summary(job: JobRecord) -> JobSummary:
    """Show a job in a list."""
    return JobSummary(
        id=job.id,
        state=job.state,
        model=_model(job),
        created=_moment(job.created_us) or "",
        started=_moment(job.started_us),
        ended=_moment(job.ended_us),
        error=_error(job),
    )


def job_detail(
    job: JobRecord,
    progress: Progress,
    reading: Account,
    *,
    num_live_workers: int,
    request: dict[str, Any],
) -> JobDetail:
    """Show a job."""
    return JobDetail(
        **vars(job_summary(job)),
        progress=progress,
        reading=reading,
        num_live_workers=num_live_workers,
        request=request,
    )


def chunk_list(chunks: Sequence[ChunkRecord], *, limit: int) -> ChunkList:
    """Show a page of chunks, of which one more than `limit` was asked for."""
    shown = chunks[:limit]
    return ChunkList(
        [_chunk(one) for one in shown], shown[-1].index if len(chunks) > limit else None
    )


def _chunk(one: ChunkRecord) -> ChunkDetail:
    part = one.part
    return ChunkDetail(
        index=one.index,
        state=one.state,
        worker=one.worker_id,
        epoch=one.epoch,
        num_failures=one.num_failures,
        num_deaths=one.num_deaths,
        num_subjects=one.num_subjects,
        num_rows=one.num_rows,
        started=_moment(one.started_us),
        ended=_moment(one.ended_us),
        error_code=one.error_code,
        num_filled_rows=part.num_filled_rows if part else None,
        num_abstained=part.num_abstained if part else None,
        num_quarantined=part.num_quarantined if part else None,
        part_bytes=part.num_bytes if part else None,
        part_sha256=part.sha256 if part else None,
    )


def _model(job: JobRecord) -> JobModel:
    return JobModel(job.model_name, job.model_version, job.artifact_sha256)


def _error(job: JobRecord) -> JobError | None:
    return None if job.error_code is None else JobError(job.error_code, job.error_detail or "")


def _moment(moment_us: int | None) -> str | None:
    if moment_us is None:
        return None
    moment = datetime.fromtimestamp(moment_us / _MICROSECONDS, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
