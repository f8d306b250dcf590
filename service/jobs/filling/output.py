"""Answers as Arrow tables: one row for each variable at a time (long), or for each time (wide).

    long   subject_id, time, variable, unit, origin, comparator, value, standard_deviation, q0.05,
           ..., status, model_version
    wide   subject_id, time, then HR, HR_standard_deviation, HR_q0.05, ..., HR_origin,
           HR_comparator, HR_status for every variable, model_version

The comparator is `<=` or `>=` where the record holds a limit instead of a number: the true value lies
at or below, at or above the value of the row. It is null everywhere else.

Times are of the input's kind: hours, timestamps, or timestamps in UTC. Subjects are text, of MEDS
integers.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from model.data.variables import Catalogue
from model.records.clocks import Clocks
from model.records.rows import TimeKind
from model.records.sources.options import SourceFormat
from service.inference.status import STATUSES
from service.jobs.filling.answers import COMPARATORS, ORIGINS, Answers
from service.jobs.filling.choosing import Questions
from service.jobs.request import JobRequest, Shape

_WIDE_WORDS = ("origin", "comparator", "status")
_WORD = pa.dictionary(pa.int16(), pa.string())
_TIME_TYPES = {
    TimeKind.HOURS: pa.float64(),
    TimeKind.INSTANT: pa.timestamp("us", tz="UTC"),
    TimeKind.LOCAL: pa.timestamp("us"),
}


@dataclass(frozen=True)
class Layout:
    """The columns of the output of a job."""

    request: JobRequest
    catalogue: Catalogue
    model_version: str
    time_kind: TimeKind

    @property
    def subject_type(self) -> pa.DataType:
        """The type of the subjects."""
        return pa.int64() if self.request.format is SourceFormat.MEDS else pa.string()

    @property
    def channels(self) -> tuple[int, ...]:
        """The variables that may be answered, in channel order."""
        if isinstance(self.request.variables, tuple):
            return tuple(sorted({self.catalogue.channel(name) for name in self.request.variables}))
        return tuple(number for number, one in enumerate(self.catalogue) if one.is_queryable)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The names of the columns of numbers beside the value."""
        levels = (f"q{level!r}" for level in self.request.quantile_levels)
        return ("standard_deviation", *levels)

    @property
    def schema(self) -> pa.Schema:
        """The schema of every table of the job."""
        first = [("subject_id", self.subject_type), ("time", _TIME_TYPES[self.time_kind])]
        last = [("model_version", _WORD)]
        if self.request.output.shape is Shape.LONG:
            words = [(name, _WORD) for name in ("variable", "unit", "origin", "comparator")]
            numbers = [(name, pa.float32()) for name in ("value", *self.numbers)]
            return pa.schema([*first, *words, *numbers, ("status", _WORD), *last])
        columns = []
        for channel in self.channels:
            name = self.catalogue[channel].name
            columns.append((name, pa.float32()))
            columns.extend((f"{name}_{number}", pa.float32()) for number in self.numbers)
            columns.extend((f"{name}_{word}", _WORD) for word in _WIDE_WORDS)
        return pa.schema([*first, *columns, *last])

    def table(self, questions: Questions, answers: Answers) -> pa.Table:
        """Lay the answers out; `questions` are of the same series."""
        build = _long if self.request.output.shape is Shape.LONG else _wide
        return pa.Table.from_arrays(build(self, questions, answers), schema=self.schema)


def _long(layout: Layout, questions: Questions, answers: Answers) -> list[pa.Array]:
    query = answers.query
    series, points = query.series_of_points, query.points_of_queries
    variables = [variable.name for variable in layout.catalogue]
    # Each word once: Parquet's bytes are not always the same where a dictionary repeats itself.
    units = sorted({variable.unit for variable in layout.catalogue})
    unit_of = np.array(
        [units.index(variable.unit) for variable in layout.catalogue], dtype=np.int16
    )
    channels = query.channels.astype(np.int16)
    numbers = (answers.values, answers.standard_deviations, *answers.quantiles)
    return [
        questions.subject_ids.take(pa.array(series[points])).cast(layout.subject_type),
        _times(questions.clocks, series, query.times_hours).take(pa.array(points)),
        _words(channels, variables),
        _words(unit_of[channels], units),
        _words(answers.origins, ORIGINS),
        _words(answers.comparators, COMPARATORS),
        *map(_numbers, numbers),
        _words(answers.statuses, STATUSES),
        _words(np.zeros(len(points), dtype=np.int16), [layout.model_version]),
    ]


def _wide(layout: Layout, questions: Questions, answers: Answers) -> list[pa.Array]:
    query = answers.query
    series, size = query.series_of_points, len(query.times_hours)
    numbers = (answers.values, answers.standard_deviations, *answers.quantiles)
    words = (
        (answers.origins, ORIGINS),
        (answers.comparators, COMPARATORS),
        (answers.statuses, STATUSES),
    )
    columns: list[pa.Array] = []
    for channel in layout.channels:
        own = np.flatnonzero(query.channels == channel)
        at = query.points_of_queries[own]
        columns.extend(_numbers(_spread(row[own], at, size, np.nan)) for row in numbers)
        for codes, names in words:
            columns.append(_words(_spread(codes[own], at, size, -1), names))
    return [
        questions.subject_ids.take(pa.array(series)).cast(layout.subject_type),
        _times(questions.clocks, series, query.times_hours),
        *columns,
        _words(np.zeros(size, dtype=np.int16), [layout.model_version]),
    ]


def _spread(values: np.ndarray, at: Int[np.ndarray, " own"], size: int, empty: float) -> np.ndarray:
    result = np.full(size, empty, dtype=values.dtype)
    result[at] = values
    return result


def _numbers(values: Float[np.ndarray, " row"]) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def _words(codes: Int[np.ndarray, " row"], names: tuple[str, ...] | list[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(list(names)))


def _times(
    clocks: Clocks, series: Int[np.ndarray, " point"], hours: Float[np.ndarray, " point"]
) -> pa.Array:
    if clocks.kind is TimeKind.HOURS:
        return pa.array(hours)
    return pa.array(clocks.microseconds(series, hours)).cast(_TIME_TYPES[clocks.kind])
