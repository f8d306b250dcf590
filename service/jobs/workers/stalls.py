"""A chunk that hangs in a living worker: it is given up, and the worker ends with it.

Nobody can end a thread that is deadlocked, waits for a dead disk or loops in native code; only its
process can be ended. Planning has no limit: its time follows the size of the input, for which no
number is right, while a chunk is of a size that the request has set.
"""

import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn, final

from service.jobs.ledger.records import Failure, Lease
from service.jobs.ledger.tables import PLAN

_STATUS = 1
# More than the two statements of a heartbeat, each repeated while the ledger is away.
_SLACK_SECONDS = 180.0


class WorkerStalledError(Exception):
    """Raised by a worker of which a chunk took too long; its process must end by `end_process`."""


def stalled(lease: Lease, limit_seconds: float) -> Failure:
    """Say what a chunk that takes too long means for its job."""
    return Failure(
        "chunk_stalled",
        f"chunk {lease.chunk.index} did not end within {limit_seconds:g} s, each time that it was "
        "tried; the log of its worker has the place where it stood. Mend what it waits for, or "
        "where it is only large, raise LACUNA_JOB_CHUNK_TIMEOUT_SECONDS, then resume the job; or "
        "submit again with fewer subjects a chunk",
        is_permanent=False,
    )


@final
class HeldLeases:
    """The leases that the slots of a worker hold, and since when. All methods are thread-safe."""

    def __init__(self, limit_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self.limit_seconds = limit_seconds
        self._now = now
        self._held: dict[tuple[str, int, int], tuple[Lease, float]] = {}
        self._given_up: set[tuple[str, int, int]] = set()
        self._changed = threading.Condition()

    def hold(self, lease: Lease) -> None:
        """Begin with a lease."""
        with self._changed:
            self._held[lease.key] = lease, self._now()

    def drop(self, lease: Lease) -> None:
        """Be done with a lease."""
        with self._changed:
            del self._held[lease.key]
            self._changed.notify_all()

    def give_up_stalled(self) -> list[Lease]:
        """Return the chunks that have just been held too long; they are not to be renewed."""
        with self._changed:
            latest = self._now() - self.limit_seconds
            late = [
                lease
                for lease, since in self._held.values()
                if lease.chunk.index != PLAN and since < latest and lease.key not in self._given_up
            ]
            self._given_up.update(lease.key for lease in late)
            return late

    def in_hand(self) -> list[Lease]:
        """Return the leases that are worked on, without those that were given up."""
        with self._changed:
            return self._in_hand()

    def wait_until_done(self, seconds: float) -> list[Lease]:
        """Wait until nothing is in hand, but not longer than that; return what still is."""
        with self._changed:
            self._changed.wait_for(lambda: not self._in_hand(), seconds)
            return self._in_hand()

    def _in_hand(self) -> list[Lease]:
        return [lease for lease, _ in self._held.values() if lease.key not in self._given_up]


def log_places() -> None:
    """Write to standard error where every thread stands: files and lines, no values."""
    faulthandler.dump_traceback(file=sys.__stderr__ or 2)


def end_unless_renewed(limit_seconds: float, slack_seconds: float = _SLACK_SECONDS) -> None:
    """End the process with a status of 1 unless called again in time.

    For native code that keeps the interpreter's lock: no thread of ours would run again.
    """
    faulthandler.dump_traceback_later(
        limit_seconds + slack_seconds, exit=True, file=sys.__stderr__ or 2
    )


def renew_no_more() -> None:
    """Let the process go on, whatever was said to `end_unless_renewed`."""
    faulthandler.cancel_dump_traceback_later()


def end_process(error: WorkerStalledError) -> NoReturn:
    """End this process at once: an orderly end would wait for the thread that hangs."""
    sys.stderr.write(f"error: {error}\n")
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_STATUS)
