"""Rows of a wide table: one moment a row, one variable a column. Melted by columns, never by rows.

An empty cell is no row. A unit in the brackets of a header, `K [mmol/L]`, is that of its column.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from model.records.comparators import FLAG_IGNORED, plain, read_values
from model.records.rows import RowBatch, row_batch
from model.records.sources.files import printable
from model.records.sources.layouts import WideLayout
from model.records.sources.not_rows import MALFORMED_ROW
from model.records.sources.options import SUBJECT, TIME, SourceOptions
from model.records.sources.tables import Piece
from model.records.subjects import read_subjects
from model.records.times import read_times


@dataclass(frozen=True)
class _Cells:
    """Filled cells: the row and the variable of each, and what it holds."""

    rows: Int[np.ndarray, " cell"]
    variables: Int[np.ndarray, " cell"]
    numbers: pa.Array
    comparators: pa.Array
    texts: pa.Array
    num_flags: int


def read_wide(
    piece: Piece,
    layout: WideLayout,
    options: SourceOptions,
    *,
    file: Path,
    decimal_mark: str = ".",
) -> RowBatch:
    """Return the rows of a piece of a wide table.

    Parameters
    ----------
    file
        Names the subject of a table without a column of subjects.

    Raises
    ------
    SourceError
        If a column holds something else than text, numbers or times.

    Examples
    --------
    >>> from model.records.sources.layouts import layout_of
    >>> from model.records.sources.options import SourceFormat
    >>> columns = {"stay_id": ["1", "1"], "hour": ["0", "1"], "HR": ["80", None], "K": ["4", "5"]}
    >>> options = SourceOptions(format=SourceFormat.CSV)
    >>> layout = layout_of(list(columns), options)
    >>> piece = Piece(pa.RecordBatch.from_pydict(columns))
    >>> read_wide(piece, layout, options, file=Path("a.csv")).batch.column("value").to_pylist()
    [80.0, 4.0, 5.0]
    """
    batch = piece.batch
    num_keys = (layout.subject is not None) + (layout.time is not None)
    moments = pa.nulls(batch.num_rows) if layout.time is None else batch.column(num_keys - 1)
    times = read_times(moments, options.time, name=options.columns.get(TIME, TIME))
    if layout.subject is None:
        subjects = pa.repeat(pa.scalar(subject_of_file(file), pa.string()), batch.num_rows)
    else:
        name = options.columns.get(SUBJECT, SUBJECT)
        subjects = read_subjects(batch.column(0), name=name)
    cells = _melt(batch.columns[num_keys:], layout.names, decimal_mark)
    rows, variables = pa.array(cells.rows), pa.array(cells.variables)
    columns = {
        "subject_id": subjects.take(rows),
        **times.take(cells.rows).columns(),
        "variable": pa.array(layout.names, pa.string()).take(variables),
        "value": cells.numbers,
        "comparator": cells.comparators,
        "text": cells.texts,
        "unit": pa.array(layout.units, pa.string()).take(variables),
    }
    remarks = {FLAG_IGNORED: cells.num_flags, **times.remarks}
    return row_batch(columns, ignored={MALFORMED_ROW: piece.num_malformed}, remarks=remarks)


def subject_of_file(file: Path) -> str:
    """Return the name of a file without its endings: the subject of a table that names none.

    Examples
    --------
    >>> subject_of_file(Path("training_setA/p000001.psv"))
    'p000001'
    """
    return printable(file.name.split(".")[0] or file.name)


def _melt(columns: Sequence[pa.Array], names: Sequence[str], decimal_mark: str) -> _Cells:
    """Put the filled cells of all columns below each other; columns of one type are read at once."""
    by_type: dict[pa.DataType, list[int]] = {}
    plains = [plain(column) for column in columns]
    for place, column in enumerate(plains):
        by_type.setdefault(column.type, []).append(place)
    found = [
        _cells_of([plains[place] for place in places], places, names, decimal_mark)
        for places in by_type.values()
    ]
    return _Cells(
        np.concatenate([one.rows for one in found]),
        np.concatenate([one.variables for one in found]),
        pa.concat_arrays([one.numbers for one in found]),
        pa.concat_arrays([one.comparators for one in found]),
        pa.concat_arrays([one.texts for one in found]),
        sum(one.num_flags for one in found),
    )


def _cells_of(
    columns: Sequence[pa.Array], places: Sequence[int], names: Sequence[str], decimal_mark: str
) -> _Cells:
    size = len(columns[0])
    joined = pa.concat_arrays(columns)
    filled = np.flatnonzero(pc.is_valid(joined).to_numpy(zero_copy_only=False))
    values = read_values(
        joined.take(pa.array(filled)), decimal_mark=decimal_mark, name=names[places[0]]
    )
    is_told = ~np.isnan(values.numbers) | pc.is_valid(values.texts).to_numpy(zero_copy_only=False)
    kept = pa.array(is_told)
    cells = filled[is_told]
    return _Cells(
        cells % max(size, 1),
        np.array(places, dtype=np.int64)[cells // max(size, 1)],
        pa.array(values.numbers).filter(kept),
        pa.array(values.comparators).filter(kept),
        values.texts.filter(kept),
        values.num_flags,
    )
