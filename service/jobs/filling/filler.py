"""What a worker needs to be able to do with a lease. No database, no HTTP."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from service.jobs.folder import JobFolder
from service.jobs.ledger.records import Chunk, JobRecord, Part, Planned


class Filler(Protocol):
    """Cuts the input of a job and fills its chunks. Several chunks may be filled at a time.

    The same job gives the same chunks, and the same chunk the same bytes, whoever works and however
    often.
    """

    def plan(
        self, job: JobRecord, folder: JobFolder, plan: Path, tell: Callable[[int], None]
    ) -> Planned:
        """Write the chunks into `plan`, an empty folder, and return them in order.

        `tell` is told how many rows of the input are read, again and again.
        """
        ...

    def fill(self, job: JobRecord, plan: Path, chunk: Chunk, part: Path, quarantine: Path) -> Part:
        """Write the output of a chunk, and the subjects that were left out."""
        ...

    def suffix(self, job: JobRecord) -> str:
        """Return how the names of the parts end, with the dot."""
        ...
