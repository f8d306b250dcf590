"""From the columns of a source, whatever their type, to numbers and times. Columnar, never by row.

Text stands for a number or a time as it would in a CSV file. What is empty is missing; what cannot
be read is no number, or an invalid time.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Int

from model.data.decimals import decimal_float64
from service.jobs.errors import JobInputError
from service.jobs.reading.rows import TimeKind, schema

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$"
_OFFSET = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*([Zz]|[+-]\d\d(:?\d\d)?)$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# In lower case; what programs write where there is nothing.
_MISSING = pa.array(["", "nan", "na", "nat", "none", "null", "n/a"])


@dataclass(frozen=True)
class Moments:
    """Times as they were told; `hours` and `microseconds` are zero where it was another way."""

    kinds: Int[np.ndarray, " row"]
    hours: Float[np.ndarray, " row"]
    microseconds: Int[np.ndarray, " row"]


@dataclass(frozen=True)
class Values:
    """Numbers, NaN where there is none, and the text that stood there instead."""

    numbers: Float[np.ndarray, " row"]
    texts: pa.Array


def read_text(column: pa.Array, *, name: str) -> pa.Array:
    """Return a column as strings, null where it is empty.

    Raises
    ------
    JobInputError
        If it holds neither text nor integers.
    """
    column = _plain(column)
    if pa.types.is_integer(column.type):
        return column.cast(pa.string())
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.string())
    if not pa.types.is_string(column.type):
        raise JobInputError(f"the column `{name}` must hold text, found {column.type}")
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def read_values(column: pa.Array) -> Values:
    """Return the values of a column of numbers or text.

    Raises
    ------
    JobInputError
        If it holds neither.
    """
    column = _plain(column)
    kind = column.type
    if pa.types.is_string(kind):
        numbers = _numbers(column)
        is_text = pa.array(np.isnan(numbers) & ~_is_missing(column))
        return Values(numbers, pc.if_else(is_text, column, pa.scalar(None, pa.string())))
    if pa.types.is_null(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise JobInputError(f"the column `value` must hold numbers or text, found {kind}")
    numbers = decimal_float64(column.to_numpy(zero_copy_only=False))
    return Values(numbers, pa.nulls(len(numbers), pa.string()))


def read_moments(column: pa.Array) -> Moments:
    """Return the times of a column: numbers are hours, dates and times are what they are.

    Raises
    ------
    JobInputError
        If it holds neither numbers, nor dates, nor text.
    """
    column = _plain(column)
    kind = column.type
    if pa.types.is_string(kind):
        return _of_text(column)
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(column.type):
        told = TimeKind.LOCAL if column.type.tz is None else TimeKind.INSTANT
        return _of_timestamps(column, told)
    if pa.types.is_null(kind):
        column = column.cast(pa.float64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise JobInputError(
            f"the column `time` must hold hours, timestamps or ISO 8601 text, found {kind}"
        )
    return _of_hours(decimal_float64(column.to_numpy(zero_copy_only=False)))


def _plain(column: pa.Array) -> pa.Array:
    """Undo dictionaries, and the larger kinds of text."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    is_text = pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type)
    return column.cast(pa.string()) if is_text else column


def _is_missing(column: pa.Array) -> Bool[np.ndarray, " row"]:
    found = pc.is_in(pc.utf8_lower(column), value_set=_MISSING)
    return pc.or_(found, pc.is_null(column)).to_numpy(zero_copy_only=False)


def _numbers(column: pa.Array) -> Float[np.ndarray, " row"]:
    text = pc.utf8_trim_whitespace(column)
    is_number = pc.fill_null(pc.match_substring_regex(text, _NUMBER), fill_value=False)
    found = pc.if_else(is_number, text, pa.scalar(None, pa.string()))
    return found.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _of_hours(hours: Float[np.ndarray, " row"]) -> Moments:
    is_missing = np.isnan(hours)
    kinds = np.where(is_missing, TimeKind.MISSING, TimeKind.HOURS).astype(np.uint8)
    return Moments(kinds, np.where(is_missing, 0.0, hours), np.zeros(len(hours), dtype=np.int64))


