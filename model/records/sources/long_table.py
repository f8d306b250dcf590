"""Rows of a long table: one measurement a row.

Columns `subject_id, time, variable, value` and, where there are such, `unit`, `text_value` and
`comparator`. A static is a row whose variable is a static; its time may be empty, and its value a
word. A table of query times has the columns `subject_id` and `time`.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

from model.records.comparators import (
    FLAG_IGNORED,
    MEASURED,
    Values,
    is_missing,
    plain,
    read_values,
)
from model.records.errors import SourceError
from model.records.rows import RowBatch, row_batch
from model.records.sources.layouts import LongLayout
from model.records.sources.not_rows import MALFORMED_ROW, MODIFIED_MEANING
from model.records.sources.options import SUBJECT, TIME, VALUE, VARIABLE, SourceOptions
from model.records.sources.sides import with_sides
from model.records.sources.tables import Piece
from model.records.subjects import read_subjects
from model.records.times import read_times


def read_long(
    piece: Piece, layout: LongLayout, options: SourceOptions, *, decimal_mark: str = "."
) -> RowBatch:
    """Return the rows of a piece of a long table, or of a table of query times.

    Raises
    ------
    SourceError
        If a column holds something else than text, numbers or times.

    Examples
    --------
    >>> from model.records.sources.options import SourceFormat
    >>> columns = {"subject_id": ["1"], "time": ["0.5"], "variable": ["HR"], "value": ["<40"]}
    >>> layout = LongLayout({name: place for place, name in enumerate(columns)})
    >>> piece = Piece(pa.RecordBatch.from_pydict(columns))
    >>> rows = read_long(piece, layout, SourceOptions(format=SourceFormat.CSV)).batch
    >>> rows.column("value").to_pylist(), rows.column("comparator").to_pylist()
    ([40.0], [-1])
    """
    batch = piece.batch
    remarks: dict[str, int] = {}
    ignored = {MALFORMED_ROW: piece.num_malformed}

    def column(name: str) -> pa.Array | None:
        place = layout.place(name)
        return None if place is None else batch.column(place)

    times = read_times(column(TIME), options.time, name=_theirs(TIME, options))
    columns = {
        "subject_id": read_subjects(column(SUBJECT), name=_theirs(SUBJECT, options)),
        **times.columns(),
    }
    remarks |= times.remarks
    size = batch.num_rows
    if VARIABLE not in layout.positions:
        columns["is_query"] = pa.repeat(pa.scalar(value=True), size)
        return row_batch(columns, ignored=ignored, remarks=remarks)
    values = read_values(column(VALUE), decimal_mark=decimal_mark, name=_theirs(VALUE, options))
    remarks[FLAG_IGNORED] = values.num_flags
    comparators, contradicts = _comparators(values, column("comparator"))
    columns |= {
        "variable": read_text(column(VARIABLE), name=_theirs(VARIABLE, options)),
        "value": pa.array(values.numbers),
        "comparator": pa.array(comparators),
        "text": _texts(values.texts, column("text_value"), options),
        "unit": read_text(column("unit"), name=_theirs("unit", options), size=size),
    }
    if contradicts.any():
        ignored[MODIFIED_MEANING] = int(contradicts.sum())
        kept = pa.array(~contradicts)
        columns = {name: one.filter(kept) for name, one in columns.items()}
    return row_batch(columns, ignored=ignored, remarks=remarks)


def read_text(column: pa.Array | None, *, name: str, size: int = 0) -> pa.Array:
    """Return a column of names without the blanks around them; null where there is none.

    Raises
    ------
    SourceError
        If it holds neither text nor whole numbers.

    Examples
    --------
    >>> read_text(pa.array([" HR ", "", None]), name="variable").to_pylist()
    ['HR', None, None]
    """
    if column is None:
        return pa.nulls(size, pa.string())
    column = plain(column)
    kind = column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        # Ids of items; 220045.0 is 220045.
        return read_subjects(column, name=name)
    if not pa.types.is_string(kind):
        raise SourceError(f"the column `{name}` must hold text, found the type {kind}")
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _theirs(name: str, options: SourceOptions) -> str:
    return options.columns.get(name, name)


def _texts(words: pa.Array, beside: pa.Array | None, options: SourceOptions) -> pa.Array:
    """Return the word of the value, or else the text beside the number."""
    if beside is None:
        return words
    text = read_text(beside, name=_theirs("text_value", options))
    text = pc.if_else(pa.array(is_missing(text)), pa.scalar(None, pa.string()), text)
    return pc.coalesce(words, text)


def _comparators(
    values: Values, column: pa.Array | None
) -> tuple[Int[np.ndarray, " row"], Bool[np.ndarray, " row"]]:
    """Return the sides of the limits, and where the column contradicts or says something else."""
    nowhere = np.zeros(len(values.numbers), dtype=bool)
    if column is None:
        return values.comparators, nowhere
    text = read_text(column, name="comparator", size=len(nowhere))
    own = values.comparators
    told, is_unknown = with_sides(np.zeros_like(own), text)
    contradicts = is_unknown | ((own != MEASURED) & (told != MEASURED) & (own != told))
    return np.where(own == MEASURED, told, own).astype(np.int8), contradicts
