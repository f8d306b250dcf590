"""Sorting rows by subject, however many there are: sorted runs on disk, then merged.

Memory is bounded by the rows of a run, whatever the size of the input: as many are collected, and no
more than half as many are in hand while `_MAX_OPEN` runs are merged. Runs are read, not mapped: the
pages of mapped files count as memory of the process until the system wants them back.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import final

import pyarrow as pa
import pyarrow.compute as pc

_RUN_ROWS = 500_000
_BATCH_ROWS = 8_192
_MAX_OPEN = 32
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@final
class SortedRuns:
    """Runs of rows in a folder, each sorted by `subject_id`."""

    def __init__(self, folder: Path, *, run_rows: int = _RUN_ROWS) -> None:
        self._folder = folder
        self._run_rows = run_rows
        self._files: list[Path] = []
        self._num_written = 0
        self._waiting: list[pa.RecordBatch] = []
        self._num_waiting = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows in any order."""
        self._waiting.append(batch)
        self._num_waiting += batch.num_rows
        if self._num_waiting >= self._run_rows:
            self._spill()

    def merged(self) -> Iterator[pa.RecordBatch]:
        """Return all rows, sorted by subject; the runs are removed at the end."""
        if self._num_waiting:
            self._spill()
        while len(self._files) > _MAX_OPEN:
            groups = [
                self._files[at : at + _MAX_OPEN] for at in range(0, len(self._files), _MAX_OPEN)
            ]
            self._files = [self._write(self._emptied(group)) for group in groups]
        yield from self._emptied(self._files)

    def _emptied(self, files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        yield from _merge(files)
        for file in files:
            file.unlink()

    def _spill(self) -> None:
        table = pa.Table.from_batches(self._waiting)
        self._waiting, self._num_waiting = [], 0
        order = pc.sort_indices(table, sort_keys=[("subject_id", "ascending")])
        self._files.append(self._write(iter(table.take(order).to_batches(_BATCH_ROWS))))

    def _write(self, batches: Iterator[pa.RecordBatch]) -> Path:
        file = self._folder / f"run-{self._num_written:05d}.arrow"
        self._num_written += 1
        first = next(batches)
        with pa.ipc.new_file(file, first.schema, options=_OPTIONS) as writer:
            writer.write_batch(first)
            for batch in batches:
                writer.write_batch(batch)
        return file


def _merge(files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    """Merge runs: again and again all rows up to the least of the runs' last loaded subjects."""
    runs = [_Run(file) for file in files]
    runs = [run for run in runs if run.load()]
    while runs:
        limit = min(run.last for run in runs)
        rows = pa.Table.from_batches([run.take(limit) for run in runs]).combine_chunks()
        order = pc.sort_indices(rows, sort_keys=[("subject_id", "ascending")])
        yield from rows.take(order).to_batches(_BATCH_ROWS)
        runs = [run for run in runs if run.load()]


@final
class _Run:
    """A sorted file of which one batch is in memory."""

    def __init__(self, file: Path) -> None:
        self._reader = pa.ipc.open_file(pa.OSFile(str(file)))
        self._next = 0
        self._batch: pa.RecordBatch | None = None

    def load(self) -> bool:
        """Make sure that there are rows; return whether there are any left."""
        while self._batch is None or self._batch.num_rows == 0:
            if self._next == self._reader.num_record_batches:
                return False
            self._batch = self._reader.get_batch(self._next)
            self._next += 1
        return True

    @property
    def last(self) -> str:
        """The largest subject that is loaded."""
        assert self._batch is not None
        found: str = self._batch.column("subject_id")[-1].as_py()
        return found

    def take(self, limit: str) -> pa.RecordBatch:
        """Hand over the loaded rows of subjects up to the limit."""
        assert self._batch is not None
        subjects: Iterable[pa.Scalar] = self._batch.column("subject_id")
        count = pc.sum(pc.less_equal(subjects, limit)).as_py()
        taken = self._batch.slice(0, count)
        self._batch = self._batch.slice(count)
        return taken
