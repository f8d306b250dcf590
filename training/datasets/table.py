"""Reader of a long table in CSV or Parquet: one measurement in a row.

Columns `subject_id, time, variable, value` and, if there is one, `unit`; other names can be given.
Times are dates (ISO 8601; without an offset they are taken as they stand, with one as UTC) or
hours. A static is a row whose variable is a static of the catalogue; its time may be empty, and a
category may be text.
"""

import csv
import gzip
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from jaxtyping import Float, Shaped

from model.data.catalogue import shipped_catalogue
from model.data.cleaning import Drop
from model.data.decimals import decimal_float64
from model.data.variables import Catalogue
from training.datasets.codes import NO_MAP, CodeMap, resolve
from training.datasets.errors import SourceFormatError
from training.datasets.external_meds import parquet_files
from training.datasets.raw_table import Labels, RawTable
from training.datasets.subject_numbers import subject_numbers

_DELIMITERS = ",;\t|"
_CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_SHORT_CATEGORIES = {"f": "female", "m": "male"}


class TimeFormat(StrEnum):
    """How the time column is read."""

    AUTO = "auto"
    """Numbers are hours, everything else ISO 8601; in text, what most of its values are."""
    ISO = "iso"
    HOURS = "hours"


@dataclass(frozen=True, kw_only=True)
class TableColumns:
    """What the columns are called. A `unit` column of this name need not exist."""

    subject_id: str = "subject_id"
    time: str = "time"
    variable: str = "variable"
    value: str = "value"
    unit: str = "unit"

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that there must be."""
        return (self.subject_id, self.time, self.variable, self.value)


DEFAULT_COLUMNS = TableColumns()


@dataclass(frozen=True)
class _Source:
    table: pa.Table
    num_files: int
    malformed: int


def read_table(
    path: Path,
    *,
    columns: TableColumns = DEFAULT_COLUMNS,
    time_format: TimeFormat = TimeFormat.AUTO,
    catalogue: Catalogue | None = None,
    code_map: CodeMap = NO_MAP,
) -> RawTable:
    """Read a CSV file (also gzipped; comma, semicolon, tab or bar), or Parquet (file or folder).

    Subject ids that are not plain integers are numbered by `subject_numbers`; `subject_names` of the
    result says which is which.

    Raises
    ------
    SourceFormatError
        If a column is missing (the message says what was found), or a file is of another format.
    """
    catalogue = shipped_catalogue() if catalogue is None else catalogue
    is_csv = path.name.lower().endswith(_CSV_SUFFIXES)
    source = _read_csv(path, columns) if is_csv else _read_parquet(path, columns)
    table = source.table
    subject_labels = Labels.encode(table.column(columns.subject_id))
    is_owned = subject_labels.codes >= 0
    rows = np.flatnonzero(is_owned)
    numbers = subject_numbers(subject_labels.names)
    order = np.argsort(numbers)
    names = Labels.encode(table.column(columns.variable))
    values = _values(table.column(columns.value), names, catalogue, code_map)
    has_unit = columns.unit in table.column_names
    units = Labels.encode(table.column(columns.unit)) if has_unit else Labels.nothing(len(values))
    return RawTable(
        source="table",
        num_files=source.num_files,
        subjects=numbers[order],
        subject_ids=numbers[subject_labels.codes[rows]],
        times=_times(table.column(columns.time), time_format, path)[rows],
        names=names.take(rows),
        values=values[rows],
        units=units.take(rows),
        drops=(
            Drop("malformed_row", "", source.malformed),
            Drop("missing_subject", "", len(is_owned) - len(rows)),
        ),
        subject_names=tuple(subject_labels.names[place] for place in order),
    )


def _read_csv(path: Path, columns: TableColumns) -> _Source:
    """Read all columns as text; a row with another number of fields is counted and skipped."""
    delimiter = _delimiter(path, columns)
    malformed: list[int] = []

    def note(row: pyarrow.csv.InvalidRow) -> str:
        malformed.append(row.actual_columns)
        return "skip"

    text = pa.dictionary(pa.int32(), pa.string())
    wanted = [*columns.required, columns.unit]
    try:
        table = pyarrow.csv.read_csv(
            pa.input_stream(path, compression="detect"),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, invalid_row_handler=note),
            convert_options=pyarrow.csv.ConvertOptions(
                check_utf8=False, column_types=dict.fromkeys(wanted, text)
            ),
        )
    except (OSError, pa.ArrowException) as error:
        raise SourceFormatError(f"{path}: cannot be read as CSV: {type(error).__name__}") from error
    return _Source(table, 1, len(malformed))


def _delimiter(path: Path, columns: TableColumns) -> str:
    """Return the delimiter whose header has the required columns."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.readline(1 << 16).decode("utf-8-sig", errors="replace").strip()
    except OSError as error:
        raise SourceFormatError(f"{path}: cannot be read: {type(error).__name__}") from error
    readings = {mark: next(csv.reader([header], delimiter=mark), []) for mark in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda mark: len(set(readings[mark]) & set(columns.required)))
    _check_columns(path, readings[best], columns)
    return best


