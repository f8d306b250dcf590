"""Choosing what is asked about every series of a chunk, and which series have an answer at all."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int, Shaped

from model.data.series import Cohort, offsets_from_counts
from model.data.variables import Catalogue
from service.inference.errors import Fault
from service.jobs.filling.points import Points
from service.jobs.reading.clocks import MICROSECONDS_PER_HOUR, Clocks
from service.jobs.reading.reading import ReadChunk
from service.jobs.request import Grid, JobRequest, OwnTimes

MAX_TIMES_PER_SUBJECT = 20_000

_MICROSECONDS_PER_MINUTE = 60_000_000


@dataclass(frozen=True)
class Questions:
    """Series that are answered, and their points; `numbers` are theirs in the chunk."""

    numbers: Int[np.ndarray, " series"]
    subject_ids: pa.Array
    cohort: Cohort
    clocks: Clocks
    points: Points

    def between(self, start: int, stop: int) -> "Questions":
        """Return those of the series start:stop."""
        chosen = np.arange(start, stop)
        return Questions(
            self.numbers[chosen],
            self.subject_ids[start:stop],
            self.cohort.select(chosen),
            self.clocks.select(chosen),
            self.points.between(start, stop),
        )

    def batches(self, size: int) -> Iterator["Questions"]:
        """Cut into batches of about so many queries and observations, at least one series each."""
        work = self.points.num_queries + self.cohort.counts
        if not work.size:  # every subject of the chunk was refused
            return
        starts = np.flatnonzero(np.diff(np.cumsum(work) // size, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(work)], strict=True):
            yield self.between(int(start), int(stop))


def choose_questions(read: ReadChunk, request: JobRequest, catalogue: Catalogue) -> Questions:
    """Choose points for every series that is not refused; the refusals of `read` grow."""
    cohort, refusals = read.cohort, read.refusals
    channels = _channels(cohort, request, catalogue)
    refusals.add(
        # An empty series is refused for that.
        np.flatnonzero((channels.counts == 0) & (cohort.counts > 0)),
        Fault.EMPTY_QUERY,
        "nothing that was observed can be estimated; name variables",
    )
    times = _times(read, request)
    refusals.add(
        np.flatnonzero(times.counts > MAX_TIMES_PER_SUBJECT),
        Fault.TOO_MANY_QUERY_TIMES,
        f"a subject may be asked at {MAX_TIMES_PER_SUBJECT} times; split it, or ask at fewer",
    )
    # A subject that a table of times does not name was not asked for: it is no failure.
    is_answered = ~refusals.is_refused & (times.counts > 0)
    answered = np.flatnonzero(is_answered)
    own_channels, own_times = channels.select(is_answered), times.select(is_answered)
    return Questions(
        answered,
        read.subject_ids.take(pa.array(answered)),
        cohort.select(answered),
        read.clocks.select(answered),
        Points(
            offsets_from_counts(own_times.counts),
            own_times.values,
            offsets_from_counts(own_channels.counts),
            own_channels.values.astype(np.int64),
        ),
    )


@dataclass(frozen=True)
class _Ragged:
    """So many values for each series."""

    counts: Int[np.ndarray, " series"]
    values: Shaped[np.ndarray, " value"]

    def select(self, chosen: Bool[np.ndarray, " series"]) -> "_Ragged":
        return _Ragged(self.counts[chosen], self.values[np.repeat(chosen, self.counts)])


class _Times(Protocol):
    """Times of each series; those of a grid are counted before there are any."""

    @property
    def counts(self) -> Int[np.ndarray, " series"]: ...

    def select(self, chosen: Bool[np.ndarray, " series"]) -> _Ragged: ...


def _channels(cohort: Cohort, request: JobRequest, catalogue: Catalogue) -> _Ragged:
    num_series, num_channels = len(cohort), len(catalogue)
    if request.variables == "observed":
        is_asked = np.zeros((num_series, num_channels), dtype=bool)
        is_asked[cohort.series_indices, cohort.channels] = True
        is_asked &= np.array([variable.is_queryable for variable in catalogue])
        return _Ragged(is_asked.sum(axis=1), np.nonzero(is_asked)[1])
    if request.variables == "all":
        asked = [channel for channel, one in enumerate(catalogue) if one.is_queryable]
    else:
        asked = sorted({catalogue.channel(name) for name in request.variables})
    return _Ragged(np.full(num_series, len(asked)), np.tile(asked, num_series))


def _times(read: ReadChunk, request: JobRequest) -> _Times:
    if isinstance(request.fill, Grid):
        return _GridTimes(read, request.fill)
    if isinstance(request.fill, OwnTimes):
        return _distinct(read.cohort.series_indices, read.cohort.times_hours, len(read.cohort))
    return _asked_times(read, request.outside_hours)


@final
class _GridTimes:
    """The multiples of the grid's step from the last one before the record to its end."""

    def __init__(self, read: ReadChunk, grid: Grid) -> None:
        cohort = read.cohort
        has_any = cohort.counts > 0
        places = np.where(has_any[None], np.stack([cohort.offsets[:-1], cohort.offsets[1:] - 1]), 0)
        ends = cohort.times_hours[places] if len(cohort.times_hours) else np.zeros(places.shape)
        series = np.arange(len(cohort))
        first, last = (read.clocks.microseconds(series, hours) for hours in ends)
        self._step = grid.minutes * _MICROSECONDS_PER_MINUTE
        beyond = round(grid.forecast_hours * MICROSECONDS_PER_HOUR)
        self._first = first // self._step
        self._counts = np.where(has_any, (last + beyond) // self._step - self._first + 1, 0)
        self._origins = read.clocks.origins

    @property
    def counts(self) -> Int[np.ndarray, " series"]:
        return self._counts

    def select(self, chosen: Bool[np.ndarray, " series"]) -> _Ragged:
        counts = self._counts[chosen]
        starts = np.cumsum(counts) - counts
        places = np.arange(counts.sum()) - np.repeat(starts, counts)
        moments = (np.repeat(self._first[chosen], counts) + places) * self._step
        since = moments - np.repeat(self._origins[chosen], counts)
        return _Ragged(counts, since / MICROSECONDS_PER_HOUR)


def _distinct(
    series: Int[np.ndarray, " time"], hours: Float[np.ndarray, " time"], num_series: int
) -> _Ragged:
    order = np.lexsort((hours, series))
    series, hours = series[order], hours[order]
    is_new = np.ones(len(series), dtype=bool)
    is_new[1:] = (np.diff(series) != 0) | (np.diff(hours) != 0)
    return _Ragged(np.bincount(series[is_new], minlength=num_series), hours[is_new])


def _asked_times(read: ReadChunk, limit_hours: float) -> _Ragged:
    """Take the times of a table; those far from the record refuse their series, as when posted."""
    cohort, series, hours = read.cohort, read.query_series, read.query_hours
    read.refusals.add(
        series[np.isnan(hours)], Fault.INVALID_TIME, "a row of the table of times has no time"
    )
    known = ~np.isnan(hours) & (cohort.counts[series] > 0)
    series, hours = series[known], hours[known]
    first = cohort.times_hours[cohort.offsets[:-1][series]]
    last = cohort.times_hours[cohort.offsets[1:][series] - 1]
    is_far = (hours < first - limit_hours) | (hours > last + limit_hours)
    read.refusals.add(
        series[is_far],
        Fault.QUERY_TOO_FAR,
        f"a time may lie up to {limit_hours:g} hours before the first or after the last "
        "observation that is used",
    )
    return _distinct(series, hours, len(cohort))
