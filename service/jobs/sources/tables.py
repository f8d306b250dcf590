"""Long tables in Parquet, CSV and NDJSON: `subject_id, time, variable, value` and, if there, `unit`.

A static is a row whose variable is a static of the catalogue; it needs no time. Its category is a
number, or its name: in `text_value`, or in `value` where that column holds text. A table of query
times has the columns `subject_id` and `time`.
"""

import csv
import gzip
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from service.jobs.errors import JobInputError
from service.jobs.reading.columns import Told, read_moments, read_text, read_values, to_rows
from service.jobs.reading.rows import Rows
from service.jobs.sources.lines import objects_of, reading

QUERY_COLUMNS = ("subject_id", "time")
REQUIRED_COLUMNS = (*QUERY_COLUMNS, "variable", "value")
OPTIONAL_COLUMNS = ("unit", "text_value")

_BATCH_ROWS = 65_536
# Of CSV; Arrow reads some thirty blocks ahead.
_BLOCK_BYTES = 2**20
_BUFFER_BYTES = 256 * 2**10
_DELIMITERS = ",;\t|"


def read_parquet(path: Path, *, is_query: bool = False) -> Iterator[Rows]:
    """Read a file, or every Parquet file of a folder."""
    return _read(list_files(path, ".parquet"), parquet_batches, is_query=is_query)


def read_csv(path: Path, *, is_query: bool = False) -> Iterator[Rows]:
    """Read comma, semicolon, tab or bar separated text with a header, also gzipped."""
    return _read(list_files(path, ".csv", ".csv.gz"), _csv_batches, is_query=is_query)


def read_ndjson(path: Path, *, is_query: bool = False) -> Iterator[Rows]:
    """Read one object a line, also gzipped."""
    files = list_files(path, ".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz")
    return _read(files, _ndjson_batches, is_query=is_query)


def list_files(path: Path, *endings: str) -> list[Path]:
    """Return the file, or the files of a folder in the order of their names.

    Raises
    ------
    JobInputError
        If there is none.
    """
    if path.is_file():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.name.lower().endswith(endings))
    if not found:
        raise JobInputError(f"expected a file, or a folder of files ending in {endings[0]}")
    return found


def check_columns(found: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise `JobInputError` unless every wanted column is there once."""
    for name in wanted:
        if found.count(name) != 1:
            was = "is missing" if name not in found else "is there more than once"
            raise JobInputError(
                f"expected the columns {', '.join(wanted)}; of the {len(found)} found, `{name}` {was}"
            )


def parquet_batches(file: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Stream the wanted columns of a file, and those of the optional ones that it has.

    Of a row group that is begun, Arrow holds what it has read of the columns of text, compressed.
    """
    with (
        reading("Parquet"),
        # Arrow would read ahead, and keep all of the file until its end.
        pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER_BYTES) as opened,
    ):
        found = opened.schema_arrow.names
        check_columns(found, columns)
        yield from opened.iter_batches(_BATCH_ROWS, columns=_chosen(found, columns))


def _read(
    files: Sequence[Path],
    batches: Callable[[Path, Sequence[str]], Iterator[pa.RecordBatch]],
    *,
    is_query: bool,
) -> Iterator[Rows]:
    columns = QUERY_COLUMNS if is_query else REQUIRED_COLUMNS
    for file in files:
        for batch in batches(file, columns):
            yield Rows(_rows(batch, is_query=is_query))


def _rows(batch: pa.RecordBatch, *, is_query: bool) -> pa.RecordBatch:
    told = Told.nothing(batch.num_rows) if is_query else _told(batch)
    subjects = read_text(batch.column("subject_id"), name="subject_id")
    return to_rows(subjects, read_moments(batch.column("time")), told, is_query=is_query)


def _told(batch: pa.RecordBatch) -> Told:
    values = read_values(batch.column("value"))
    words = values.texts
    if "text_value" in batch.schema.names:
        words = pc.coalesce(words, read_text(batch.column("text_value"), name="text_value"))
    has_unit = "unit" in batch.schema.names
    return Told(
        read_text(batch.column("variable"), name="variable"),
        pa.array(values.numbers),
        words,
        read_text(batch.column("unit"), name="unit")
        if has_unit
        else pa.nulls(batch.num_rows, pa.string()),
    )


def _chosen(found: Sequence[str], columns: Sequence[str]) -> list[str]:
    optional = OPTIONAL_COLUMNS if columns == REQUIRED_COLUMNS else ()
    return [*columns, *(name for name in optional if name in found)]


def _csv_batches(file: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Read every column as text: what is a number is told apart in the same way everywhere."""
    with reading("CSV"):
        delimiter, found = _header(file, columns)
        check_columns(found, columns)
        wanted = _chosen(found, columns)
        opened = pyarrow.csv.open_csv(
            pa.input_stream(file, compression="detect"),
            read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()),
                include_columns=wanted,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        yield from opened


def _header(file: Path, columns: Sequence[str]) -> tuple[str, list[str]]:
    """Return the delimiter by which the header has most of the columns, and the header."""
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as opened:
        line = opened.readline(1 << 16).decode("utf-8-sig").strip()
    readings = {mark: next(csv.reader([line], delimiter=mark), []) for mark in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda mark: len(set(readings[mark]) & set(columns)))
    return best, readings[best]


def _ndjson_batches(file: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for rows in objects_of(file, "NDJSON"):
        found = list(dict.fromkeys(name for row in rows for name in row))
        check_columns(found, columns)
        chosen = _chosen(found, columns)
        yield pa.RecordBatch.from_arrays(
            [_column([row.get(name) for row in rows], name) for name in chosen], names=chosen
        )


def _column(values: list[Any], name: str) -> pa.Array:
    """Return integers or numbers as they are; where there is text, all of it as text."""
    kinds = set(map(type, values)) - {type(None)}
    with reading("NDJSON"):
        if kinds <= {int}:
            return pa.array(values, pa.int64())
        if kinds <= {int, float}:
            return pa.array(values, pa.float64())
        if kinds <= {int, float, str}:
            texts = [one if one is None or type(one) is str else repr(one) for one in values]
            return pa.array(texts, pa.string())
    raise JobInputError(f"the field `{name}` must be a number or text in every line")
