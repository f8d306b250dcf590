"""The output of a job as one file, from its parts, without holding more than a piece of one."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import final

import pyarrow as pa
import pyarrow.parquet as pq

from service.jobs.request import OutputFormat

_PIECE_BYTES = 1 << 18
MEDIA_TYPES = {
    OutputFormat.PARQUET: "application/vnd.apache.parquet",
    OutputFormat.CSV: "text/csv; charset=utf-8",
    OutputFormat.NDJSON: "application/x-ndjson",
}


def as_one_file(parts: Sequence[Path], output_format: OutputFormat) -> Iterator[bytes]:
    """Yield the bytes of one file with the rows of all parts, in order."""
    if output_format is OutputFormat.PARQUET:
        yield from _parquet(parts)
        return
    for number, part in enumerate(parts):
        has_header = output_format is OutputFormat.CSV and number > 0
        yield from _lines(part, skips_first=has_header)


def joined(files: Sequence[Path]) -> Iterator[bytes]:
    """Yield files of lines, one after the other; one that is not there has no lines."""
    for file in files:
        with suppress(FileNotFoundError):
            yield from _lines(file, skips_first=False)


def _lines(file: Path, *, skips_first: bool) -> Iterator[bytes]:
    with file.open("rb") as opened:
        if skips_first:
            opened.readline()
        while piece := opened.read(_PIECE_BYTES):
            yield piece


@final
class _Outlet:
    """A file whose bytes are taken out as soon as they are written."""

    closed = False

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self._position = 0

    def write(self, data: bytes) -> int:
        """Keep bytes until they are taken."""
        self._written.append(bytes(data))
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        """Return how many bytes were written; the footer says where each column is."""
        return self._position

    def flush(self) -> None:
        """Do nothing; Arrow asks."""

    def take(self) -> bytes:
        """Return what was written since."""
        taken = b"".join(self._written)
        self._written.clear()
        return taken


def _parquet(parts: Sequence[Path]) -> Iterator[bytes]:
    """Put the row groups of the parts into one file."""
    if not parts:
        return
    outlet = _Outlet()
    schema = pq.read_schema(parts[0])
    with pq.ParquetWriter(
        pa.PythonFile(outlet, mode="w"), schema, compression="zstd", store_schema=False
    ) as writer:
        for part in parts:
            with pq.ParquetFile(part) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group))
                    yield outlet.take()
    yield outlet.take()
