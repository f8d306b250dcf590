"""A worker: claims chunks, fills them, publishes. Any number of them share a ledger.

Two slots work at a time, so that one reads and writes while the other computes. A thread of its own
keeps the leases; when this process dies nobody does, and another worker takes the chunks. A chunk
that takes too long is given up, and ends the worker: see `service.jobs.workers.stalls`.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from model.files import publish_file, sync_tree
from service.jobs.filling.filler import Filler
from service.jobs.folder import JobFolder
from service.jobs.ledger.database import DatabaseError
from service.jobs.ledger.leases import Leases
from service.jobs.ledger.ledger import Ledger
from service.jobs.ledger.records import UNFINISHED, JobState, Lease
from service.jobs.ledger.tables import PLAN
from service.jobs.workers.failures import failure_of
from service.jobs.workers.reading_report import ReadingReport
from service.jobs.workers.stalls import (
    HeldLeases,
    WorkerStalledError,
    end_unless_renewed,
    log_places,
    renew_no_more,
    stalled,
)
from service.log import places_of

_RENEWALS_PER_LEASE = 3
_LOOK_SECONDS = 0.2
_logger = logging.getLogger("service.jobs.workers.worker")


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker works. With `job_id` it works on that job alone; with `ends` it stops when idle."""

    worker_id: str
    host: str
    num_slots: int = 2
    poll_seconds: float = 1.0
    job_id: str | None = None
    ends: bool = False
    chunk_timeout_seconds: float = 900.0


