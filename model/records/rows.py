"""The rows that every source is read into: what the source says, and no more.

Nothing is judged here but the kind of a time: the rows of one source may have several kinds, and
only all of them together say which one is meant. `model.records.reading` judges.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

import numpy as np
import pyarrow as pa
from jaxtyping import Int

EMPTY: Mapping[str, int] = MappingProxyType({})


class TimeKind(IntEnum):
    """How a time is written."""

    MISSING = 0
    HOURS = 1
    """From an origin of the subject's own."""
    INSTANT = 2
    """With an offset from UTC."""
    LOCAL = 3
    """A date and time without an offset, read as it is written."""
    INVALID = 4
    """Something that is no time."""
    DATE = 5
    """A date without a time of day."""


SCHEMA = pa.schema(
    [
        # As `model.records.subjects` writes it; null where there is no subject.
        ("subject_id", pa.string()),
        # Asks for a time; the row has no variable and no value.
        ("is_query", pa.bool_()),
        # `hours` and `microseconds` (since 1970, UTC or local) hold the time of their kind, else zero.
        ("time_kind", pa.uint8()),
        ("hours", pa.float64()),
        ("microseconds", pa.int64()),
        # Name or code as the source writes it, after the user's code map. Null where there is none.
        ("variable", pa.string()),
        # NaN where there is no number.
        ("value", pa.float64()),
        # -1: the true value is at or below `value`; 0: measured; +1: at or above.
        ("comparator", pa.int8()),
        # A value in words, or words beside the number. Null where there are none.
        ("text", pa.string()),
        ("unit", pa.string()),
        # Of sources that revise: rows of one subject and `record_id` with a `version` below the
        # highest are superseded; `is_withdrawn` takes back all versions up to its own.
        ("record_id", pa.string()),
        ("version", pa.int64()),
        ("is_withdrawn", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class RowBatch:
    """Some rows of a source, in `SCHEMA`; `ignored` counts what never became a row, by reason.

    `remarks` counts what was read with a remark, such as `flag_ignored`, by code.
    """

    batch: pa.RecordBatch
    ignored: Mapping[str, int] = field(default_factory=lambda: EMPTY)
    remarks: Mapping[str, int] = field(default_factory=lambda: EMPTY)

    @property
    def num_read(self) -> int:
        """Rows of the source behind it."""
        return self.batch.num_rows + sum(self.ignored.values())


def row_batch(
    columns: Mapping[str, pa.Array],
    *,
    ignored: Mapping[str, int] | None = None,
    remarks: Mapping[str, int] | None = None,
) -> RowBatch:
    """Put columns together; those that are not given are empty (null, NaN, zero or False).

    Parameters
    ----------
    columns
        Arrays of one length by the names of `SCHEMA`, `subject_id` at least.

    Examples
    --------
    >>> rows = row_batch({"subject_id": pa.array(["1"]), "value": pa.array([92.0])})
    >>> rows.batch.column("value").to_pylist(), rows.batch.column("unit").to_pylist()
    ([92.0], [None])
    """
    size = len(columns["subject_id"])
    empty = {"is_query": False, "comparator": 0, "hours": 0.0, "microseconds": 0, "time_kind": 0}
    empty |= {"value": float("nan"), "is_withdrawn": False}
    arrays = []
    for one in SCHEMA:
        if one.name in columns:
            arrays.append(columns[one.name].cast(one.type))
        elif one.name in empty:
            arrays.append(pa.repeat(pa.scalar(empty[one.name], one.type), size))
        else:
            arrays.append(pa.nulls(size, one.type))
    batch = pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)
    return RowBatch(batch, dict(+Counter(ignored or {})), dict(+Counter(remarks or {})))


def count_kinds(batch: pa.RecordBatch | pa.Table) -> Int[np.ndarray, " kind"]:
    """Count the rows of every kind of time."""
    return np.bincount(batch.column("time_kind").to_numpy(), minlength=len(TimeKind))


def meant_kind(counts: Int[np.ndarray, " kind"]) -> TimeKind:
    """Return the kind of time that most rows have; hours where there is none."""
    usable = (TimeKind.HOURS, TimeKind.INSTANT, TimeKind.LOCAL)
    return max(usable, key=lambda kind: (counts[kind], -kind))
