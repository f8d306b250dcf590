"""Whether the database is away. The log says it once when it begins, and once when it has ended."""

import logging
import threading
from typing import final

_logger = logging.getLogger("service.jobs.ledger.outage")


@final
class Outage:
    """What many threads find out about one database."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._has_begun = False
        self._is_given_up = False

    @property
    def is_given_up(self) -> bool:
        """Whether somebody has waited in vain, and nobody has had an answer since."""
        return self._is_given_up

    def note_failure(self, reason: str, *, gives_up: bool) -> None:
        """Note that the database was away, for a reason that holds nothing private."""
        with self._lock:
            if not self._has_begun:
                _logger.warning("%s; trying again until it answers", reason)
            self._has_begun = True
            self._is_given_up = self._is_given_up or gives_up

    def note_answer(self) -> None:
        """Note that the database answers."""
        if not self._has_begun:
            return
        with self._lock:
            if self._has_begun:
                _logger.warning("the database of the ledger answers again")
            self._has_begun = self._is_given_up = False
