"""What ends a job or one attempt at a chunk, and what requests about jobs are refused with.

An error says what was expected and what to do; it never repeats a value or an identifier. The root is
in `service.errors`.
"""

from service.errors import ServiceError

_RETRY_AFTER_SECONDS = 5


class JobInputError(ServiceError):
    """Raised for input that cannot be read as a whole: format, columns, types, options."""

    status, title, code = 422, "The input of the job cannot be used", "invalid_job_input"


class ChunkAlteredError(ServiceError):
    """Raised for a chunk that is missing, or is not the one that was planned."""

    status, title, code = 409, "A chunk was altered", "chunk_altered"


class JobsDisabledError(ServiceError):
    """Raised where the server has no folder for jobs."""

    status, title, code = 404, "No jobs here", "jobs_disabled"


class NoSuchJobError(ServiceError):
    """Raised for an id, or the index of a part, that is not known."""

    status, title, code = 404, "Not found", "not_found"


class JobDeletedError(ServiceError):
    """Raised where the files of a deleted job are asked for, or it is to go on."""

    status, title, code = 410, "The job was deleted", "job_deleted"


class PartLostError(ServiceError):
    """Raised where a part is done by the ledger, and its bytes are not on the disk any more."""

    status, title, code = 410, "A part was lost", "part_lost"

    def __init__(self, index: int) -> None:
        super().__init__(
            f"the files of part {index} are missing or have another size than when they were "
            "published; restore them, or submit the job again"
        )


class JobStateError(ServiceError):
    """Raised where a job is not in the state that an operation needs."""

    status, title, code = 409, "The job is in another state", "job_state"


class KeyReusedError(ServiceError):
    """Raised where an idempotency key comes again with another request or input."""

    status, title, code = 422, "The idempotency key was used before", "idempotency_key_reused"


class UploadError(ServiceError):
    """Raised for a body that is not the form that was asked for."""

    status, title, code = 400, "The upload is not valid", "invalid_upload"


class UploadTypeError(ServiceError):
    """Raised for a body that does not call itself a form."""

    status, title, code = 415, "The body must be a form", "unsupported_media_type"


class StorageFullError(ServiceError):
    """Raised where the disk of the jobs is full."""

    status, title, code = 507, "No room", "disk_full"


class JobsUnavailableError(ServiceError):
    """Raised while the database of the jobs does not answer. It is asked again every second."""

    status, title, code = 503, "Jobs are not available now", "jobs_unavailable"

    def __init__(self) -> None:
        super().__init__(
            "the database of the jobs does not answer; ask again later",
            retry_after_seconds=_RETRY_AFTER_SECONDS,
        )