@final
class Worker:
    """Works until told to stop, or until nothing is left to do."""

    def __init__(
        self,
        ledger: Ledger,
        leases: Leases,
        filler: Filler,
        jobs_dir: Path,
        options: WorkerOptions,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._leases = ledger, leases
        self._filler = filler
        self._jobs_dir = jobs_dir
        self._options = options
        self._held = HeldLeases(options.chunk_timeout_seconds, now)
        self._has_stalled = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Work. After `stop` the chunks in hand are finished, and no other is begun.

        Raises
        ------
        WorkerStalledError
            If a chunk took too long, after the other slots had the time of a lease to finish theirs.
            The slot of that chunk goes on: the process must end.
        """
        has_ended = threading.Event()
        heart = threading.Thread(target=self._beat, args=(has_ended,), name="heartbeat")
        slots = [
            threading.Thread(target=self._work, args=(stop,), name=f"slot-{number}", daemon=True)
            for number in range(self._options.num_slots)
        ]
        for thread in (heart, *slots):
            thread.start()
        try:
            for slot in slots:
                while slot.is_alive() and not self._has_stalled.is_set():
                    slot.join(_LOOK_SECONDS)
            if self._has_stalled.is_set():
                self._leave()
        finally:
            has_ended.set()
            heart.join()

    def _leave(self) -> None:
        for lease in self._held.wait_until_done(self._leases.lease_seconds):
            with suppress(DatabaseError):
                self._leases.release(lease)
        raise WorkerStalledError(
            f"a chunk took longer than {self._held.limit_seconds:g} s "
            "(LACUNA_JOB_CHUNK_TIMEOUT_SECONDS), so this process ends; its log says which, and where "
            "it stood. Start again to go on"
        )

    def _beat(self, has_ended: threading.Event) -> None:
        limit_seconds = self._held.limit_seconds
        wait_seconds = min(self._leases.lease_seconds / _RENEWALS_PER_LEASE, limit_seconds)
        while True:
            end_unless_renewed(limit_seconds)
            try:
                self._give_up_stalled()
                self._leases.greet(self._options.worker_id, self._options.host)
                self._leases.renew(self._held.in_hand())
            except DatabaseError as error:
                _logger.warning("no heartbeat: %s", error)
            if has_ended.wait(wait_seconds):
                renew_no_more()
                return

    def _give_up_stalled(self) -> None:
        late = self._held.give_up_stalled()
        if not late:
            return
        self._has_stalled.set()
        for lease in late:
            _logger.error(
                "chunk %d of job %s took longer than %g s; this worker gives it up, and ends",
                lease.chunk.index,
                lease.job.id,
                self._held.limit_seconds,
            )
        log_places()
        for lease in late:
            # Where the ledger is away, the lease ends by itself, and counts as a death.
            self._leases.fail(lease, stalled(lease, self._held.limit_seconds))

    def _work(self, stop: threading.Event) -> None:
        while not self._is_told(stop):
            try:
                lease = self._leases.claim(self._options.worker_id, job_id=self._options.job_id)
                if lease is not None:
                    self._handle(lease, stop)
                elif self._is_over():
                    return
                else:
                    stop.wait(self._options.poll_seconds)
            except DatabaseError as error:
                # Whatever was in hand is done again when its lease is over.
                _logger.warning("the ledger is away: %s", error)
                stop.wait(self._options.poll_seconds)

    def _is_told(self, stop: threading.Event) -> bool:
        return stop.is_set() or self._has_stalled.is_set()

    def _is_over(self) -> bool:
        if not self._options.ends:
            return False
        if self._options.job_id is None:
            return self._ledger.num_unfinished() == 0
        job = self._ledger.find(self._options.job_id)
        return job is None or job.state not in UNFINISHED

    def _handle(self, lease: Lease, stop: threading.Event) -> None:
        self._held.hold(lease)
        try:
            if self._is_told(stop):
                self._leases.release(lease)
            elif lease.chunk.index == PLAN:
                self._plan(lease)
            else:
                self._fill(lease)
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, the ledger must know
            _log(error, lease)
            self._leases.fail(lease, failure_of(error))
        finally:
            self._held.drop(lease)

    def _plan(self, lease: Lease) -> None:
        folder = JobFolder(self._jobs_dir / lease.job.id)
        plan = folder.path / f"plan-{lease.epoch}"
        folder.make()
        try:
            plan.mkdir(mode=0o700)
            report = ReadingReport(self._leases, lease)
            planned = self._filler.plan(lease.job, folder, plan, report)
            report.finish()
            sync_tree(plan)
            was_published = self._leases.publish_plan(lease, plan.name, planned)
        except DatabaseError:
            raise  # it may have been entered: the plan stays
        except Exception:
            shutil.rmtree(plan, ignore_errors=True)
            raise
        if not was_published:
            shutil.rmtree(plan, ignore_errors=True)

    def _fill(self, lease: Lease) -> None:
        folder = JobFolder(self._jobs_dir / lease.job.id)
        assert lease.job.plan is not None
        name = f"{lease.chunk.index:06d}-{lease.epoch}{self._filler.suffix(lease.job)}"
        part, quarantine = folder.parts / name, folder.quarantine_of(name)
        drafts = [file.with_name(f".{file.name}") for file in (part, quarantine)]
        try:
            plan = folder.path / lease.job.plan
            filled = self._filler.fill(lease.job, plan, lease.chunk, *drafts)
            for draft, published in zip(drafts, (part, quarantine), strict=True):
                publish_file(draft, published)
            was_published = self._leases.publish(lease, replace(filled, name=name))
        except DatabaseError:
            raise  # it may have been entered: the file stays, and is swept if it does not count
        except Exception:
            _remove(*drafts, part, quarantine)
            raise
        if was_published:
            self._sweep_after(lease, folder)
        else:
            _logger.warning("the lease of chunk %d was lost; not published", lease.chunk.index)
            _remove(part, quarantine)

    def _sweep_after(self, lease: Lease, folder: JobFolder) -> None:
        job = self._ledger.find(lease.job.id)
        if job is not None and job.state == JobState.SUCCEEDED:
            chunks = self._ledger.chunks(job.id)
            with suppress(OSError):
                folder.sweep({chunk.part.name for chunk in chunks if chunk.part is not None})


def _remove(*files: Path) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink()


def _log(error: Exception, lease: Lease) -> None:
    """Log an error by its type and place; its message may hold data."""
    _logger.error(
        "%s in chunk %d of job %s: %s",
        type(error).__name__,
        lease.chunk.index,
        lease.job.id,
        places_of(error),
    )
