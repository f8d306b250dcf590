"""/v1/jobs: submit, list, watch, download, cancel, resume, delete.

The ledger and the disk are waited for in other threads. An id is looked up in the ledger before any
path is made of it.
"""

import asyncio
import json
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from model.artifact import Artifact
from service.jobs.errors import (
    JobDeletedError,
    JobsDisabledError,
    JobStateError,
    JobsUnavailableError,
    NoSuchJobError,
    PartLostError,
)
from service.jobs.folder import JobFolder
from service.jobs.http.documents import JOB_RESPONSES, job_form
from service.jobs.http.download import MEDIA_TYPES, as_one_file, joined
from service.jobs.http.intake import Intake
from service.jobs.http.views import (
    ChunkList,
    JobDetail,
    JobList,
    chunk_list,
    job_detail,
    job_summary,
)
from service.jobs.http.watching import after_which, watch
from service.jobs.ledger.database import DatabaseError
from service.jobs.ledger.opening import Jobs
from service.jobs.ledger.records import JobRecord, JobState
from service.jobs.request import JobRequest, OutputFormat
from service.jobs.retention import delete_job
from service.jobs.serving import running_jobs
from service.operations.stopping import STOPPING
from service.registry.loaded import MODELS
from service.slices import SETTINGS, Part, Slice
from service.wire import json_response

_MAX_PAGE = 1_000

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=JOB_RESPONSES)

JOBS = Part[Jobs | None]("jobs")


@router.post("", status_code=202, response_model=JobDetail, openapi_extra=job_form())
async def submit(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(description="Submitting again with the same key gives the same job."),
    ] = None,
) -> Response:
    """Take a job in: a form with the parts `request` (JSON), `input` and, if asked for, `times`.

    The upload is streamed to the disk. The answer comes when the job can no longer be lost; its
    address is in `Location`.
    """
    job = await _intake(request).submit(request, _artifact(request))
    answer = await _detail(request, job)
    answer.status_code = 202
    answer.headers["Location"] = f"/v1/jobs/{job.id}"
    return answer


@router.get("", response_model=JobList)
async def list_jobs(
    request: Request,
    state: JobState | None = None,
    before_us: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    limit: Annotated[int, Query(ge=1, le=_MAX_PAGE)] = 100,
) -> Response:
    """List jobs, newest first. Deleted ones are listed only where that state is asked for."""
    ledger = _jobs(request).ledger
    page = await asyncio.to_thread(
        lambda: ledger.list_jobs(limit=limit, state=state, before_us=before_us)
    )
    return json_response(JobList([job_summary(job) for job in page.jobs], page.next_before_us))


@router.get("/{job_id}", response_model=JobDetail)
async def job(request: Request, job_id: str) -> Response:
    """Tell how a job stands: state, percent, rates, time left, and why it failed."""
    return await _detail(request, await _find(request, job_id, may_be_deleted=True))


@router.get("/{job_id}/chunks", response_model=ChunkList)
async def chunks(
    request: Request,
    job_id: str,
    after: Annotated[int, Query(ge=-1, le=2**31 - 1)] = -1,
    limit: Annotated[int, Query(ge=1, le=_MAX_PAGE)] = 100,
) -> Response:
    """List the chunks of a job: who works on them, and what came out."""
    found = await _find(request, job_id)
    ledger = _jobs(request).ledger
    page = await asyncio.to_thread(lambda: ledger.chunks(found.id, after=after, limit=limit + 1))
    return json_response(chunk_list(page, limit=limit))


@router.get(
    "/{job_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "The events."}},
)
async def events(
    request: Request, job_id: str, last_event_id: Annotated[str | None, Header()] = None
) -> Response:
    """Stream what happens to a job as server-sent events, until it has ended or the server stops.

    `Last-Event-ID` goes on after an event. Each holds the state and the progress at its moment.
    """
    found = await _find(request, job_id)
    frames = watch(
        _jobs(request).ledger,
        found.id,
        STOPPING.of(request),
        after=after_which(last_event_id),
    )
    return StreamingResponse(frames, media_type="text/event-stream")


@router.get("/{job_id}/output", response_class=Response)
async def output(request: Request, job_id: str) -> Response:
    """Download the whole output as one file, in the format that was asked for."""
    found = await _find(request, job_id)
    if found.state != JobState.SUCCEEDED:
        raise JobStateError("the output is whole when the job has succeeded; parts may be there")
    jobs = _jobs(request)
    folder = JobFolder(jobs.jobs_dir / found.id)
    parts = await asyncio.to_thread(lambda: _whole_parts(jobs, found.id))
    kind = _format(found)
    return StreamingResponse(
        as_one_file([folder.parts / name for name in parts], kind),
        media_type=MEDIA_TYPES[kind],
        headers=_attachment(f"{found.id}.{kind}"),
    )


@router.get("/{job_id}/output/{index}", response_class=FileResponse)
async def part(request: Request, job_id: str, index: int) -> Response:
    """Download the output of one chunk, also while the job runs."""
    found = await _find(request, job_id)
    jobs = _jobs(request)
    names = await asyncio.to_thread(lambda: _whole_parts(jobs, found.id, index=index))
    if not names:
        raise NoSuchJobError("no such part is done; /chunks lists those that are")
    kind = _format(found)
    return FileResponse(
        JobFolder(jobs.jobs_dir / found.id).parts / names[0],
        media_type=MEDIA_TYPES[kind],
        headers=_attachment(f"{found.id}-{index:06d}.{kind}"),
    )


