"""Long tables in Parquet, CSV and NDJSON: `subject_id, time, variable, value` and, if there, `unit`.

A static is a row whose variable is a static of the catalogue; it needs no time. Its category is a
number, or its name: in `text_value`, or in `value` where that column holds text. A table of query
times has the columns `subject_id` and `time`.
"""

import csv
import gzip
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from service.jobs.columns import Told, read_moments, read_text, read_values, to_rows
from service.jobs.errors import JobInputError
from service.jobs.rows import Rows

QUERY_COLUMNS = ("subject_id", "time")
REQUIRED_COLUMNS = (*QUERY_COLUMNS, "variable", "value")
OPTIONAL_COLUMNS = ("unit", "text_value")

_BATCH_ROWS = 65_536
_BLOCK_BYTES = 4 * 2**20
_DELIMITERS = ",;\t|"
_TEXT_COLUMNS = ("variable", "unit", "text_value")


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


@contextmanager
def reading(file_format: str) -> Iterator[None]:
    """Turn what Arrow raises about a file into a `JobInputError`."""
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        raise JobInputError(
            f"the input cannot be read as {file_format}: {_reason(error)}"
        ) from error


def parquet_batches(file: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Stream the wanted columns of a file, and those of the optional ones that it has."""
    with reading("Parquet"), pq.ParquetFile(file) as opened:
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
    for block in blocks_of_lines(file):
        with reading("NDJSON"):
            table = _parse_block(block)
        check_columns(table.column_names, columns)
        table = table.select(_chosen(table.column_names, columns)).combine_chunks()
        yield from table.to_batches()


def blocks_of_lines(file: Path) -> Iterator[bytes]:
    """Read whole lines, some megabytes of them at once."""
    rest = b""
    with reading("NDJSON"), pa.input_stream(file, compression="detect") as opened:
        while block := opened.read(_BLOCK_BYTES):
            lines, mark, after = (rest + block).rpartition(b"\n")
            rest = after
            if mark and lines.strip():
                yield lines
        if rest.strip():
            yield rest


def _parse_block(block: bytes) -> pa.Table:
    """Parse lines; identifiers may be text or integers, the same in all of them."""
    # A column of the schema is there in any case: name those that the lines have.
    text = [(name, pa.string()) for name in _TEXT_COLUMNS if f'"{name}"'.encode() in block]
    if b'"subject_id"' not in block:
        return parse_lines(block, pa.schema(text))
    try:
        return parse_lines(block, pa.schema([("subject_id", pa.string()), *text]))
    except pa.ArrowInvalid as error:
        if "subject_id" not in str(error):
            raise
        return parse_lines(block, pa.schema([("subject_id", pa.int64()), *text]))


def parse_lines(block: bytes, known: pa.Schema, *, others: str = "infer") -> pa.Table:
    """Parse objects, one a line; the types of the `others` are inferred, or they are ignored."""
    table = pyarrow.json.read_json(
        pa.BufferReader(block),
        read_options=pyarrow.json.ReadOptions(block_size=max(len(block) + 1, 1024)),
        parse_options=pyarrow.json.ParseOptions(
            explicit_schema=known, unexpected_field_behavior=others
        ),
    )
    # Arrow says nothing about an object that does not end.
    if table.num_rows != sum(1 for line in block.splitlines() if line.strip()):
        raise pa.ArrowInvalid("expected one object in every line")
    return table


def _reason(error: BaseException) -> str:
    """Say what is wrong without the values that Arrow repeats after a colon or in quotes."""
    if isinstance(error, pa.ArrowInvalid):
        return "its lines, types or encoding are not those of one table"
    return type(error).__name__
