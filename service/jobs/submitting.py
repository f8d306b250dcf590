"""What the ledger is told about a new job, wherever its input came from."""

from dataclasses import dataclass

from model.artifact import Artifact
from service.jobs.errors import JobInputError
from service.jobs.ledger.records import Submission
from service.jobs.request import JobRequest


@dataclass(frozen=True)
class JobInput:
    """Where the input of a job is: names in the folder of the job, or absolute; and its hash."""

    source: str
    times: str | None
    sha256: str


def limited(request: JobRequest, *, max_outside_hours: float) -> JobRequest:
    """Note the limit of the settings in a request, so that every worker keeps to it.

    A worker of another machine may have other settings; the bytes of the job must not depend on it.

    >>> asked = JobRequest.model_validate({"format": "csv"})
    >>> limited(asked, max_outside_hours=24.0).max_outside_hours
    24.0

    Raises
    ------
    JobInputError
        If the request names a larger one.
    """
    if request.max_outside_hours is None:
        return request.model_copy(update={"max_outside_hours": max_outside_hours})
    if request.max_outside_hours > max_outside_hours:
        raise JobInputError(
            f"expected at most {max_outside_hours:g}, the limit of this server "
            "(LACUNA_MAX_OUTSIDE_HOURS)",
            path="max_outside_hours",
        )
    return request


def new_submission(
    job_id: str,
    request: JobRequest,
    artifact: Artifact,
    job_input: JobInput,
    *,
    idempotency_key: str | None,
) -> Submission:
    """Put a job together."""
    manifest = artifact.manifest
    return Submission(
        id=job_id,
        request=request.model_dump_json(),
        source=job_input.source,
        times=job_input.times,
        artifact_sha256=artifact.sha256,
        model_name=manifest.name,
        model_version=manifest.version,
        input_sha256=job_input.sha256,
        max_quarantined_share=request.max_quarantined_share,
        idempotency_key=idempotency_key,
    )
