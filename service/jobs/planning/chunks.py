"""Chunks: files of the rows of some whole subjects, in the order of the subjects.

Of a subject with more than `MAX_ROWS_PER_SUBJECT` one row beyond is kept, so that this is known.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

from model.files import sha256_of
from model.records.rows import TimeKind
from service.jobs.errors import ChunkAlteredError
from service.jobs.ledger.records import Chunk

MAX_ROWS_PER_SUBJECT: Final = 200_000
"""A subject with more has no answer."""

_WHOLE = b"whole"
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True)
class Whole:
    """What only all rows of a job together can say: see `model.records.reading.ReadingRules`."""

    time_kind: TimeKind
    suspected: frozenset[tuple[str, str]] = frozenset()

    def metadata(self) -> dict[bytes, bytes]:
        """Write it for the file of a chunk."""
        content = [int(self.time_kind), sorted(map(list, self.suspected))]
        return {_WHOLE: json.dumps(content).encode()}

    @classmethod
    def of_metadata(cls, metadata: Mapping[bytes, bytes]) -> "Whole":
        """Read what `metadata` has written."""
        kind, suspected = json.loads(metadata[_WHOLE])
        return cls(TimeKind(kind), frozenset((name, unit) for name, unit in suspected))


@dataclass(frozen=True)
class SortedRows:
    """All rows of some subjects, sorted by subject, and what the whole job knows about them."""

    table: pa.Table
    whole: Whole


def read_chunk(folder: Path, chunk: Chunk) -> SortedRows:
    """Read a chunk whole.

    Raises
    ------
    ChunkAlteredError
        If it is not there, or not as it was planned.
    """
    path = chunk_path(folder, chunk.index)
    if not path.is_file():
        raise ChunkAlteredError(f"chunk {chunk.index} is missing; start the job again")
    if sha256_of(path) != chunk.sha256:
        raise ChunkAlteredError(
            f"chunk {chunk.index} is not the file that was planned; start the job again"
        )
    with pa.ipc.open_file(pa.memory_map(str(path))) as reader:
        whole = Whole.of_metadata(reader.schema.metadata)
        return SortedRows(reader.read_all().combine_chunks(), whole)


def cut(
    batches: Iterable[pa.RecordBatch], folder: Path, whole: Whole, *, chunk_subjects: int
) -> Iterator[Chunk]:
    """Write rows that are sorted by subject as chunks of so many subjects."""
    counter = _SubjectCounter()
    open_file: _ChunkFile | None = None
    for batch in batches:
        numbers = counter.count(batch.column("subject_id"))
        kept = batch.filter(pa.array(numbers.is_kept))
        subjects = numbers.subjects[numbers.is_kept]
        owners = subjects // chunk_subjects
        starts = np.flatnonzero(np.diff(owners, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(owners)], strict=True):
            index = int(owners[start])
            if open_file is None or open_file.index != index:
                if open_file is not None:
                    yield open_file.close()
                open_file = _ChunkFile(folder, index, whole, kept.schema)
            num_subjects = int(subjects[stop - 1]) % chunk_subjects + 1
            open_file.write(kept.slice(start, stop - start), num_subjects)
    if open_file is not None:
        yield open_file.close()


@dataclass(frozen=True)
class _Numbers:
    """The number of each row's subject, and which rows are not too many for it."""

    subjects: Int[np.ndarray, " row"]
    is_kept: Bool[np.ndarray, " row"]


@final
class _SubjectCounter:
    """Numbers the subjects of sorted rows, batch after batch."""

    def __init__(self) -> None:
        self._last: pa.Scalar | None = None
        self._number = -1
        self._rows = 0

    def count(self, subjects: pa.Array) -> _Numbers:
        is_new = np.ones(len(subjects), dtype=bool)
        is_new[1:] = pc.not_equal(subjects[1:], subjects[:-1]).to_numpy(zero_copy_only=False)
        is_new[0] = self._last is None or not self._last.equals(subjects[0])
        numbers = self._number + np.cumsum(is_new)
        places = np.arange(len(subjects))
        starts = np.maximum.accumulate(np.where(is_new, places, -self._rows))
        ranks = places - starts
        self._last, self._number = subjects[-1], int(numbers[-1])
        self._rows = int(ranks[-1]) + 1
        return _Numbers(numbers, ranks <= MAX_ROWS_PER_SUBJECT)


@final
class _ChunkFile:
    """A chunk that is being written."""

    def __init__(self, folder: Path, index: int, whole: Whole, schema: pa.Schema) -> None:
        self.index = index
        self._path = chunk_path(folder, index)
        described = schema.with_metadata(whole.metadata())
        self._writer = pa.ipc.new_file(self._path, described, options=_OPTIONS)
        self._num_subjects = 0
        self._num_rows = 0

    def write(self, rows: pa.RecordBatch, num_subjects: int) -> None:
        """Add rows; `num_subjects` are now in the chunk."""
        self._writer.write_batch(rows)
        self._num_rows += rows.num_rows
        self._num_subjects = num_subjects

    def close(self) -> Chunk:
        self._writer.close()
        return Chunk(self.index, self._num_subjects, self._num_rows, sha256_of(self._path))


def chunk_path(folder: Path, index: int) -> Path:
    """Return where the file of a chunk is in the folder of the plan."""
    return folder / "chunks" / f"{index:06d}.arrow"
