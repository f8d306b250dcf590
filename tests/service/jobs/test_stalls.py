"""A chunk that hangs in a living worker: it goes to another, and one that always hangs fails its job."""

import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import final

import pytest

from service.jobs.filling.filler import Filler
from service.jobs.folder import JobFolder, make_private
from service.jobs.ledger.database import Database
from service.jobs.ledger.leases import Leases
from service.jobs.ledger.records import JobRecord, Planned
from service.jobs.workers.stalls import WorkerStalledError
from service.jobs.workers.worker import Worker, WorkerOptions
from tests.conftest import REPOSITORY
from tests.service.jobs.stand_in import LineFiller, output_of
from tests.service.jobs.test_ledger import JOB
from tests.service.jobs.test_processes import wait_until
from tests.service.jobs.test_worker import LINES, WAIT_SECONDS, Bench, once

LIMIT_SECONDS = 0.05  # how often the heart looks; the clock below says what is late
HANGS = """
import ctypes, sys
from service.jobs.workers.stalls import end_unless_renewed

end_unless_renewed(0.1, slack_seconds=0.1)
ctypes.PyDLL(None).pause()  # keeps the interpreter's lock
"""


class Hanging:
    """A clock that stands still, and hooks that move it past the limit and then hang.

    What `young_slot` holds is never old. `num_looks` counts how often the heart has looked.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.num_looks = 0
        self.young_slot = ""
        self.wakes = threading.Event()

    def __call__(self) -> float:
        name = threading.current_thread().name
        self.num_looks += name == "heartbeat"
        return math.inf if name == self.young_slot else self.seconds

    def hang(self) -> None:
        self.seconds += 2 * LIMIT_SECONDS
        assert self.wakes.wait(WAIT_SECONDS)

    def hang_at(self, at: int) -> Callable[[int], None]:
        return lambda index: self.hang() if index == at else None

    def worker(
        self, bench: Bench, filler: Filler, name: str = "w1", *, num_slots: int = 1
    ) -> Worker:
        options = WorkerOptions(
            name,
            "host",
            num_slots,
            poll_seconds=0.01,
            ends=True,
            chunk_timeout_seconds=LIMIT_SECONDS,
        )
        return Worker(bench.ledger, bench.leases, filler, bench.jobs_dir, options, now=self)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.wakes.set()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    database = Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}", patience_seconds=20)
    database.create_tables()
    yield Bench(database, make_private(tmp_path / "jobs"))
    database.close()


def run_until_stalled(worker: Worker) -> None:
    with pytest.raises(WorkerStalledError):
        worker.run(threading.Event())


def test_another_worker_takes_a_chunk_that_hangs_in_a_living_one(
    bench: Bench, hanging: Hanging
) -> None:
    bench.submit(LINES)
    hung = LineFiller(once(hanging.hang))
    run_until_stalled(hanging.worker(bench, hung))
    (chunk,) = [one for one in bench.ledger.chunks(JOB) if one.index == 2]
    assert (chunk.state, chunk.num_failures, chunk.error_code) == ("pending", 1, "chunk_stalled")
    assert bench.run().state == "succeeded"
    assert bench.output() == output_of(LINES)


def test_a_chunk_that_hung_and_wakes_up_publishes_nothing(bench: Bench, hanging: Hanging) -> None:
    bench.submit(LINES)
    filler = LineFiller(once(hanging.hang))
    run_until_stalled(hanging.worker(bench, filler))
    slots = [one for one in threading.enumerate() if one.name == "slot-0"]
    hanging.wakes.set()
    for slot in slots:
        slot.join(WAIT_SECONDS)
    assert 2 in filler.filled
    assert bench.output() == output_of(LINES[:6])
    assert bench.run().state == "succeeded"
    assert bench.output() == output_of(LINES)


def test_a_chunk_that_always_hangs_fails_its_job_and_is_named(
    bench: Bench, hanging: Hanging
) -> None:
    bench.submit(LINES)
    for number in range(3):
        assert bench.job().state in ("queued", "running")
        filler = LineFiller(hanging.hang_at(4))
        run_until_stalled(hanging.worker(bench, filler, f"w{number}"))
    job = bench.job()
    assert (job.state, job.error_code) == ("failed", "chunk_stalled")
    assert "chunk 4 " in str(job.error_detail)
    assert "LACUNA_JOB_CHUNK_TIMEOUT_SECONDS" in str(job.error_detail)
    bench.ledger.resume(JOB)
    assert bench.run().state == "succeeded"
    assert bench.output() == output_of(LINES)


def test_the_other_slot_finishes_its_chunk_before_the_worker_ends(
    bench: Bench, hanging: Hanging
) -> None:
    bench.submit(LINES)
    hanging.young_slot = "slot-1"
    finished: list[int] = []
    has_young_chunk = threading.Event()

    def is_given_up() -> bool:
        return any(one.num_failures for one in bench.ledger.chunks(JOB))

    def before_fill(index: int) -> None:
        if threading.current_thread().name != hanging.young_slot:
            # A worker that gives a chunk up takes no other one.
            assert has_young_chunk.wait(WAIT_SECONDS)
            hanging.hang()
        has_young_chunk.set()
        wait_until(is_given_up)
        finished.append(index)

    run_until_stalled(hanging.worker(bench, LineFiller(before_fill), num_slots=2))
    chunks = bench.ledger.chunks(JOB)
    assert [one.index for one in chunks if one.state == "done"] == finished
    assert len(finished) == 1
    assert not any(one.state == "running" for one in chunks)


def test_what_the_other_slot_cannot_finish_within_a_lease_is_given_back_without_blame(
    bench: Bench, hanging: Hanging
) -> None:
    bench.leases = Leases(bench.database, lease_seconds=1, retry_seconds=0)
    bench.submit(LINES)
    hanging.young_slot = "slot-1"
    are_in_hand = threading.Barrier(2)

    def before_fill(_index: int) -> None:
        are_in_hand.wait(WAIT_SECONDS)
        hanging.hang()

    run_until_stalled(hanging.worker(bench, LineFiller(before_fill), num_slots=2))
    chunks = bench.ledger.chunks(JOB)
    assert [(one.state, one.num_deaths) for one in chunks] == [("pending", 0)] * len(chunks)
    assert sorted(one.num_failures for one in chunks[:2]) == [0, 1]
    assert bench.run().state == "succeeded"
    assert bench.output() == output_of(LINES)


def test_planning_has_no_limit(bench: Bench, hanging: Hanging) -> None:
    bench.submit(LINES)

    @final
    class SlowPlanner:
        def __init__(self) -> None:
            self._filler = LineFiller()
            self.fill, self.suffix = self._filler.fill, self._filler.suffix

        def plan(
            self, job: JobRecord, folder: JobFolder, plan: Path, tell: Callable[[int], None]
        ) -> Planned:
            hanging.seconds += 2 * LIMIT_SECONDS
            before = hanging.num_looks
            wait_until(lambda: hanging.num_looks > before + 1)
            return self._filler.plan(job, folder, plan, tell)

    hanging.worker(bench, SlowPlanner()).run(threading.Event())
    assert bench.job().state == "succeeded"


def test_a_process_whose_threads_cannot_run_is_ended() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS],
        check=False,
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    assert done.returncode == 1
    assert b"Timeout" in done.stderr