@router.get("/{job_id}/quarantine", response_class=Response)
async def quarantine(request: Request, job_id: str) -> Response:
    """Download which subjects were left out so far, and why, as NDJSON."""
    found = await _find(request, job_id)
    jobs = _jobs(request)
    folder = JobFolder(jobs.jobs_dir / found.id)
    parts = await asyncio.to_thread(lambda: _whole_parts(jobs, found.id))
    return StreamingResponse(
        joined([folder.quarantine_of(name) for name in parts]),
        media_type=MEDIA_TYPES[OutputFormat.NDJSON],
        headers=_attachment(f"{found.id}-quarantine.ndjson"),
    )


@router.post("/{job_id}/cancel", response_model=JobDetail)
async def cancel(request: Request, job_id: str) -> Response:
    """Stop a job at its next chunk. What is done stays, and `resume` goes on from there."""
    found = await _find(request, job_id)
    ledger = _jobs(request).ledger
    stopped = await asyncio.to_thread(lambda: ledger.cancel(found.id)) or found
    if stopped.state != JobState.CANCELLED:
        raise JobStateError(f"the job has {stopped.state} already")
    return await _detail(request, stopped)


@router.post("/{job_id}/resume", response_model=JobDetail)
async def resume(request: Request, job_id: str) -> Response:
    """Set a failed or cancelled job going again; chunks that are done are not done again."""
    found = await _find(request, job_id)
    if found.state not in (JobState.FAILED, JobState.CANCELLED):
        raise JobStateError("only a job that has failed or was cancelled can be resumed")
    artifact = _artifact(request)
    if artifact.sha256 == found.artifact_sha256:
        # The kept copy may be what the job failed for.
        await asyncio.to_thread(_intake(request).keep, artifact)
    ledger = _jobs(request).ledger
    going = await asyncio.to_thread(lambda: ledger.resume(found.id)) or found
    return await _detail(request, going)


@router.delete("/{job_id}", status_code=204, response_class=Response)
async def delete(request: Request, job_id: str) -> Response:
    """Remove the files of a job, whatever it does. A tombstone without data stays."""
    found = await _find(request, job_id, may_be_deleted=True)
    jobs = _jobs(request)
    await asyncio.to_thread(lambda: delete_job(jobs.ledger, jobs.jobs_dir, found.id))
    return Response(status_code=204)


def _jobs(request: Request) -> Jobs:
    jobs = JOBS.of(request)
    if jobs is None:
        raise JobsDisabledError("this server takes no jobs; it was started without a jobs folder")
    if not jobs.database.is_usable:
        raise JobsUnavailableError
    return jobs


def _artifact(request: Request) -> Artifact:
    return MODELS.of(request).active.artifact


def _intake(request: Request) -> Intake:
    jobs, settings = _jobs(request), SETTINGS.of(request)
    return Intake(
        ledger=jobs.ledger,
        jobs_dir=jobs.jobs_dir,
        served=settings.artifact,
        max_upload_bytes=settings.max_upload_bytes,
        max_unfinished_jobs=settings.max_unfinished_jobs,
        max_outside_hours=settings.max_outside_hours,
        retry_after_seconds=settings.retry_after_seconds,
    )


async def _find(request: Request, job_id: str, *, may_be_deleted: bool = False) -> JobRecord:
    ledger = _jobs(request).ledger
    found = await asyncio.to_thread(lambda: ledger.find(job_id))
    if found is None:
        raise NoSuchJobError("there is no such job; /v1/jobs lists those that are")
    if found.state == JobState.DELETED and not may_be_deleted:
        raise JobDeletedError("the files of this job were removed")
    return found


async def _detail(request: Request, found: JobRecord) -> Response:
    ledger = _jobs(request).ledger
    lease_seconds = SETTINGS.of(request).job_lease_seconds

    def read() -> JobDetail:
        return job_detail(
            found,
            ledger.progress(found.id),
            ledger.account(found.id),
            num_live_workers=ledger.num_live_workers(within_seconds=lease_seconds),
            request=json.loads(found.request),
        )

    return json_response(await asyncio.to_thread(read))


def _whole_parts(jobs: Jobs, job_id: str, *, index: int | None = None) -> list[str]:
    """Return the names of the parts that are done, all or one, once their files are seen.

    Raises
    ------
    PartLostError
        If a file is missing, or cut. The hash of a part, in /chunks, is the reader's to compare.
    """
    folder = JobFolder(jobs.jobs_dir / job_id)
    chunks = (
        jobs.ledger.chunks(job_id)
        if index is None
        else jobs.ledger.chunks(job_id, after=index - 1, limit=1)
    )
    names = []
    for one in chunks:
        if one.part is not None and index in (None, one.index):
            if not folder.has_part(one.part.name, one.part.num_bytes):
                raise PartLostError(one.index)
            names.append(one.part.name)
    return names


def _format(found: JobRecord) -> OutputFormat:
    return JobRequest.model_validate_json(found.request).output.format


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


SLICE = Slice(
    router=router,
    owns=(JOBS, running_jobs),
    requests=(JobRequest,),
    # The driver's own words stay in the log.
    errors={DatabaseError: lambda _: JobsUnavailableError()},
)
