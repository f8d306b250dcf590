"""Workers, with a stand-in for the model: what was killed, stopped or fenced off in between."""

import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model.errors import ArtifactError
from service.jobs.folder import JobFolder, make_private, remove_folder
from service.jobs.ledger.database import Database
from service.jobs.ledger.leases import Leases
from service.jobs.ledger.ledger import Ledger
from service.jobs.ledger.records import JobRecord, JobState
from service.jobs.workers.worker import Worker, WorkerOptions
from tests.service.jobs.conftest import SetClock
from tests.service.jobs.stand_in import LineFiller, output_of
from tests.service.jobs.test_ledger import JOB, submission

LINES = [f"line {number}" for number in range(20)]
WAIT_SECONDS = 30


class Bench:
    """A job and workers on a ledger that a test can look into."""

    def __init__(self, database: Database, jobs_dir: Path) -> None:
        self.database = database
        self.ledger = Ledger(database)
        self.leases = Leases(database, lease_seconds=30, retry_seconds=0)
        self.jobs_dir = jobs_dir
        self.folder = JobFolder(jobs_dir / JOB)

    def submit(self, lines: list[str], *, share: float = 1.0) -> None:
        make_private(self.folder.path)
        make_private(self.folder.input)
        (self.folder.input / "table").write_text("".join(f"{line}\n" for line in lines))
        self.ledger.submit(submission(share=share))

    def worker(self, filler: LineFiller, name: str = "w1", *, num_slots: int = 2) -> Worker:
        options = WorkerOptions(name, "host", num_slots, poll_seconds=0.01, ends=True)
        return Worker(self.ledger, self.leases, filler, self.jobs_dir, options)

    def run(self, filler: LineFiller | None = None) -> JobRecord:
        self.worker(filler or LineFiller()).run(threading.Event())
        return self.job()

    def job(self) -> JobRecord:
        job = self.ledger.find(JOB)
        assert job is not None
        return job

    def output(self) -> str:
        parts = [chunk.part for chunk in self.ledger.chunks(JOB)]
        return "".join((self.folder.parts / one.name).read_text() for one in parts if one)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    database = Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}", patience_seconds=20)
    database.create_tables()
    yield Bench(database, make_private(tmp_path / "jobs"))
    database.close()


def once(action: Callable[[], None], at: int = 2) -> Callable[[int], None]:
    """Return a hook that acts the first time that a chunk is filled."""
    seen: list[int] = []

    def before_fill(index: int) -> None:
        if index == at and not seen:
            seen.append(index)
            action()

    return before_fill


def discard(_result: object) -> None:
    pass


def fails_with(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_after_a_job_every_row_was_read(bench: Bench) -> None:
    bench.submit(LINES)
    bench.run()
    assert bench.ledger.progress(JOB).num_rows_read == len(LINES)


def test_a_job_is_filled_in_order_and_its_folder_swept(bench: Bench) -> None:
    bench.submit(LINES)
    assert bench.run().state == "succeeded"
    assert bench.output() == output_of(LINES)
    left = {path.name for path in bench.folder.path.iterdir()}
    assert left == {"parts", "quarantine"}  # the stand-in writes no plan.json
    assert len(list(bench.folder.parts.iterdir())) == 7


def test_nobody_else_can_read_the_folders(bench: Bench) -> None:
    bench.submit(LINES)
    bench.run()
    for path in (bench.jobs_dir, bench.folder.path, bench.folder.parts, bench.folder.quarantine):
        assert path.stat().st_mode & 0o077 == 0


def test_a_failure_that_passes_is_tried_again(bench: Bench) -> None:
    bench.submit(LINES)
    filler = LineFiller(once(fails_with(OSError(errno.EIO, "no answer"))))
    assert bench.run(filler).state == "succeeded"
    assert bench.output() == output_of(LINES)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "full"), "disk_full"),
        (ArtifactError("altered"), "artifact_unusable"),
        (OSError(errno.EIO, "no answer"), "io_error"),
        (MemoryError(), "out_of_memory"),
        (ZeroDivisionError("a value"), "internal_error"),
    ],
)
def test_what_does_not_pass_fails_the_job_and_resumes_when_mended(
    bench: Bench, error: Exception, code: str
) -> None:
    bench.submit(LINES)

    def before_fill(index: int) -> None:
        if index == 3:
            raise error

    job = bench.run(LineFiller(before_fill))
    assert (job.state, job.error_code) == ("failed", code)
    assert "a value" not in str(job.error_detail)
    done = {chunk.index for chunk in bench.ledger.chunks(JOB) if chunk.state == "done"}
    bench.ledger.resume(JOB)
    filler = LineFiller()
    assert bench.run(filler).state == "succeeded"
    assert bench.output() == output_of(LINES)
    assert set(filler.filled) == set(range(7)) - done


