"""Jobs with real worker processes, which a test may kill, freeze or starve at any moment."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from model.artifact import load_artifact
from model.files import sha256_of, sha256_of_all
from service.jobs.folder import JobFolder, make_private
from service.jobs.keeping import keep_artifact
from service.jobs.ledger.database import Database
from service.jobs.ledger.ledger import Ledger
from service.jobs.ledger.records import JobRecord
from service.jobs.request import JobRequest
from service.jobs.submitting import JobInput, new_submission

_LOOK_SECONDS = 0.01
_PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Output:
    """What a job published: for each chunk the hash of its rows and of its quarantine."""

    parts: tuple[str, ...]
    quarantines: tuple[str, ...]


@dataclass
class Plant:
    """A jobs folder, its ledger, and the processes that work on it."""

    jobs_dir: Path
    url: str
    artifact: Path
    lease_seconds: float = 2.0
    patience_seconds: float = _PATIENCE_SECONDS
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        make_private(self.jobs_dir)
        self.database = Database(self.url, patience_seconds=60)
        self.database.create_tables()
        self.ledger = Ledger(self.database)

    def submit(self, source: Path, request: JobRequest) -> str:
        """Enter a job whose input stays where it is."""
        artifact = load_artifact(self.artifact)
        keep_artifact(self.artifact, artifact.sha256, self.jobs_dir)
        job_id = uuid.uuid4().hex
        make_private(self.jobs_dir / job_id)
        job_input = JobInput(str(source), None, sha256_of_all([source]))
        job = new_submission(job_id, request, artifact, job_input, idempotency_key=None)
        return self.ledger.submit(job).id

    def start_worker(self) -> "subprocess.Popen[bytes]":
        """Start a process that works until nothing is left to do."""
        words = ["worker", "--jobs-dir", str(self.jobs_dir), "--database", self.url, "--until-idle"]
        environment = {
            **os.environ,
            "LACUNA_JOB_LEASE_SECONDS": str(self.lease_seconds),
            "OMP_NUM_THREADS": "1",
        }
        worker = subprocess.Popen(
            [sys.executable, "-m", "service", *words], env=environment, stderr=subprocess.DEVNULL
        )
        self.workers.append(worker)
        return worker

    def job(self, job_id: str) -> JobRecord:
        """Return a job."""
        job = self.ledger.find(job_id)
        assert job is not None
        return job

    def num_done(self, job_id: str) -> int:
        """Return how many chunks are done."""
        return self.ledger.progress(job_id).num_chunks_done

    def num_running(self, job_id: str) -> int:
        """Return how many chunks somebody holds."""
        return self.ledger.progress(job_id).num_chunks_running

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Look again and again; fail after a long time."""
        deadline = time.monotonic() + self.patience_seconds
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(_LOOK_SECONDS)

    def finish(self, job_id: str) -> Output:
        """Let a fresh worker do what is left, and return what was published."""
        assert self.start_worker().wait(self.patience_seconds) == 0
        return self.output(job_id)

    def output(self, job_id: str) -> Output:
        """Return what a successful job published, and check that it is nothing but that."""
        job = self.job(job_id)
        assert (job.state, job.error_code) == ("succeeded", None)
        folder = JobFolder(self.jobs_dir / job_id)
        chunks = self.ledger.chunks(job_id)
        assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
        names = [chunk.part.name for chunk in chunks if chunk.part is not None]
        assert {path.name for path in folder.parts.iterdir()} == set(names)
        hashes = [sha256_of(folder.parts / name) for name in names]
        assert hashes == [chunk.part.sha256 for chunk in chunks if chunk.part is not None]
        return Output(tuple(hashes), tuple(sha256_of(folder.quarantine_of(name)) for name in names))

    def close(self) -> None:
        """End every process that is left."""
        for worker in self.workers:
            with suppress(ProcessLookupError):
                worker.kill()
            worker.wait()
        self.database.close()


@contextmanager
def plant(folder: Path, artifact: Path, *, url: str | None = None) -> Iterator[Plant]:
    """Make a plant in a folder, by default on SQLite."""
    make_private(folder)
    made = Plant(folder / "jobs", url or f"sqlite:///{folder / 'ledger.sqlite'}", artifact)
    try:
        yield made
    finally:
        made.close()