def _read_parquet(path: Path, columns: TableColumns) -> _Source:
    files = parquet_files(path)
    tables = []
    for file in files:
        try:
            found = pq.read_schema(file).names
            _check_columns(file, found, columns)
            wanted = [*columns.required, *({columns.unit} & set(found))]
            tables.append(pq.read_table(file, columns=wanted))
        except (OSError, pa.ArrowException) as error:
            raise SourceFormatError(
                f"{file}: cannot be read as Parquet; a CSV table must end in .csv, .tsv or .txt"
            ) from error
    try:
        joined = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise SourceFormatError(f"{path}: its files have columns of different types") from error
    return _Source(joined, len(files), 0)


def _check_columns(path: Path, found: list[str], columns: TableColumns) -> None:
    missing = [name for name in columns.required if name not in found]
    if missing:
        raise SourceFormatError(
            f"{path}: no column {', '.join(map(repr, missing))}; "
            f"found {', '.join(found) or 'none'}. "
            "Rename the columns or say what they are called"
        )
    twice = [name for name in (*columns.required, columns.unit) if found.count(name) > 1]
    if twice:
        raise SourceFormatError(f"{path}: the column {twice[0]!r} is there more than once")


def _times(
    column: pa.ChunkedArray, time_format: TimeFormat, path: Path
) -> Shaped[np.ndarray, " row"]:
    """Return hours (float64) or datetime64[us]."""
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        if time_format is TimeFormat.HOURS:
            raise SourceFormatError(f"{path}: the time column holds dates, not hours")
        if pa.types.is_date(kind):
            column = column.cast(pa.timestamp("us"))
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
        return np.asarray(column.cast(pa.timestamp("us")).to_numpy().astype("datetime64[us]"))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        if time_format is TimeFormat.ISO:
            raise SourceFormatError(f"{path}: the time column holds numbers, not ISO 8601 dates")
        return decimal_float64(column.to_numpy())
    labels = Labels.encode(column)
    hours = labels.numbers()
    filled = int(np.sum(labels.codes >= 0))
    is_hours = np.isfinite(hours).sum() * 2 > filled or filled == 0
    if time_format is TimeFormat.HOURS or (time_format is TimeFormat.AUTO and is_hours):
        return hours
    parsed = pd.to_datetime(
        pd.Series(labels.names, dtype="str"), format="ISO8601", errors="coerce", utc=True
    )
    moments = parsed.dt.tz_localize(None).to_numpy("datetime64[us]")
    return np.asarray(np.append(moments, np.datetime64("NaT", "us"))[labels.codes])


def _values(
    column: pa.ChunkedArray, names: Labels, catalogue: Catalogue, code_map: CodeMap
) -> Float[np.ndarray, " row"]:
    """Return numbers; for a static whose value is the name of a category, the index of it."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return decimal_float64(column.to_numpy())
    if pa.types.is_decimal(column.type):
        return np.asarray(column.cast(pa.float64()).to_numpy())
    texts = Labels.encode(column)
    values = texts.numbers()
    for code, name in enumerate(names.names):
        target = resolve(name, catalogue, code_map)
        if target is None or target.name not in catalogue.static_positions:
            continue
        categories = catalogue.statics[catalogue.static_positions[target.name]].categories
        rows = np.flatnonzero((names.codes == code) & np.isnan(values))
        indices = np.array([*(_category(text, categories) for text in texts.names), np.nan])
        values[rows] = indices[texts.codes[rows]]
    return values


def _category(text: str, categories: tuple[str, ...]) -> float:
    lowered = text.lower()
    name = _SHORT_CATEGORIES.get(lowered, lowered)
    return float(categories.index(name)) if name in categories else np.nan