def test_an_altered_chunk_fails_the_job(bench: Bench) -> None:
    bench.submit(LINES)

    def alter() -> None:
        (chunk,) = bench.folder.path.glob("plan-*/5.txt")
        chunk.write_text("another\n")

    job = bench.run(LineFiller(once(alter, at=0)))
    assert (job.state, job.error_code) == ("failed", "chunk_altered")


def test_a_stopped_worker_finishes_what_it_has_and_gives_the_rest_back(bench: Bench) -> None:
    bench.submit(LINES)
    stop = threading.Event()
    bench.worker(LineFiller(once(stop.set)), num_slots=1).run(stop)
    chunks = bench.ledger.chunks(JOB)
    assert [chunk.state for chunk in chunks] == ["done"] * 3 + ["pending"] * 4
    assert bench.run().state == "succeeded"
    assert bench.output() == output_of(LINES)


def test_a_zombie_that_wakes_up_publishes_nothing(tmp_path: Path) -> None:
    clock = SetClock()
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    database = Database(url, patience_seconds=20, clock=clock)
    database.create_tables()
    bench = Bench(database, make_private(tmp_path / "jobs"))
    bench.submit(LINES)
    is_asleep, wakes = threading.Event(), threading.Event()

    def sleep() -> None:
        is_asleep.set()
        assert wakes.wait(WAIT_SECONDS)

    zombie = threading.Thread(
        target=bench.worker(LineFiller(once(sleep)), "zombie", num_slots=1).run,
        args=(threading.Event(),),
    )
    zombie.start()
    assert is_asleep.wait(WAIT_SECONDS)
    clock.seconds += 31
    assert bench.run().state == "succeeded"
    output = bench.output()
    wakes.set()
    zombie.join()
    assert bench.output() == output == output_of(LINES)
    assert len(list(bench.folder.parts.iterdir())) == 7
    assert {chunk.worker_id for chunk in bench.ledger.chunks(JOB)} == {"zombie", "w1"}
    database.close()


def test_a_cancelled_job_stops_at_the_chunk_and_resumes(bench: Bench) -> None:
    bench.submit(LINES)
    filler = LineFiller(once(lambda: discard(bench.ledger.cancel(JOB))))
    assert bench.run(filler).state == "cancelled"
    assert len(filler.filled) < 7
    bench.ledger.resume(JOB)
    assert bench.run().state == "succeeded"
    assert bench.output() == output_of(LINES)


def test_a_job_that_is_deleted_while_it_runs_does_not_come_back(bench: Bench) -> None:
    bench.submit(LINES)

    def delete() -> None:
        bench.ledger.bury(JOB)
        remove_folder(bench.folder.path)

    assert bench.run(LineFiller(once(delete))).state == JobState.DELETED
    assert list(bench.jobs_dir.iterdir()) == []


def test_bad_subjects_are_set_aside_unless_they_are_too_many(bench: Bench) -> None:
    bench.submit([*LINES, "bad"], share=0.05)
    assert bench.run().state == "succeeded"
    assert bench.output() == output_of(LINES)
    assert bench.ledger.progress(JOB).num_quarantined == 1


def test_too_many_bad_subjects_fail_the_job(bench: Bench) -> None:
    bench.submit([*LINES, "bad", "bad"], share=0.05)
    assert bench.run().error_code == "too_many_quarantined"


def test_two_workers_share_a_job(bench: Bench) -> None:
    bench.submit(LINES)
    barrier = threading.Barrier(2)

    def meet() -> None:
        barrier.wait(WAIT_SECONDS)

    fillers = [LineFiller(once(meet, at=index)) for index in (0, 1)]
    names = ("w1", "w2")
    threads = [
        threading.Thread(
            target=bench.worker(filler, name, num_slots=1).run, args=(threading.Event(),)
        )
        for filler, name in zip(fillers, names, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.output() == output_of(LINES)
    assert sorted(fillers[0].filled + fillers[1].filled) == list(range(7))
