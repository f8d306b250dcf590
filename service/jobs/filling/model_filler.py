"""Cutting and filling with the model that a job began with."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import final

from model.artifact import Artifact, load_artifact
from model.errors import ArtifactError
from model.runtime.predictor import Prediction, Predictor, Request
from service.jobs.account import Account
from service.jobs.errors import JobInputError
from service.jobs.filling.filling import fill_chunk
from service.jobs.folder import JobFolder
from service.jobs.keeping import kept_artifact
from service.jobs.ledger.records import Chunk, JobRecord, Part, Planned
from service.jobs.planning.plan import make_plan
from service.jobs.request import JobRequest


@final
class ModelFiller:
    """Fills with the models that are kept beside the jobs.

    Parameters
    ----------
    open_predictor
        From the directory of an artifact to what answers.
    """

    def __init__(self, jobs_dir: Path, open_predictor: Callable[[Path], Predictor]) -> None:
        self._jobs_dir = jobs_dir
        self._open_predictor = open_predictor
        self._opened: Predictor | None = None
        self._lock = threading.Lock()

    def plan(
        self, job: JobRecord, folder: JobFolder, plan: Path, tell: Callable[[int], None]
    ) -> Planned:
        """Cut the input; `plan` holds all that the chunks need."""
        artifact = load_artifact(kept_artifact(self._jobs_dir, job.artifact_sha256))
        times = None if job.times is None else folder.source(job.times)
        source = folder.source(job.source)
        made = make_plan(source, _request(job), plan, artifact.catalogue, times=times, tell=tell)
        if made.input_sha256 != job.input_sha256:
            raise JobInputError(
                "the input is not the one that was submitted; restore it, or submit the new one",
                code="input_changed",
            )
        return Planned(made.chunks, Account.of_planning(made.ignored, made.remarks))

    def fill(self, job: JobRecord, plan: Path, chunk: Chunk, part: Path, quarantine: Path) -> Part:
        """Fill a chunk."""
        predictor = self._predictor(job.artifact_sha256)
        return fill_chunk(predictor, _request(job), plan, chunk, part, quarantine)

    def suffix(self, job: JobRecord) -> str:
        """Return how the names of the parts end, with the dot."""
        return f".{_request(job).output.format}"

    def _predictor(self, sha256: str) -> Predictor:
        """Return the predictor of an artifact; the last one stays open."""
        with self._lock:
            if self._opened is None or self._opened.artifact.sha256 != sha256:
                opened = self._open_predictor(kept_artifact(self._jobs_dir, sha256))
                if opened.artifact.sha256 != sha256:
                    raise ArtifactError("the kept model is another than the job began with")
                self._opened = _OneAtATime(opened)
            return self._opened


@final
class _OneAtATime:
    """A predictor that may be called from several threads."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._lock = threading.Lock()

    @property
    def artifact(self) -> Artifact:
        """The artifact that answers."""
        return self._predictor.artifact

    def predict(self, request: Request) -> Prediction:
        """Answer every query, when the others are answered."""
        with self._lock:
            return self._predictor.predict(request)


def _request(job: JobRecord) -> JobRequest:
    return JobRequest.model_validate_json(job.request)
