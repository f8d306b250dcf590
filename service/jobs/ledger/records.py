"""What the ledger takes and gives: plain data, no database."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from service.jobs.account import EMPTY_ACCOUNT, Account


class JobState(StrEnum):
    """Where a job stands. `deleted` is a tombstone: the files are gone."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETED = "deleted"


UNFINISHED = (JobState.QUEUED, JobState.RUNNING)


class ChunkState(StrEnum):
    """Where a chunk stands. A running chunk whose lease has ended may be claimed by anyone."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True)
class Failure:
    """Why work failed: a stable code, and words that hold nothing of what was posted."""

    code: str
    detail: str
    is_permanent: bool


@dataclass(frozen=True)
class Submission:
    """A job to be entered.

    `source` and `times`, a table of query times, are names in the folder of the job, or absolute.
    """

    id: str
    request: str
    source: str
    artifact_sha256: str
    model_name: str
    model_version: str
    input_sha256: str
    max_quarantined_share: float = 1.0
    times: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True)
class JobRecord:
    """A job as the ledger has it, of the same fields. Moments are microseconds since 1970 UTC."""

    id: str
    state: JobState
    protocol: int
    request: str
    source: str
    times: str | None
    artifact_sha256: str
    model_name: str
    model_version: str
    input_sha256: str
    plan: str | None
    created_us: int
    started_us: int | None
    ended_us: int | None
    error_code: str | None
    error_detail: str | None


@dataclass(frozen=True)
class Chunk:
    """Rows of whole subjects that are filled at once; `sha256` is that of their file in the plan."""

    index: int
    num_subjects: int
    num_rows: int
    sha256: str


@dataclass(frozen=True)
class Part:
    """What came out of a chunk: a file of `num_filled_rows` rows, and how it came about.

    `num_quarantined` subjects have no answer, `num_dropped` rows were not used; `account` says why.
    """

    name: str
    sha256: str
    num_bytes: int
    num_filled_rows: int
    num_abstained: int
    num_quarantined: int
    num_dropped: int = 0
    account: Account = EMPTY_ACCOUNT


@dataclass(frozen=True)
class Planned:
    """Chunks in order, and what became of the rows of the input that are in none of them."""

    chunks: tuple[Chunk, ...]
    account: Account = EMPTY_ACCOUNT


@dataclass(frozen=True)
class Lease:
    """The right to work on a chunk until its time is over. `epoch` is what fences a late holder off."""

    job: JobRecord
    chunk: Chunk
    epoch: int

    @property
    def key(self) -> tuple[str, int, int]:
        """Return what names this lease."""
        return self.job.id, self.chunk.index, self.epoch


@dataclass(frozen=True)
class ChunkRecord(Chunk):
    """A chunk as the ledger has it: who works on it, and its part once it is done."""

    state: ChunkState
    epoch: int
    num_failures: int
    num_deaths: int
    worker_id: str | None
    error_code: str | None
    part: Part | None
    started_us: int | None
    ended_us: int | None


@dataclass(frozen=True)
class Progress:
    """How far a job is. Numbers of the whole are null until the plan is made.

    `num_rows_read` counts the rows of the input that the plan has been made from so far.
    """

    num_rows_read: int
    num_chunks: int | None
    num_chunks_done: int
    num_chunks_running: int
    num_subjects: int | None
    num_subjects_done: int
    num_rows: int | None
    num_rows_done: int
    num_filled_rows: int
    num_abstained: int
    num_quarantined: int
    num_dropped: int
    percent: float
    subjects_per_second: float | None
    rows_per_second: float | None
    seconds_left: float | None


@dataclass(frozen=True)
class EventRecord:
    """Something that happened to a job. `number` counts from 1 without a gap; `content` is JSON."""

    number: int
    kind: str
    at_us: int
    content: str


@dataclass(frozen=True)
class Page:
    """Jobs, newest first; `next_before_us` asks for the following ones, if there are any."""

    jobs: Sequence[JobRecord]
    next_before_us: int | None
