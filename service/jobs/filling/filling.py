"""One chunk from its rows to its part of the output. The same chunk gives the same bytes.

While the model computes one batch of series, the batch before it is laid out and written by another
thread. A batch holds some ten thousand queries: enough that its fixed costs vanish, few enough that
it stays in the processor's cache.
"""

import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pyarrow as pa

from model.artifact import Artifact
from model.files import sha256_of
from model.runtime.predictor import Prediction, Predictor, Request
from service.jobs.filling.answers import answer
from service.jobs.filling.choosing import Questions, choose_questions
from service.jobs.filling.chunk_reading import ReadChunk, read_chunk_rows
from service.jobs.filling.output import Layout
from service.jobs.filling.refusals import Refusals
from service.jobs.filling.writing import TableWriter, open_writer
from service.jobs.ledger.records import Chunk, Part
from service.jobs.planning.chunks import read_chunk
from service.jobs.request import JobRequest

PREDICTION_FAILED = "prediction_failed"

# Queries and observations of a batch.
_BATCH_SIZE = 32_768
_MAX_WAITING = 2


def fill_chunk(
    predictor: Predictor,
    request: JobRequest,
    folder: Path,
    chunk: Chunk,
    part: Path,
    quarantine: Path,
) -> Part:
    """Answer the subjects of a chunk: rows into `part`, subjects without an answer into `quarantine`.

    The files are complete when this returns; bringing them to disk and to their names is the
    caller's work.

    Raises
    ------
    ChunkAlteredError
        If the chunk is not the one that was planned.
    """
    catalogue = predictor.artifact.catalogue
    rows = read_chunk(folder, chunk)
    read = read_chunk_rows(rows, request, catalogue)
    questions = choose_questions(read, request, catalogue)
    layout = Layout(request, catalogue, model_version(predictor.artifact), rows.whole.time_kind)
    with (
        open_writer(part, request.output.format, layout.schema) as writer,
        _Sink(layout, writer) as sink,
    ):
        for batch in questions.batches(_BATCH_SIZE):
            for answered, prediction in _predict(predictor, request, batch, read.refusals):
                sink.put(answered, prediction)
        written = sink.finish()
    return Part(
        part.name,
        sha256_of(part),
        part.stat().st_size,
        num_filled_rows=written.num_rows,
        num_abstained=written.num_abstained,
        num_quarantined=_write_quarantine(read, layout.subject_type, quarantine),
        num_dropped=read.account.num_not_used,
        account=read.account,
    )


def model_version(artifact: Artifact) -> str:
    """Return name, version and the beginning of the hash of a model."""
    manifest = artifact.manifest
    return f"{manifest.name} {manifest.version} {artifact.sha256[:12]}"


@dataclass(frozen=True)
class _Written:
    num_rows: int
    num_abstained: int


@final
class _Sink:
    """Lays out and writes answers in a thread of its own, in order, a few of them waiting at most."""

    def __init__(self, layout: Layout, writer: TableWriter) -> None:
        self._layout = layout
        self._writer = writer
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[_Written]] = deque()
        self._done: list[_Written] = []

    def put(self, questions: Questions, prediction: Prediction) -> None:
        """Take the prediction of a batch; raises what an earlier one met with."""
        self._waiting.append(self._pool.submit(self._write, questions, prediction))
        while len(self._waiting) > _MAX_WAITING:
            self._done.append(self._waiting.popleft().result())

    def finish(self) -> _Written:
        """Wait for what is left, and return the sums."""
        self._done.extend(future.result() for future in self._waiting)
        self._waiting.clear()
        return _Written(
            sum(one.num_rows for one in self._done), sum(one.num_abstained for one in self._done)
        )

    def __enter__(self) -> "_Sink":
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _write(self, questions: Questions, prediction: Prediction) -> _Written:
        answers = answer(questions.cohort, questions.query, prediction)
        table = self._layout.table(questions, answers)
        self._writer.write(table)
        return _Written(table.num_rows, answers.num_abstained)


def _predict(
    predictor: Predictor, request: JobRequest, questions: Questions, refusals: Refusals
) -> Iterator[tuple[Questions, Prediction]]:
    """Answer a batch; one that fails is halved until the subject at fault stands alone."""
    asked = Request(
        questions.cohort,
        questions.query,
        quantile_levels=request.quantile_levels,
        seed=request.seed,
    )
    try:
        prediction = predictor.predict(asked)
    except (MemoryError, OSError):
        raise
    except Exception:  # noqa: BLE001  whoever is at fault: the others must not suffer for it
        starts = questions.starts
        if len(starts) == 1:
            refusals.add(
                questions.subjects, PREDICTION_FAILED, "the model cannot compute an answer"
            )
            return
        middle, end = int(starts[len(starts) // 2]), len(questions.cohort)
        for half in (questions.between(0, middle), questions.between(middle, end)):
            yield from _predict(predictor, request, half, refusals)
    else:
        yield questions, prediction


def _write_quarantine(read: ReadChunk, subject_type: pa.DataType, path: Path) -> int:
    """Write a line for every refused subject, in order, and return their number."""
    refused = read.refusals.items()
    subjects = read.subject_ids.take(pa.array([number for number, _ in refused], pa.int64()))
    subjects = subjects.cast(subject_type)
    with path.open("w", encoding="utf-8") as file:
        for subject, (_, refusal) in zip(subjects.to_pylist(), refused, strict=True):
            line = {"subject_id": subject, "code": refusal.code, "detail": refusal.detail}
            file.write(json.dumps(line) + "\n")
    return len(refused)
