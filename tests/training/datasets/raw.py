"""Small raw tables for the tests of the import."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from training.datasets.raw_table import Labels, RawTable

Row = tuple[int, float | str | None, str | None, float, str | None]


def raw_table(rows: Sequence[Row], *, subjects: Sequence[int] = ()) -> RawTable:
    """Make a raw table from (subject_id, hours or ISO date, name, value, unit)."""
    ids, times, names, values, units = zip(*rows, strict=True) if rows else ((),) * 5
    is_dated = any(isinstance(time, str) for time in times)
    clock = (
        np.array(times, dtype="datetime64[us]")
        if is_dated
        else np.array([np.nan if time is None else time for time in times], dtype=float)
    )
    return RawTable(
        source="test",
        num_files=1,
        subjects=np.unique(np.array([*ids, *subjects], dtype=np.int64)),
        subject_ids=np.array(ids, dtype=np.int64),
        times=clock,
        names=Labels.encode(pa.array(names, pa.string())),
        values=np.array(values, dtype=float),
        units=Labels.encode(pa.array(units, pa.string())),
    )
