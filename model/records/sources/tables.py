"""The files of tables as streams of columns: text with a delimiter, Parquet, NDJSON."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from model.records.errors import SourceError
from model.records.sources.dialects import Dialect, find_dialect
from model.records.sources.encodings import Utf8Stream
from model.records.sources.files import reading, shown
from model.records.sources.layouts import SUBJECT_NAMES, TIME_NAMES
from model.records.sources.lines import objects_of
from model.records.sources.options import COLUMNS, SourceFormat, SourceOptions

_BLOCK_BYTES: Final = 2**20
_SMALL_BYTES: Final = 2**18
_BATCH_CELLS: Final = 2**18
_MAX_BATCH_ROWS: Final = 2**16
_BUFFER_BYTES: Final = 2**18


@dataclass(frozen=True)
class Piece:
    """Some rows of a table: the wanted columns in their order, and rows that could not be read.

    The names of the columns of `batch` are those of the source, and may repeat.
    """

    batch: pa.RecordBatch
    num_malformed: int = 0


@dataclass(frozen=True)
class Table:
    """One open file. `stream` yields the columns at the wanted positions.

    `dialect` says how it is written, such as "UTF-8, comma".
    """

    file: Path
    columns: tuple[str, ...]
    dialect: str
    stream: Callable[[Sequence[int]], Iterator[Piece]]
    decimal_mark: str = "."


def open_table(file: Path, options: SourceOptions) -> Iterator[Table]:
    """Open a file of a table; NDJSON gives a table for every block of lines, others give one.

    Raises
    ------
    SourceError
        If it is not of the format.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.csv"
    >>> _ = path.write_text("subject_id;time;K\\n1;0;4,1\\n")
    >>> table = next(open_table(path, SourceOptions(format=SourceFormat.CSV)))
    >>> table.dialect, [piece.batch.to_pydict() for piece in table.stream([0, 2])]
    ('UTF-8, semicolon, decimal comma', [{'subject_id': ['1'], 'K': ['4,1']}])
    """
    with reading(file, options.format.label):
        if options.format is SourceFormat.CSV:
            yield _open_text(file, options)
        elif options.format is SourceFormat.PARQUET:
            yield from _open_parquet(file)
        else:
            yield from _open_ndjson(file)


def _open_text(file: Path, options: SourceOptions) -> Table:
    names = (*options.columns.values(), *COLUMNS, *SUBJECT_NAMES, *TIME_NAMES)
    dialect = find_dialect(file, names)

    def stream(wanted: Sequence[int]) -> Iterator[Piece]:
        malformed = _Malformed()
        names = [dialect.columns[place] for place in wanted]
        num_rows = 0
        with Utf8Stream(file, dialect.encoding, skip=dialect.header_end) as raw:
            for batch in _text_batches(raw, dialect, wanted, malformed):
                num_rows += batch.num_rows
                yield Piece(batch.rename_columns(names), malformed.take())
        num_left = malformed.take()
        if num_left:
            yield _last(num_left, num_rows, names, file, len(dialect.columns))

    return Table(file, dialect.columns, str(dialect), stream, dialect.decimal_mark)


def _text_batches(
    raw: Utf8Stream, dialect: Dialect, wanted: Sequence[int], malformed: "_Malformed"
) -> Iterator[pa.RecordBatch]:
    """Read the wanted columns as text: what is a number is told in the same way in every source."""
    # Names may repeat, positions do not.
    keys = [str(place) for place in range(len(dialect.columns))]
    chosen = [keys[place] for place in wanted]
    # Threads that wait for each other cost a small file more than its reading.
    small = raw.whole(_SMALL_BYTES)
    options = {
        "read_options": pyarrow.csv.ReadOptions(
            block_size=_BLOCK_BYTES, column_names=keys, use_threads=small is None
        ),
        "parse_options": pyarrow.csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char='"' if dialect.has_quotes else False,
            newlines_in_values=dialect.has_quotes,
            invalid_row_handler=malformed.note,
        ),
        "convert_options": pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(chosen, pa.string()),
            include_columns=chosen,
            null_values=[""],
            strings_can_be_null=True,
        ),
    }
    try:
        if small is None:
            batches = pyarrow.csv.open_csv(raw, **options)
        else:
            batches = pyarrow.csv.read_csv(pa.BufferReader(small), **options).to_batches()
    except pa.ArrowInvalid as error:
        if "Empty CSV" not in str(error):
            raise
        return
    yield from batches


@dataclass
class _Malformed:
    """Counts rows with another number of fields; Arrow calls it while it reads ahead."""

    total: int = 0
    taken: int = 0

    def note(self, _: object) -> str:
        self.total += 1
        return "skip"

    def take(self) -> int:
        found = self.total - self.taken
        self.taken += found
        return found


def _last(
    num_malformed: int, num_rows: int, names: Sequence[str], file: Path, num_columns: int
) -> Piece:
    """Return what is left at the end: malformed rows after the last batch."""
    if num_rows == 0:
        raise SourceError(
            f"none of the {num_malformed} rows has the {num_columns} fields of the header; give "
            "every column a name, and quote text that holds the delimiter",
            name=shown(file),
        )
    nothing = pa.RecordBatch.from_arrays(
        [pa.array([], pa.string()) for _ in names], names=list(names)
    )
    return Piece(nothing, num_malformed)


def _open_parquet(file: Path) -> Iterator[Table]:
    # Arrow would read ahead, and keep all of the file until its end.
    with pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER_BYTES) as opened:
        columns = tuple(opened.schema_arrow.names)

        def stream(wanted: Sequence[int]) -> Iterator[Piece]:
            names = [columns[place] for place in wanted]
            rows = max(256, min(_MAX_BATCH_ROWS, _BATCH_CELLS // max(1, len(names))))
            for batch in opened.iter_batches(rows, columns=names):
                yield Piece(batch.select(names))

        yield Table(file, columns, "Parquet", stream)


def _open_ndjson(file: Path) -> Iterator[Table]:
    for objects in objects_of(file):
        columns = tuple(dict.fromkeys(name for one in objects for name in one))

        def stream(
            wanted: Sequence[int],
            objects: list[dict[str, Any]] = objects,
            columns: tuple[str, ...] = columns,
        ) -> Iterator[Piece]:
            names = [columns[place] for place in wanted]
            arrays = [column_of([one.get(name) for one in objects], name) for name in names]
            yield Piece(pa.RecordBatch.from_arrays(arrays, names=names))

        yield Table(file, columns, "NDJSON", stream)


def column_of(values: list[Any], name: str) -> pa.Array:
    """Return a column of JSON's values: numbers where all are, else text.

    Raises
    ------
    SourceError
        If a value is an object or a list.

    Examples
    --------
    >>> column_of([1, None, 2.5], "value").type, column_of([1, "<0.01"], "value").to_pylist()
    (DataType(double), ['1', '<0.01'])
    """
    kinds = set(map(type, values)) - {type(None)}
    if not kinds <= {bool, int, float, str}:
        raise SourceError(f"the field `{name}` must be a number or text in every line")
    try:
        if kinds <= {bool}:
            return pa.array(values, pa.bool_())
        if kinds <= {int}:
            return pa.array(values, pa.int64())
        if kinds <= {int, float}:
            return pa.array(values, pa.float64())
    except (OverflowError, pa.ArrowInvalid):
        pass
    texts = [one if one is None or type(one) is str else repr(one) for one in values]
    # Half of a surrogate pair is valid JSON and no text.
    return pa.array(
        [one and one.encode("utf-8", errors="replace").decode() for one in texts], pa.string()
    )
