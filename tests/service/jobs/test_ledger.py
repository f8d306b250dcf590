"""The laws of the ledger: one holder at a time, nothing published twice, nothing lost."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.jobs.ledger.database import Database, DatabaseError
from service.jobs.ledger.leases import Leases
from service.jobs.ledger.ledger import Ledger
from service.jobs.ledger.records import (
    Chunk,
    Failure,
    JobState,
    Lease,
    Part,
    Planned,
    Submission,
)
from service.jobs.ledger.tables import PLAN
from tests.service.jobs.conftest import SetClock

LEASE_SECONDS = 30.0
JOB = "a" * 32
TRANSIENT = Failure("io_error", "the disk did not answer", is_permanent=False)
PERMANENT = Failure("input_changed", "the input is another", is_permanent=True)


def submission(job_id: str = JOB, *, share: float = 1.0, key: str | None = None) -> Submission:
    return Submission(job_id, "{}", "input/table", "0" * 64, "icu", "1", "f" * 64, share, None, key)


def part(lease: Lease, *, num_quarantined: int = 0) -> Part:
    name = f"{lease.chunk.index:06d}-{lease.epoch}.parquet"
    return Part(name, "e" * 64, 100, 10, 1, num_quarantined)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def leases(database: Database) -> Leases:
    return Leases(database, lease_seconds=LEASE_SECONDS, retry_seconds=2)


def claimed(leases: Leases, worker_id: str = "w1") -> Lease:
    lease = leases.claim(worker_id)
    assert lease is not None
    return lease


def planned(ledger: Ledger, leases: Leases, *, num_chunks: int, share: float = 1.0) -> None:
    job = ledger.submit(submission(share=share))
    chunks = [Chunk(index, 4, 40, "c" * 64) for index in range(num_chunks)]
    plan = claimed(leases)
    assert (plan.job.id, plan.chunk.index) == (job.id, PLAN)
    assert leases.publish_plan(plan, "plan-1", Planned(tuple(chunks)))


def state(ledger: Ledger) -> JobState:
    job = ledger.find(JOB)
    assert job is not None
    return job.state


def test_a_job_goes_from_queued_to_succeeded(ledger: Ledger, leases: Leases) -> None:
    planned(ledger, leases, num_chunks=3)
    for index in range(3):
        assert state(ledger) == "running"
        lease = claimed(leases)
        assert lease.chunk.index == index
        assert leases.publish(lease, part(lease))
    assert state(ledger) == "succeeded"
    progress = ledger.progress(JOB)
    assert (progress.num_chunks_done, progress.num_subjects_done, progress.percent) == (3, 12, 100)
    assert (progress.num_filled_rows, progress.num_abstained) == (30, 3)
    assert leases.claim("w1") is None


def test_rows_that_are_read_are_counted_and_watched_before_there_is_a_plan(
    ledger: Ledger, leases: Leases, clock: SetClock
) -> None:
    ledger.submit(submission())
    first = claimed(leases)
    assert leases.note_read(first, 1_000)
    progress = ledger.progress(JOB)
    assert (progress.num_rows_read, progress.num_rows) == (1_000, None)
    assert [event.kind for event in ledger.events(JOB, after=0)][-1] == "read"
    clock.seconds += LEASE_SECONDS + 1
    second = claimed(leases, "w2")
    assert not leases.note_read(first, 2_000)
    assert leases.note_read(second, 500)
    assert ledger.progress(JOB).num_rows_read == 500


def test_an_empty_plan_ends_the_job(ledger: Ledger, leases: Leases) -> None:
    planned(ledger, leases, num_chunks=0)
    assert state(ledger) == "succeeded"


def test_a_chunk_has_one_holder_until_the_lease_ends(
    ledger: Ledger, leases: Leases, clock: SetClock
) -> None:
    planned(ledger, leases, num_chunks=1)
    first = claimed(leases, "w1")
    clock.seconds += LEASE_SECONDS - 1
    assert leases.claim("w2") is None
    assert leases.renew([first]) == {first.key}
    clock.seconds += LEASE_SECONDS - 1
    assert leases.claim("w2") is None
    clock.seconds += 2
    second = claimed(leases, "w2")
    assert second.epoch > first.epoch


def test_a_zombie_can_neither_publish_nor_renew_nor_fail(
    ledger: Ledger, leases: Leases, clock: SetClock
) -> None:
    planned(ledger, leases, num_chunks=1)
    zombie = claimed(leases, "w1")
    clock.seconds += LEASE_SECONDS + 1
    heir = claimed(leases, "w2")
    assert not leases.publish(zombie, part(zombie))
    assert leases.renew([zombie]) == set()
    leases.fail(zombie, PERMANENT)
    leases.release(zombie)
    assert state(ledger) == "running"
    assert leases.publish(heir, part(heir))
    assert not leases.publish(zombie, part(zombie))
    (chunk,) = ledger.chunks(JOB)
    assert chunk.part == part(heir)
    assert state(ledger) == "succeeded"


def test_a_zombie_cannot_publish_a_plan(ledger: Ledger, leases: Leases, clock: SetClock) -> None:
    ledger.submit(submission())
    zombie = claimed(leases, "w1")
    clock.seconds += LEASE_SECONDS + 1
    heir = claimed(leases, "w2")
    assert leases.publish_plan(heir, "plan-2", Planned((Chunk(0, 1, 1, ""),)))
    assert not leases.publish_plan(zombie, "plan-1", Planned((Chunk(0, 9, 9, ""),)))
    assert ledger.progress(JOB).num_subjects == 1


def test_publishing_again_after_a_lost_answer_changes_nothing(
    ledger: Ledger, leases: Leases
) -> None:
    planned(ledger, leases, num_chunks=1)
    lease = claimed(leases)
    assert leases.publish(lease, part(lease))
    events = ledger.events(JOB, after=0)
    assert leases.publish(lease, part(lease))
    assert ledger.events(JOB, after=0) == events


def test_many_workers_share_the_chunks_without_a_double(ledger: Ledger, leases: Leases) -> None:
    planned(ledger, leases, num_chunks=24)
    barrier = threading.Barrier(4)

    def work(worker_id: str) -> list[int]:
        barrier.wait()
        done = []
        while (lease := leases.claim(worker_id)) is not None:
            assert leases.publish(lease, part(lease))
            done.append(lease.chunk.index)
        return done

    with ThreadPoolExecutor(4) as pool:
        done = [index for found in pool.map(work, "abcd") for index in found]
    assert sorted(done) == list(range(24))
    assert state(ledger) == "succeeded"
    assert [event.number for event in ledger.events(JOB, after=0)] == list(range(1, 29))


def test_a_failure_is_tried_again_later_and_then_fails_the_job(
    ledger: Ledger, leases: Leases, clock: SetClock
) -> None:
    planned(ledger, leases, num_chunks=2)
    for wait_seconds in (2, 4):
        lease = claimed(leases)
        leases.fail(lease, TRANSIENT)
        other = claimed(leases)
        assert other.chunk.index == 1
        leases.release(other)
        clock.seconds += wait_seconds
    leases.fail(claimed(leases), TRANSIENT)
    job = ledger.find(JOB)
    assert job is not None
    assert (job.state, job.error_code) == ("failed", "io_error")
    assert leases.claim("w1") is None


def test_a_permanent_failure_fails_the_job_and_resume_sets_it_going(
    ledger: Ledger, leases: Leases
) -> None:
    planned(ledger, leases, num_chunks=2)
    first, second = claimed(leases, "w1"), claimed(leases, "w2")
    leases.fail(first, PERMANENT)
    assert state(ledger) == "failed"
    assert not leases.publish(second, part(second))
    assert ledger.resume(JOB) is not None
    for _ in range(2):
        lease = claimed(leases)
        assert leases.publish(lease, part(lease))
    job = ledger.find(JOB)
    assert job is not None
    assert (job.state, job.error_code) == ("succeeded", None)


def test_a_chunk_that_kills_its_workers_fails_the_job(
    ledger: Ledger, database: Database, clock: SetClock
) -> None:
    leases = Leases(database, lease_seconds=LEASE_SECONDS, max_deaths=2)
    planned(ledger, leases, num_chunks=1)
    for _ in range(3):
        claimed(leases)
        clock.seconds += LEASE_SECONDS + 1
    assert leases.claim("w1") is None
    job = ledger.find(JOB)
    assert job is not None
    assert (job.state, job.error_code) == ("failed", "worker_died")


def test_a_released_chunk_is_claimed_at_once(ledger: Ledger, leases: Leases) -> None:
    planned(ledger, leases, num_chunks=1)
    leases.release(claimed(leases, "w1"))
    lease = claimed(leases, "w2")
    assert leases.publish(lease, part(lease))
    assert ledger.chunks(JOB)[0].num_deaths == 0


def test_what_is_cancelled_publishes_no_more_and_resumes(ledger: Ledger, leases: Leases) -> None:
    planned(ledger, leases, num_chunks=2)
    done, running = claimed(leases), claimed(leases)
    assert leases.publish(done, part(done))
    assert ledger.cancel(JOB) is not None
    assert not leases.publish(running, part(running))
    assert leases.claim("w1") is None
    assert ledger.resume(JOB) is not None
    lease = claimed(leases)
    assert lease.chunk.index == running.chunk.index
    assert not leases.publish(running, part(running))
    assert leases.publish(lease, part(lease))
    assert state(ledger) == "succeeded"


def test_too_many_quarantined_subjects_fail_the_job_also_after_resume(
    ledger: Ledger, leases: Leases
) -> None:
    planned(ledger, leases, num_chunks=2, share=0.25)
    for num_quarantined in (2, 1):
        assert state(ledger) == "running"
        lease = claimed(leases)
        assert leases.publish(lease, part(lease, num_quarantined=num_quarantined))
    assert state(ledger) == "failed"
    ledger.resume(JOB)
    assert state(ledger) == "failed"


def test_the_same_key_is_the_same_job(ledger: Ledger) -> None:
    first = ledger.submit(submission(key="k"))
    again = ledger.submit(submission("b" * 32, key="k"))
    assert again == first
    assert ledger.find("b" * 32) is None
    ledger.bury(JOB)
    assert ledger.submit(submission("c" * 32, key="k")).id == "c" * 32


def test_keys_race_to_one_job(ledger: Ledger) -> None:
    names = [character * 32 for character in "0123456789"]
    with ThreadPoolExecutor(5) as pool:
        jobs = pool.map(lambda n: ledger.submit(submission(n, key="k")), names)
    assert len({job.id for job in jobs}) == 1


def test_a_tombstone_stays_and_is_listed_only_when_asked_for(ledger: Ledger) -> None:
    ledger.submit(submission())
    assert ledger.bury(JOB) is not None
    assert state(ledger) == "deleted"
    assert ledger.list_jobs(limit=10).jobs == []
    assert [job.id for job in ledger.list_jobs(limit=10, state=JobState.DELETED).jobs] == [JOB]
    assert ledger.resume(JOB) is not None
    assert state(ledger) == "deleted"


def test_jobs_are_listed_newest_first_page_by_page(ledger: Ledger, clock: SetClock) -> None:
    names = [f"{number:032d}" for number in range(5)]
    for name in names:
        ledger.submit(submission(name))
        clock.seconds += 1
    first = ledger.list_jobs(limit=3)
    second = ledger.list_jobs(limit=3, before_us=first.next_before_us)
    assert [job.id for job in (*first.jobs, *second.jobs)] == names[::-1]
    assert second.next_before_us is None


def test_old_jobs_are_found_when_they_have_ended(
    ledger: Ledger, leases: Leases, clock: SetClock
) -> None:
    planned(ledger, leases, num_chunks=0)
    ledger.submit(submission("b" * 32))
    clock.seconds += 100
    assert ledger.ended_before(age_seconds=99) == [JOB]
    assert ledger.ended_before(age_seconds=101) == []


def test_a_job_of_another_protocol_waits(
    ledger: Ledger, leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("service.jobs.ledger.ledger.JOB_PROTOCOL", 3)
        ledger.submit(submission())
    assert leases.claim("w1") is None


def test_workers_are_counted_while_they_are_heard_of(
    ledger: Ledger, leases: Leases, clock: SetClock
) -> None:
    leases.greet("w1", "host")
    clock.seconds += 20
    leases.greet("w2", "host")
    assert ledger.num_live_workers(within_seconds=10) == 1
    leases.greet("w1", "host")
    assert ledger.num_live_workers(within_seconds=10) == 2


def test_tables_may_be_created_by_several_at_once(database_url: str) -> None:
    databases = [Database(database_url, patience_seconds=20) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda database: database.create_tables(), databases))
    for database in databases:
        database.close()


def test_a_ledger_of_another_version_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.create_tables()
    monkeypatch.setattr("service.jobs.ledger.database.LEDGER_VERSION", 3)
    with pytest.raises(DatabaseError, match="version 2"):
        database.create_tables()


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/name", "sqlite://", "postgresql:/x:y:z"])
def test_a_url_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(DatabaseError) as error:
        Database(url, patience_seconds=0).create_tables()
    assert url not in str(error.value)
