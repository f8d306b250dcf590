"""Small records as rows, for the tests of the reading."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from model.data.variables import Catalogue
from model.records.comparators import read_values
from model.records.labels import Labels
from model.records.reading import ReadingRules, Records, read_records
from model.records.row_columns import RowColumns
from model.records.rows import row_batch
from model.records.subjects import read_subjects
from model.records.times import read_moments
from tests.catalogues import CHALLENGE

Row = tuple[Any, ...]
"""subject, time (hours or text, None for none), variable, value (number or text), unit."""


def columns_of(rows: Sequence[Row]) -> tuple[RowColumns, list[str]]:
    """Return rows as they would come from a table, and the subjects in order."""
    filled = [(*row, *([None] * (5 - len(row)))) for row in rows]
    ids, times, names, values, units = zip(*filled, strict=True) if rows else ((),) * 5
    written = ["" if time is None else time for time in times]
    moments = read_moments([one if isinstance(one, str) else float(one) for one in written])
    read = read_values(pa.array([None if one is None else str(one) for one in values], pa.string()))
    texts = pa.array([str(one) for one in ids], pa.string())
    labels = Labels.of(read_subjects(texts))
    batch = row_batch(
        {
            "subject_id": texts,
            **moments.columns(),
            "variable": pa.array(names, pa.string()),
            "value": pa.array(read.numbers),
            "comparator": pa.array(read.comparators),
            "text": read.texts,
            "unit": pa.array(units, pa.string()),
        }
    ).batch
    order = sorted(range(len(labels.names)), key=labels.names.__getitem__)
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    subjects = places[labels.codes] if order else np.zeros(0, dtype=np.int64)
    return RowColumns.of(batch, subjects, len(order)), [labels.names[place] for place in order]


def read(
    rows: Sequence[Row], catalogue: Catalogue = CHALLENGE, rules: ReadingRules | None = None
) -> Records:
    """Read rows."""
    columns, ids = columns_of(rows)
    return read_records(columns, ids, catalogue, rules or ReadingRules())
