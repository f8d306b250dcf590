"""What a source says about a person, as rows: `birth_date` and `sex`.

An age needs a day at which it is counted, and a row has none. So the row `birth_date` has the kind of
time DATE, the day in `microseconds` and no value; `model.records.reading` makes it the age at the
subject's first observation. Where only the year or the month is known, the middle of it stands for
the day: the age is wrong by half a year at most.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa

from model.records.rows import RowBatch, TimeKind, row_batch

BIRTH_DATE: Final = "birth_date"
SEX: Final = "sex"
FEMALE: Final = "female"
MALE: Final = "male"

_BIRTH: Final = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ].*)?)?)?")
_MICROSECONDS_PER_DAY: Final = 86_400_000_000
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True)
class Person:
    """One person. `birth` is microseconds since 1970; None where it is not known, as `sex`."""

    subject_id: str | None
    birth: int | None
    sex: str | None
    record_id: str | None = None
    version: int = 0


def birth_microseconds(year: int, month: int | None = None, day: int | None = None) -> int | None:
    """Return the day of birth; the middle of the month or the year where that is all there is.

    Examples
    --------
    >>> birth_microseconds(1970, 1, 2), birth_microseconds(1970, 2, 30)
    (86400000000, None)
    """
    try:
        born = date(year, month or 7, day or (15 if month else 1))
    except (ValueError, OverflowError):
        return None
    return (born - _EPOCH).days * _MICROSECONDS_PER_DAY


def birth_of_text(text: str) -> int | None:
    """Read 1980, 1980-02 or 1980-02-29, with or without a time of day; None for anything else."""
    found = _BIRTH.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day = found.groups()
    return birth_microseconds(int(year), int(month) if month else None, int(day) if day else None)


def person_rows(persons: Sequence[Person], ignored: Counter[str] | None = None) -> RowBatch:
    """Write persons as rows, the births first; what is not known is no row.

    Examples
    --------
    >>> rows = person_rows([Person("1", birth_of_text("1980"), MALE)])
    >>> rows.batch.column("variable").to_pylist(), rows.batch.column("text").to_pylist()
    (['birth_date', 'sex'], [None, 'male'])
    """
    births = [one for one in persons if one.birth is not None]
    sexes = [one for one in persons if one.sex is not None]
    kinds = [TimeKind.DATE] * len(births) + [TimeKind.MISSING] * len(sexes)
    told = [*births, *sexes]
    days = [one.birth or 0 for one in births] + [0] * len(sexes)
    texts = [None] * len(births) + [one.sex for one in sexes]
    return row_batch(
        {
            "subject_id": pa.array([one.subject_id for one in told], pa.string()),
            "time_kind": pa.array(np.array(kinds, dtype=np.uint8)),
            "microseconds": pa.array(days, pa.int64()),
            "variable": pa.array([BIRTH_DATE] * len(births) + [SEX] * len(sexes), pa.string()),
            "text": pa.array(texts, pa.string()),
            "record_id": pa.array([one.record_id for one in told], pa.string()),
            "version": pa.array([one.version for one in told], pa.int64()),
        },
        ignored=ignored,
    )
