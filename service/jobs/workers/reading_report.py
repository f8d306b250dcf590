"""How many rows a job has read: written to the ledger every few seconds, so that people can watch."""

import logging
import time
from collections.abc import Callable
from typing import final

from service.jobs.ledger.database import DatabaseError
from service.jobs.ledger.leases import Leases
from service.jobs.ledger.records import Lease

_EVERY_SECONDS = 2.0
_logger = logging.getLogger("service.jobs.workers.reading_report")


@final
class ReadingReport:
    """Called with the number of rows so far. If the ledger is away, that number is late; the job goes on."""

    def __init__(
        self, leases: Leases, lease: Lease, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._leases = leases
        self._lease = lease
        self._now = now
        self._told_at = -_EVERY_SECONDS
        self._told = 0
        self._num_rows = 0

    def __call__(self, num_rows: int) -> None:
        """Write the number, unless one was written less than `_EVERY_SECONDS` ago."""
        self._num_rows = num_rows
        if self._now() - self._told_at >= _EVERY_SECONDS:
            self._tell()

    def finish(self) -> None:
        """Write the last number, if it was not written yet."""
        if self._num_rows != self._told:
            self._tell()

    def _tell(self) -> None:
        try:
            self._leases.note_read(self._lease, self._num_rows)
        except DatabaseError as error:
            _logger.warning("the ledger is away: %s", error)
        self._told_at, self._told = self._now(), self._num_rows
