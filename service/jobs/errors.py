"""What ends a job, or one attempt at a chunk. The roots are in `service.errors`.

A job's error says what was expected and what to do; it never repeats a value or an identifier.
"""

from service.errors import ServiceError


class JobInputError(ServiceError):
    """Raised for input that cannot be read as a whole: format, columns, types, options."""

    status, title, code = 422, "The input of the job cannot be used", "invalid_job_input"


class ChunkAlteredError(ServiceError):
    """Raised for a chunk that is missing, or is not the one that was planned."""

    status, title, code = 409, "A chunk was altered", "chunk_altered"
