"""From an upload to a job in the ledger: all of it is on the disk before the job exists."""

import asyncio
import hashlib
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request

from model.artifact import Artifact
from model.errors import ArtifactError
from model.files import publish_directory
from service.errors import InvalidRequestError
from service.inference.errors import NoCapacityError
from service.jobs.errors import KeyReusedError
from service.jobs.folder import UPLOADING, JobFolder, make_private
from service.jobs.http.uploads import receive
from service.jobs.keeping import keep_artifact
from service.jobs.ledger.ledger import Ledger
from service.jobs.ledger.records import JobRecord, Submission
from service.jobs.planning.plan import check_request
from service.jobs.request import FIELD_NAMES, JobRequest
from service.jobs.submitting import JobInput, limited, new_submission
from service.registry.errors import NotReadyError
from service.wire import parse_body

_MAX_KEY_LENGTH = 255


@dataclass(frozen=True)
class Intake:
    """What takes jobs in. `served` is where the artifacts are that the server answers with."""

    ledger: Ledger
    jobs_dir: Path
    served: Path | None
    max_upload_bytes: int
    max_unfinished_jobs: int
    max_outside_hours: float
    retry_after_seconds: int

    async def submit(self, request: Request, artifact: Artifact) -> JobRecord:
        """Store a posted form and enter its job, or return the one with the same idempotency key."""
        key = _key(request)
        await self._admit()
        job_id = uuid.uuid4().hex
        folder = JobFolder(self.jobs_dir / f"{UPLOADING}{job_id}")
        make_private(folder.path)
        try:
            upload = await receive(
                request, make_private(folder.input), max_bytes=self.max_upload_bytes
            )
            posted = parse_body(bytes(upload.request), JobRequest, field_names=FIELD_NAMES)
            job_request = limited(posted, max_outside_hours=self.max_outside_hours)
            times = upload.file("times")
            check_request(job_request, artifact.catalogue, has_times=times is not None)
            await asyncio.to_thread(self.keep, artifact)
            submission = new_submission(
                job_id,
                job_request,
                artifact,
                JobInput(
                    f"input/{upload.file('input')}",
                    None if times is None else f"input/{times}",
                    upload.sha256,
                ),
                idempotency_key=key,
            )
            return await asyncio.to_thread(self._enter, submission, folder.path)
        finally:
            # Renamed by now, unless something went wrong.
            shutil.rmtree(folder.path, ignore_errors=True)

    def keep(self, artifact: Artifact) -> None:
        """Keep a model beside the jobs."""
        if self.served is None:
            raise NotReadyError("the server has no artifact on its disk that a job could keep")
        try:
            keep_artifact(self.served, artifact.sha256, self.jobs_dir)
        except ArtifactError:
            raise NotReadyError(
                "the served model was replaced on the disk; ask again when it is loaded",
                retry_after_seconds=self.retry_after_seconds,
            ) from None

    async def _admit(self) -> None:
        if await asyncio.to_thread(self.ledger.num_unfinished) >= self.max_unfinished_jobs:
            raise NoCapacityError(
                f"at most {self.max_unfinished_jobs} jobs may wait or run",
                code="too_many_jobs",
                retry_after_seconds=self.retry_after_seconds,
            )

    def _enter(self, submission: Submission, uploaded: Path) -> JobRecord:
        folder = self.jobs_dir / submission.id
        publish_directory(uploaded, folder, replaces=False)
        job = self.ledger.submit(submission)
        if job.id != submission.id:
            shutil.rmtree(folder, ignore_errors=True)
            if (job.input_sha256, job.request) != (submission.input_sha256, submission.request):
                raise KeyReusedError(
                    "this Idempotency-Key came with another request or input; choose another key"
                )
        return job


def _key(request: Request) -> str | None:
    """Return the hash of the client's key: it could hold an identifier."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 0 < len(key) <= _MAX_KEY_LENGTH:
        raise InvalidRequestError(
            f"expected a key of 1 to {_MAX_KEY_LENGTH} characters", path="Idempotency-Key"
        )
    return hashlib.sha256(key.encode()).hexdigest()
