"""The times of a source, whatever their type: hours, instants, local times, dates. Columnar.

    numbers                    hours from an origin of the subject's own (or another `unit`)
    2026-03-01T10:05:00+01:00  an instant
    2026-03-01 10:05           a local time, read as it is written; with a `zone`, an instant
    01.03.2026 10:05           the same, as Excel writes it where the day comes first
    2026-03-01                 a date: no moment, unless a `time_format` says that it is midnight

Days and months with slashes are read with a `time_format` alone, because 02/03 has two meanings.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Int, Integer, Shaped

from model.data.decimals import decimal_float64
from model.records.comparators import is_missing, numbers_in, plain
from model.records.errors import SourceError
from model.records.rows import EMPTY, TimeKind

MICROSECONDS_PER_HOUR: Final = 3_600_000_000
HOURS_PER_UNIT: Final = {"seconds": 1 / 3600, "minutes": 1 / 60, "hours": 1.0, "days": 24.0}
CLOCK_CHANGE: Final = "clock_change"
"""Remark: a local time that a change of the clock repeats or leaves out; the earlier one is read."""

_OFFSET = r"^\d{4}-\d\d-\d\d[T ]\d\d(:?\d\d).*([Zz]|[+-]\d\d(:?\d\d)?)$"
_DATE = r"^(\d{4}-\d\d-\d\d|\d{4}\d\d\d\d|\d{1,2}\.\d{1,2}\.\d{4})$"
_DAY_FIRST = r"^(\d{1,2})\.(\d{1,2})\.(\d{4})[ T]+(\d{1,2}):(\d\d)(?::(\d\d(?:\.\d+)?))?$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The smallest integer is what numpy takes for no time.
_UNREADABLE: Final = int(np.iinfo(np.int64).min)


@dataclass(frozen=True, kw_only=True)
class TimeRules:
    """What a user says about the times of a source. By default they are read as they are written.

    `time_format` is that of `datetime.strptime`; `zone` is an IANA name for times without an
    offset; `unit` is one of `HOURS_PER_UNIT` and belongs to numbers.
    """

    time_format: str | None = None
    zone: str | None = None
    unit: str = "hours"

    def __post_init__(self) -> None:
        if self.unit not in HOURS_PER_UNIT:
            raise SourceError(f"the unit of the times must be one of: {', '.join(HOURS_PER_UNIT)}")
        if self.zone is not None:
            try:
                pa.scalar(0, pa.timestamp("us")).cast(pa.timestamp("us", tz=self.zone)).as_py()
            except (pa.ArrowException, ValueError, KeyError) as error:
                raise SourceError(
                    "the time zone is not known; expected an IANA name, such as Europe/Berlin"
                ) from error


DEFAULT_RULES: Final = TimeRules()


@dataclass(frozen=True)
class Times:
    """Times as they were written; `hours` and `microseconds` are zero where it was another kind.

    `remarks` counts `CLOCK_CHANGE`.
    """

    kinds: Integer[np.ndarray, " row"]
    hours: Float[np.ndarray, " row"]
    microseconds: Int[np.ndarray, " row"]
    remarks: Mapping[str, int] = field(default_factory=lambda: EMPTY)

    def __len__(self) -> int:
        return len(self.kinds)

    def take(self, rows: Shaped[np.ndarray, " chosen"]) -> "Times":
        """Return some of the rows (positions or a boolean mask)."""
        return Times(self.kinds[rows], self.hours[rows], self.microseconds[rows])

    def columns(self) -> dict[str, pa.Array]:
        """Return the columns of `model.records.rows.SCHEMA`."""
        return {
            "time_kind": pa.array(self.kinds.astype(np.uint8)),
            "hours": pa.array(self.hours),
            "microseconds": pa.array(self.microseconds),
        }


def read_times(column: pa.Array, rules: TimeRules = DEFAULT_RULES, *, name: str = "time") -> Times:
    """Return the times of a column of numbers, dates or text.

    Raises
    ------
    SourceError
        If it holds something else, or times that no date can hold.

    Examples
    --------
    >>> read_times(pa.array(["1.5", None])).hours.tolist()
    [1.5, 0.0]
    """
    column = plain(column)
    kind = column.type
    if pa.types.is_string(kind):
        found = _of_text(column, rules)
    elif pa.types.is_date(kind):
        found = _of_timestamps(column.cast(pa.timestamp("us")), TimeKind.DATE)
    elif pa.types.is_timestamp(kind):
        written = TimeKind.LOCAL if kind.tz is None else TimeKind.INSTANT
        found = _of_timestamps(column, written)
    elif pa.types.is_null(kind):
        found = _of_hours(np.full(len(column), np.nan))
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = column.cast(pa.float64()) if pa.types.is_decimal(kind) else column
        hours = decimal_float64(numbers.to_numpy(zero_copy_only=False))
        found = _of_hours(_in_hours(hours, rules))
    else:
        raise SourceError(
            f"the column `{name}` must hold numbers, timestamps or ISO 8601 text, found the type {kind}"
        )
    return found if rules.zone is None else _in_zone(found, rules.zone)


def read_moments(moments: Sequence[float | str]) -> Times:
    """Return the times of a request: numbers are hours, text is read as in a table."""
    if str not in set(map(type, moments)):
        return _of_hours(np.array(moments, dtype=float))
    texts = [moment if isinstance(moment, str) else repr(moment) for moment in moments]
    return read_times(pa.array(texts, pa.string()))


def _in_hours(numbers: Float[np.ndarray, " row"], rules: TimeRules) -> Float[np.ndarray, " row"]:
    # Divided, because a minute is no exact fraction: 30 minutes are 0.5 hours to the last bit.
    per_hour = {"seconds": 3600.0, "minutes": 60.0}.get(rules.unit)
    return numbers / per_hour if per_hour else numbers * HOURS_PER_UNIT[rules.unit]


def _of_hours(hours: Float[np.ndarray, " row"]) -> Times:
    kinds = np.full(len(hours), TimeKind.HOURS, dtype=np.uint8)
    is_finite = np.isfinite(hours)
    if not is_finite.all():
        kinds[~is_finite] = TimeKind.INVALID
        kinds[np.isnan(hours)] = TimeKind.MISSING
        hours = np.where(is_finite, hours, 0.0)
    return Times(kinds, hours, np.zeros(len(hours), dtype=np.int64))


def _of_timestamps(column: pa.Array, written: TimeKind) -> Times:
    missing = pc.is_null(column).to_numpy(zero_copy_only=False)
    try:
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    except pa.ArrowInvalid as error:
        raise SourceError("the column of times holds times beyond what a date can be") from error
    microseconds = pc.fill_null(column.cast(pa.int64()), fill_value=0).to_numpy()
    kinds = np.where(missing, TimeKind.MISSING, written).astype(np.uint8)
    return Times(kinds, np.zeros(len(kinds)), microseconds)


def _of_text(column: pa.Array, rules: TimeRules) -> Times:
    text = pc.utf8_trim_whitespace(column)
    if rules.time_format is not None:
        return _of_format(text, rules.time_format)
    # A decimal comma in a number of hours; no date holds one.
    hours = numbers_in(pc.replace_substring(text, ",", "."))
    is_eight_digits = _matches(text, r"^(18|19|20|21|22)\d\d(0[1-9]|1[0-2])[0-3]\d$")
    is_hours = ~np.isnan(hours) & ~is_eight_digits
    is_other = ~is_hours & ~is_missing(column)
    kinds = np.where(is_hours, TimeKind.HOURS, TimeKind.MISSING).astype(np.uint8)
    microseconds = np.zeros(len(kinds), dtype=np.int64)
    is_date = is_other & _matches(text, _DATE)
    has_offset = is_other & ~is_date & _matches(text, _OFFSET)
    for written, chosen in (
        (TimeKind.DATE, is_date),
        (TimeKind.INSTANT, has_offset),
        (TimeKind.LOCAL, is_other & ~is_date & ~has_offset),
    ):
        if chosen.any():
            found = _parse(_year_first(text.filter(pa.array(chosen))), written)
            kinds[chosen] = np.where(found == _UNREADABLE, TimeKind.INVALID, written)
            microseconds[chosen] = np.where(found == _UNREADABLE, 0, found)
    return Times(kinds, np.where(is_hours, _in_hours(hours, rules), 0.0), microseconds)


def _matches(text: pa.Array, pattern: str) -> Bool[np.ndarray, " row"]:
    found = pc.fill_null(pc.match_substring_regex(text, pattern), fill_value=False)
    return found.to_numpy(zero_copy_only=False)


def _year_first(text: pa.Array) -> pa.Array:
    """Write 3.2.2024 10:00 as 2024-02-03 10:00; everything else stays."""
    if not pc.any(pc.match_substring_regex(text, r"^\d{1,2}\.\d{1,2}\.\d{4}")).as_py():
        return text
    padded = pc.replace_substring_regex(text, r"^(\d)\.", r"0\1.")
    padded = pc.replace_substring_regex(padded, r"^(\d\d)\.(\d)\.", r"\1.0\2.")
    padded = pc.replace_substring_regex(padded, r"^(\d\d)\.(\d\d)\.(\d{4})", r"\3-\2-\1")
    return pc.replace_substring_regex(padded, r"[ T]+(\d):", r" 0\1:")


def _parse(text: pa.Array, written: TimeKind) -> Int[np.ndarray, " row"]:
    """Return microseconds since 1970; `_UNREADABLE` where there is no such time."""
    zone = "UTC" if written is TimeKind.INSTANT else None
    try:
        return text.cast(pa.timestamp("us", tz=zone)).cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        # One of them is wrong, or in a form that only Python reads: each distinct one by itself.
        encoded = text.dictionary_encode()
        parsed = [_microseconds(one, written) for one in encoded.dictionary.to_pylist()]
        return np.array(parsed, dtype=np.int64)[encoded.indices.to_numpy()]


def _microseconds(text: str, written: TimeKind) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _UNREADABLE
    if (moment.tzinfo is None) == (written is TimeKind.INSTANT):
        return _UNREADABLE
    return _since_epoch(moment)


def _since_epoch(moment: datetime) -> int:
    try:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        return _UNREADABLE
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _of_format(text: pa.Array, time_format: str) -> Times:
    """Read by a format of `strptime`, each distinct text once."""
    encoded = text.dictionary_encode()
    kinds, microseconds = [], []
    missing = is_missing(encoded.dictionary) if len(encoded.dictionary) else np.zeros(0, dtype=bool)
    for one, nothing in zip(encoded.dictionary.to_pylist(), missing, strict=True):
        kind, value = TimeKind.MISSING, 0
        if not nothing:
            try:
                moment = datetime.strptime(one, time_format)  # noqa: DTZ007  a zone is optional
                kind = TimeKind.LOCAL if moment.tzinfo is None else TimeKind.INSTANT
                value = _since_epoch(moment)
            except ValueError:
                value = _UNREADABLE
        kinds.append(TimeKind.INVALID if value == _UNREADABLE else kind)
        microseconds.append(0 if value == _UNREADABLE else value)
    codes = pc.fill_null(encoded.indices, len(kinds)).to_numpy(zero_copy_only=False)
    return Times(
        np.array([*kinds, TimeKind.MISSING], dtype=np.uint8)[codes],
        np.zeros(len(codes)),
        np.array([*microseconds, 0], dtype=np.int64)[codes],
    )


def _in_zone(times: Times, zone: str) -> Times:
    """Read local times in a zone; those that a change of the clock touches are counted."""
    is_local = times.kinds == TimeKind.LOCAL
    if not is_local.any():
        return times
    local = pa.array(times.microseconds[is_local]).cast(pa.timestamp("us"))
    earliest, latest = (
        pc.assume_timezone(local, zone, ambiguous=side, nonexistent=side)
        .cast(pa.int64())
        .to_numpy(zero_copy_only=False)
        for side in ("earliest", "latest")
    )
    kinds, microseconds = times.kinds.copy(), times.microseconds.copy()
    kinds[is_local], microseconds[is_local] = TimeKind.INSTANT, earliest
    changed = int(np.sum(earliest != latest))
    remarks = Counter(times.remarks) + Counter({CLOCK_CHANGE: changed})
    return Times(kinds, times.hours, microseconds, dict(remarks))
