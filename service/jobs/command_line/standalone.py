"""A job without a server: one folder with the output, and beside it a ledger of its own.

    request.json                what is asked, and the hash of the model that answers
    parts/000000.parquet        the output, in the order of the subjects
    quarantine/000000.ndjson    subjects without an answer, and why
    .job/                       ledger, model, chunks: see `service.jobs.folder`

The same command finds its job again and takes it up, whatever was killed.
"""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Protocol

from model.artifact import Artifact
from model.files import sha256_of, sync, write_atomically
from service.errors import ServiceError
from service.jobs.command_line.done import Done
from service.jobs.errors import JobInputError
from service.jobs.folder import JobFolder, make_private, noted
from service.jobs.keeping import keep_artifact
from service.jobs.ledger.database import Database
from service.jobs.ledger.ledger import Ledger
from service.jobs.ledger.opening import database_url
from service.jobs.ledger.records import JobRecord, JobState, Part
from service.jobs.planning.plan import Plan, check_request, load_plan
from service.jobs.planning.source import Source
from service.jobs.request import JobRequest
from service.jobs.submitting import JobInput, limited, new_submission
from service.jobs.workers.executors import Executor
from service.settings import Settings

_PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.5
_FOR_EVER_DAYS = 36_500.0
_FOLDERS = ("parts", "quarantine")


class JobFailedError(ServiceError):
    """Raised for a job that failed, with the code of its failure."""

    status, title, code = 422, "The job failed", "job_failed"


class JobStoppedError(ServiceError):
    """Raised for a job that was stopped before its end."""

    status, title, code = 409, "The job was stopped", "job_stopped"
    again: ClassVar[str] = "run the same command again to go on"


class Watcher(Protocol):
    """Is told, from a thread beside the work, how far a job is."""

    def on_lost(self, num_parts: int) -> None:
        """Take the number of parts that were done, and are to be made again."""
        ...

    def on_read(self, num_rows: int) -> None:
        """Take the number of input rows that are read, as long as there is no plan."""
        ...

    def on_chunk(self, done: Done) -> None:
        """Take what is done, when it has changed."""
        ...


def standalone_settings(settings: Settings, out: Path, *, url: str | None) -> Settings:
    """Return settings whose jobs folder and ledger are those of one output folder."""
    changes = {
        "jobs_dir": out / ".job",
        "jobs_database_url": url,
        "job_retention_days": _FOR_EVER_DAYS,
    }
    return settings.model_copy(update=changes)


def run_standalone(
    settings: Settings,
    artifact: Artifact,
    source: Source,
    request: JobRequest,
    executor: Executor,
    stop: threading.Event,
    watcher: Watcher,
) -> Done:
    """Do what is left of the job in the folder of the settings, and tell `watcher` how far it is.

    Raises
    ------
    JobInputError
        If the folder holds another job, or the input or the model is not the one it began with.
    JobFailedError, JobStoppedError
        If it did not get to its end.
    """
    assert settings.jobs_dir is not None
    assert settings.artifact is not None
    request = limited(request, max_outside_hours=settings.max_outside_hours)
    check_request(request, artifact.catalogue, has_times=source.times is not None)
    out = settings.jobs_dir.parent
    job_id = _claim(out, request, artifact.sha256)
    make_private(make_private(settings.jobs_dir) / job_id)
    keep_artifact(settings.artifact, artifact.sha256, settings.jobs_dir)
    with _ledger(settings) as ledger:
        _enter(ledger, job_id, source, request, artifact)
        folder = JobFolder(settings.jobs_dir / job_id)
        if lost := _lost_chunks(ledger, job_id, folder, out):
            watcher.on_lost(len(lost))
            ledger.redo(job_id, lost)
        with _watching(ledger, job_id, folder, watcher):
            executor.run(job_id, stop)
        job = _require(ledger, job_id)
        _hand_over(ledger, job_id, folder, out)
        if job.state == JobState.FAILED:
            raise JobFailedError(job.error_detail or "", code=job.error_code)
        if job.state != JobState.SUCCEEDED:
            raise JobStoppedError(f"the job is not finished; {JobStoppedError.again}")
        plan = _plan(job, folder)
        assert plan is not None
        # Read once: it is put together from all chunks.
        return replace(_done(ledger, job_id, plan), account=ledger.account(job_id))


@contextmanager
def _ledger(settings: Settings) -> Iterator[Ledger]:
    database = Database(database_url(settings), patience_seconds=_PATIENCE_SECONDS)
    database.create_tables()
    try:
        yield Ledger(database)
    finally:
        database.close()


