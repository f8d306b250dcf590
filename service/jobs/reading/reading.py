"""From the rows of a chunk to cleaned series, all at once; the rules are those of a posted series.

The order, as in `service.inference.reading`: number of rows, variables and units, times, cleaning,
statics. The first fault of a series refuses it, and no other. Nothing here loops over series.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Int

from model.data.cleaning import Drop, Observations, clean
from model.data.series import Cohort, offsets_from_counts
from model.data.variables import Catalogue
from service.inference.errors import Fault, SeriesRefusedError
from service.inference.observations import find_channel, find_conversion
from service.jobs.reading.clocks import Clocks, RowTimes, refuse_spans, refuse_times
from service.jobs.reading.labels import Labels
from service.jobs.reading.refusals import Refusals
from service.jobs.reading.rows import MAX_ROWS_PER_SUBJECT, SortedRows
from service.jobs.reading.static_columns import StaticColumns, read_statics


@dataclass(frozen=True)
class ReadChunk:
    """Cleaned series, and what was asked for by rows of their own.

    A series without an observation is empty in `cohort`; it is refused. `query_series` and
    `query_hours` are the rows of a table of times.
    """

    subject_ids: pa.Array
    cohort: Cohort
    clocks: Clocks
    query_series: Int[np.ndarray, " asked"]
    query_hours: Float[np.ndarray, " asked"]
    refusals: Refusals
    drops: tuple[Drop, ...]
    num_statics_ignored: int


@dataclass(frozen=True)
class _Measured:
    """Channel and value in canonical units; channel -1 where the series is refused."""

    channels: Int[np.ndarray, " row"]
    values: Float[np.ndarray, " row"]


@dataclass(frozen=True)
class _Columns:
    """The columns of a chunk, and what each row is: a query, a static or an observation."""

    series: Int[np.ndarray, " row"]
    names: Labels
    units: Labels
    texts: Labels
    numbers: Float[np.ndarray, " row"]
    times: RowTimes
    is_query: Bool[np.ndarray, " row"]
    is_static: Bool[np.ndarray, " row"]

    @classmethod
    def of(
        cls, table: pa.Table, series: Int[np.ndarray, " row"], catalogue: Catalogue
    ) -> "_Columns":
        names = Labels.of(table.column("variable"))
        is_query = table.column("is_query").to_numpy()
        times = (table.column(name) for name in ("time_kind", "hours", "microseconds"))
        return cls(
            series,
            names,
            Labels.of(table.column("unit")),
            Labels.of(table.column("text")),
            _numbers(table.column("value")),
            RowTimes(series, *(column.to_numpy() for column in times)),
            is_query,
            _is_static(names, catalogue) & ~is_query,
        )

    @property
    def is_observed(self) -> Bool[np.ndarray, " row"]:
        return ~self.is_query & ~self.is_static


def read_series(rows: SortedRows, catalogue: Catalogue) -> ReadChunk:
    """Read every series of a chunk."""
    subject_ids, series = _subjects(rows.table)
    refusals = Refusals(len(subject_ids))
    refusals.add(
        np.flatnonzero(np.bincount(series) > MAX_ROWS_PER_SUBJECT),
        Fault.TOO_MANY_OBSERVATIONS,
        f"a subject may have {MAX_ROWS_PER_SUBJECT} rows; split it",
    )
    columns = _Columns.of(rows.table, series, catalogue)
    measured = _measure(columns, catalogue, refusals)
    refuse_times(columns.times.take(~columns.is_static), rows.time_kind, refusals)
    observed_times = columns.times.take(columns.is_observed)
    query_times = columns.times.take(columns.is_query)
    clocks = Clocks.start(rows.time_kind, observed_times, len(subject_ids))
    hours = clocks.hours(observed_times)
    refuse_spans(observed_times.series, hours, refusals)
    statics = _read_statics(columns, len(subject_ids), catalogue)
    cohort, drops = _clean(
        subject_ids, observed_times.series, hours, measured, statics.values, catalogue, refusals
    )
    return ReadChunk(
        subject_ids,
        cohort,
        clocks,
        query_times.series,
        clocks.hours(query_times),
        refusals,
        drops,
        statics.num_ignored,
    )


def _subjects(table: pa.Table) -> tuple[pa.Array, Int[np.ndarray, " row"]]:
    """Return the distinct subjects of sorted rows, and the number of each row's."""
    subjects = table.column("subject_id").combine_chunks()
    is_new = np.ones(len(subjects), dtype=bool)
    is_new[1:] = pc.not_equal(subjects[1:], subjects[:-1]).to_numpy(zero_copy_only=False)
    return subjects.filter(pa.array(is_new)), np.cumsum(is_new) - 1


def _read_statics(columns: _Columns, num_series: int, catalogue: Catalogue) -> StaticColumns:
    chosen = columns.is_static
    return read_statics(
        columns.series[chosen],
        columns.names.take(chosen),
        columns.units.take(chosen),
        columns.numbers[chosen],
        columns.texts.take(chosen),
        num_series=num_series,
        catalogue=catalogue,
    )


def _numbers(column: pa.ChunkedArray) -> Float[np.ndarray, " row"]:
    return pc.fill_null(column, np.nan).to_numpy()


def _is_static(names: Labels, catalogue: Catalogue) -> Bool[np.ndarray, " row"]:
    known = [name in catalogue.static_positions for name in names.names]
    return np.array(known, dtype=bool)[names.codes]


def _measure(columns: _Columns, catalogue: Catalogue, refusals: Refusals) -> _Measured:
    """Look up and convert every pair of a variable and a unit of the observations once."""
    chosen = columns.is_observed
    series, numbers = columns.series[chosen], columns.numbers[chosen]
    names, units = columns.names.take(chosen), columns.units.take(chosen)
    pairs = names.codes * len(units.names) + units.codes
    distinct, owners = np.unique(pairs, return_inverse=True)
    channels = np.full(len(distinct), -1)
    factors, offsets = np.ones(len(distinct)), np.zeros(len(distinct))
    for place, pair in enumerate(distinct.tolist()):
        name, unit = divmod(pair, len(units.names))
        try:
            channel = find_channel(catalogue, names.names[name], path="variable")
            change = find_conversion(catalogue[channel], units.names[unit] or None, path="unit")
        except SeriesRefusedError as error:
            refusals.add(series[owners == place], error.code, error.detail)
        else:
            channels[place] = channel
            factors[place], offsets[place] = change.factor, change.offset
    with np.errstate(over="ignore"):
        return _Measured(channels[owners], numbers * factors[owners] + offsets[owners])


def _clean(
    subject_ids: pa.Array,
    series: Int[np.ndarray, " row"],
    hours: Float[np.ndarray, " row"],
    measured: _Measured,
    statics: Float[np.ndarray, "series static"],
    catalogue: Catalogue,
    refusals: Refusals,
) -> tuple[Cohort, tuple[Drop, ...]]:
    good = ~refusals.is_refused[series]
    cleaned = clean(
        Observations(series[good], hours[good], measured.channels[good], measured.values[good]),
        catalogue,
    )
    kept = cleaned.observations
    counts = np.bincount(kept.series_indices, minlength=len(subject_ids))
    refusals.add(
        np.flatnonzero(counts == 0),
        Fault.NO_OBSERVATIONS,
        "no usable observation: there is none, or each is implausible or without a time",
    )
    cohort = Cohort(
        tuple(map(str, subject_ids.to_pylist())),
        offsets_from_counts(counts),
        kept.times_hours,
        kept.channels,
        kept.values,
        statics,
        kept.censoring,
    )
    return cohort, cleaned.report.drops
