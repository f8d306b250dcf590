"""The long table that every format is read into, row by row what the source says and no more.

Nothing is judged here but the kind of a time: rows of one job may have several, and only the whole
job knows which one is meant.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

import numpy as np
import pyarrow as pa
from jaxtyping import Int

MAX_ROWS_PER_SUBJECT = 200_000
"""A subject with more has no answer."""

EMPTY: Mapping[str, int] = MappingProxyType({})


class TimeKind(IntEnum):
    """How a time is told."""

    MISSING = 0
    HOURS = 1
    """From an origin of the subject's own."""
    INSTANT = 2
    """With an offset from UTC."""
    LOCAL = 3
    """A date and time without an offset, taken as it stands."""
    INVALID = 4


@dataclass(frozen=True)
class Rows:
    """Some rows of a source, in the schema of `schema`, and how many others it had by reason."""

    batch: pa.RecordBatch
    ignored: Mapping[str, int] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True)
class SortedRows:
    """All rows of some subjects, sorted by subject, and the kind of time that the job has."""

    table: pa.Table
    time_kind: TimeKind


def schema(subject_type: pa.DataType) -> pa.Schema:
    """Return the schema of a job's rows; `subject_type` is string or int64.

    `hours` and `microseconds` (since 1970) hold the time of their kind and zero otherwise. `text`
    is a value in words. A row with `is_query` asks for a time.
    """
    return pa.schema(
        [
            ("subject_id", subject_type),
            ("is_query", pa.bool_()),
            ("time_kind", pa.uint8()),
            ("hours", pa.float64()),
            ("microseconds", pa.int64()),
            ("variable", pa.string()),
            ("value", pa.float64()),
            ("text", pa.string()),
            ("unit", pa.string()),
        ]
    )


def count_kinds(batch: pa.RecordBatch) -> Int[np.ndarray, " kind"]:
    """Count the rows of every kind of time."""
    return np.bincount(batch.column("time_kind").to_numpy(), minlength=len(TimeKind))


def meant_kind(counts: Int[np.ndarray, " kind"]) -> TimeKind:
    """Return the kind of time that most rows have; hours where there is none."""
    usable = (TimeKind.HOURS, TimeKind.INSTANT, TimeKind.LOCAL)
    return max(usable, key=lambda kind: (counts[kind], -kind))
