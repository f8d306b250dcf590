"""What is removed without being asked: old jobs, and what crashes left behind."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

from service.jobs.folder import DELETED, UPLOADING, JobFolder, remove_folder
from service.jobs.keeping import forget_artifacts
from service.jobs.ledger.ledger import Ledger
from service.jobs.ledger.records import JobState

_ABANDONED_SECONDS = 86_400.0
_logger = logging.getLogger("service.jobs.retention")


def delete_job(ledger: Ledger, jobs_dir: Path, job_id: str) -> None:
    """Make a job a tombstone and remove its files."""
    ledger.bury(job_id)
    remove_folder(jobs_dir / job_id)


def clean_up(ledger: Ledger, jobs_dir: Path, *, retention_seconds: float) -> None:
    """Delete jobs that ended longer ago than this; remove folders without a job."""
    for job_id in ledger.ended_before(age_seconds=retention_seconds):
        _logger.info("job %s is older than the retention; deleted", job_id)
        delete_job(ledger, jobs_dir, job_id)
    a_day_ago = time.time() - _ABANDONED_SECONDS
    for folder in _untouched_since(a_day_ago, jobs_dir):
        job = None if folder.name.startswith(".") else ledger.find(folder.name)
        if job is None or job.state == JobState.DELETED:
            remove_folder(folder)
        elif job.state == JobState.SUCCEEDED:
            parts = (chunk.part for chunk in ledger.chunks(job.id))
            JobFolder(folder).sweep({part.name for part in parts if part is not None})
    forget_artifacts(jobs_dir, ledger.artifacts_in_use(), unused_since=a_day_ago)


def _untouched_since(moment: float, jobs_dir: Path) -> Iterator[Path]:
    for folder in jobs_dir.iterdir():
        is_ours = folder.name.startswith((UPLOADING, DELETED)) or len(folder.name) == 32
        if is_ours and folder.is_dir() and folder.stat().st_mtime < moment:
            yield folder
