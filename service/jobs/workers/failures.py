"""From an exception in a worker to what the ledger keeps: a code, and words without any data."""

import errno

from model.errors import ArtifactError
from service.errors import ServiceError
from service.jobs.ledger.records import Failure

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DISK_FULL = Failure(
    "disk_full",
    "the disk of the jobs folder is full; make room, then resume the job",
    is_permanent=True,
)
_ARTIFACT = Failure(
    "artifact_unusable",
    "the model that this job began with is missing, or its files were altered; restore it, then "
    "resume the job",
    is_permanent=True,
)
_IO = Failure(
    "io_error",
    "the files of the job could not be read or written; the log of the worker says more. Mend "
    "the disk, then resume the job",
    is_permanent=False,
)
_MEMORY = Failure(
    "out_of_memory",
    "a chunk did not fit into memory; submit again with fewer subjects a chunk, or give the worker "
    "more, then resume the job",
    is_permanent=False,
)
_INTERNAL = Failure(
    "internal_error",
    "a worker failed unexpectedly on a chunk, several times; its log has the place",
    is_permanent=False,
)


def failure_of(error: Exception) -> Failure:
    """Say why work failed. What the input or a chunk is wrong about stays wrong when repeated."""
    if isinstance(error, ServiceError):
        return Failure(error.code, error.detail, is_permanent=True)
    if isinstance(error, ArtifactError):
        return _ARTIFACT
    if isinstance(error, OSError):
        return _DISK_FULL if error.errno in _FULL else _IO
    return _MEMORY if isinstance(error, MemoryError) else _INTERNAL