def _claim(out: Path, request: JobRequest, artifact_sha256: str) -> str:
    """Make the folder this job's, and return its id; one that holds anything else is not touched."""
    wanted = {"request": request.model_dump(mode="json"), "artifact_sha256": artifact_sha256}
    file = out / "request.json"
    if file.is_file():
        found: dict[str, object] = json.loads(file.read_bytes())
        job_id = str(found.pop("job_id", ""))
        if found != wanted:
            differs = "request" if found.get("request") != wanted["request"] else "artifact"
            raise JobInputError(
                f"the folder holds a job with another {differs}; take that one, or another folder"
            )
        return job_id
    if out.exists() and any(out.iterdir()):
        raise JobInputError(
            "the folder for the output is not empty and holds no job; choose another"
        )
    for name in _FOLDERS:
        (out / name).mkdir(parents=True, exist_ok=True)
    job_id = uuid.uuid4().hex
    content = json.dumps({**wanted, "job_id": job_id}, indent=1)
    write_atomically(file, content.encode() + b"\n")
    return job_id


def _enter(
    ledger: Ledger, job_id: str, source: Source, request: JobRequest, artifact: Artifact
) -> None:
    """Enter the job, or set it going again where it stands."""
    times = None if source.times is None else noted(source.times)
    job_input = JobInput(noted(source.path), times, source.sha256)
    job = ledger.submit(new_submission(job_id, request, artifact, job_input, idempotency_key=None))
    if job.input_sha256 != job_input.sha256:
        raise JobInputError(
            "the input is not the one that this job began with; put it back, or start the job again "
            "in another folder"
        )
    ledger.resume(job_id)


def _require(ledger: Ledger, job_id: str) -> JobRecord:
    job = ledger.find(job_id)
    assert job is not None
    return job


@contextmanager
def _watching(ledger: Ledger, job_id: str, folder: JobFolder, watcher: Watcher) -> Iterator[None]:
    """Tell how far the job is, from a thread beside the block."""
    has_ended = threading.Event()

    def look() -> None:
        last: Done | None = None
        plan: Plan | None = None
        while True:
            is_last = has_ended.wait(_LOOK_SECONDS)
            plan = plan or _plan(_require(ledger, job_id), folder)
            if plan is None:
                watcher.on_read(ledger.progress(job_id).num_rows_read)
            elif (done := _done(ledger, job_id, plan)).num_chunks and done != last:
                watcher.on_chunk(done)
                last = done
            if is_last:
                return

    thread = threading.Thread(target=look, name="watching")
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join()


def _plan(job: JobRecord, folder: JobFolder) -> Plan | None:
    """Return the plan that counts, None before there is one."""
    return None if job.plan is None else load_plan(folder.plan_of(job.plan))


def _done(ledger: Ledger, job_id: str, plan: Plan) -> Done:
    """Sum up what is done."""
    progress = ledger.progress(job_id)
    return Done(
        plan,
        progress.num_chunks_done,
        progress.num_subjects_done,
        progress.num_filled_rows,
        progress.num_abstained,
        progress.num_quarantined,
    )


def _lost_chunks(ledger: Ledger, job_id: str, folder: JobFolder, out: Path) -> list[int]:
    """Return the chunks that are done by the ledger, and whose bytes are not the published ones."""
    return [
        index
        for index, part, files in _published(ledger, job_id, folder, out)
        if not _is_whole(part, *(new if new.exists() else final for new, final in files))
    ]


def _is_whole(part: Part, file: Path, quarantine: Path) -> bool:
    if not (file.is_file() and quarantine.is_file()):
        return False
    with quarantine.open("rb") as lines:
        num_quarantined = sum(1 for _ in lines)
    return num_quarantined == part.num_quarantined and sha256_of(file) == part.sha256


def _hand_over(ledger: Ledger, job_id: str, folder: JobFolder, out: Path) -> None:
    """Give the parts that are done their final names; those that have them already stay."""
    for _, _, files in _published(ledger, job_id, folder, out):
        for new, final in files:
            if new.exists():
                new.rename(final)
    for name in _FOLDERS:
        sync(out / name)


def _published(
    ledger: Ledger, job_id: str, folder: JobFolder, out: Path
) -> Iterator[tuple[int, Part, list[tuple[Path, Path]]]]:
    """Yield every part that is done: its output and quarantine, each where made, and where kept."""
    for chunk in ledger.chunks(job_id):
        if chunk.part is not None:
            made = folder.parts / chunk.part.name, folder.quarantine_of(chunk.part.name)
            kept = [out / name / f"{chunk.index:06d}" for name in _FOLDERS]
            pairs = zip(made, kept, strict=True)
            yield (
                chunk.index,
                chunk.part,
                [(new, old.with_suffix(new.suffix)) for new, old in pairs],
            )