def _of_timestamps(column: pa.Array, told: TimeKind) -> Moments:
    is_missing = pc.is_null(column).to_numpy(zero_copy_only=False)
    try:
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    except pa.ArrowInvalid as error:
        raise JobInputError("the column `time` holds times beyond what a date can be") from error
    microseconds = pc.fill_null(column.cast(pa.int64()), fill_value=0).to_numpy()
    kinds = np.where(is_missing, TimeKind.MISSING, told).astype(np.uint8)
    return Moments(kinds, np.zeros(len(kinds)), microseconds)


def _of_text(column: pa.Array) -> Moments:
    hours = _numbers(column)
    is_hours = ~np.isnan(hours)
    text = pc.utf8_trim_whitespace(column)
    has_offset = pc.fill_null(pc.match_substring_regex(text, _OFFSET), fill_value=False)
    has_offset = has_offset.to_numpy(zero_copy_only=False)
    is_date = ~is_hours & ~_is_missing(column)
    kinds = np.where(is_hours, TimeKind.HOURS, TimeKind.MISSING).astype(np.uint8)
    microseconds = np.zeros(len(kinds), dtype=np.int64)
    for told, chosen in (
        (TimeKind.INSTANT, is_date & has_offset),
        (TimeKind.LOCAL, is_date & ~has_offset),
    ):
        if chosen.any():
            found = _parse(text.filter(pa.array(chosen)), told)
            kinds[chosen] = np.where(found == _UNREADABLE, TimeKind.INVALID, told)
            microseconds[chosen] = np.where(found == _UNREADABLE, 0, found)
    return Moments(kinds, np.where(is_hours, hours, 0.0), microseconds)


# The smallest integer is what numpy takes for no time.
_UNREADABLE = np.iinfo(np.int64).min


def _parse(text: pa.Array, told: TimeKind) -> Int[np.ndarray, " row"]:
    """Return microseconds since 1970; `_UNREADABLE` where there is no such time."""
    zone = "UTC" if told is TimeKind.INSTANT else None
    try:
        return text.cast(pa.timestamp("us", tz=zone)).cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        # One of them is wrong, or in a form that only Python reads: each distinct one by itself.
        encoded = text.dictionary_encode()
        parsed = [_microseconds(one, told) for one in encoded.dictionary.to_pylist()]
        return np.array(parsed, dtype=np.int64)[encoded.indices.to_numpy()]


def _microseconds(text: str, told: TimeKind) -> int:
    try:
        moment = datetime.fromisoformat(text)
        if (moment.tzinfo is None) == (told is TimeKind.INSTANT):
            return _UNREADABLE
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return _UNREADABLE
    return (moment - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True)
class Told:
    """What the rows of a source say about a variable, all strings but `numbers` (float64)."""

    variables: pa.Array
    numbers: pa.Array
    texts: pa.Array
    units: pa.Array

    @classmethod
    def nothing(cls, num_rows: int) -> "Told":
        """Return rows that only ask for a time."""
        text = pa.nulls(num_rows, pa.string())
        return cls(text, pa.nulls(num_rows, pa.float64()), text, text)


def to_rows(
    subjects: pa.Array, moments: Moments, told: Told, *, is_query: bool = False
) -> pa.RecordBatch:
    """Put rows together; `subjects` are strings or int64, null where there is none."""
    return pa.RecordBatch.from_arrays(
        [
            subjects,
            pa.repeat(pa.scalar(is_query), len(subjects)),
            pa.array(moments.kinds),
            pa.array(moments.hours),
            pa.array(moments.microseconds),
            told.variables,
            told.numbers,
            told.texts,
            told.units,
        ],
        schema=schema(subjects.type),
    )
