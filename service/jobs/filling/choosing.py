"""Choosing what is asked about every piece of a chunk, and which subjects have an answer at all.

All pieces of a subject are answered, or none: what is refused is the subject.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol, final

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int, Shaped

from model.data.query import Query
from model.data.reasons import Reason
from model.data.series import Cohort, joined_ranges, offsets_from_counts
from model.data.variables import Catalogue
from model.records.clocks import Clocks
from model.records.explaining import explain
from model.records.times import MICROSECONDS_PER_HOUR
from service.inference.errors import Fault
from service.jobs.filling.chunk_reading import ReadChunk
from service.jobs.request import Grid, JobRequest, OwnTimes

MAX_TIMES_PER_SUBJECT = 20_000

_MICROSECONDS_PER_MINUTE = 60_000_000


@dataclass(frozen=True)
class Questions:
    """Pieces that are answered; each is asked for every one of its channels at every one of its times.

    `subjects` are the numbers of theirs in the chunk. The queries are laid out batch by batch: those
    of a whole chunk may be more than fit into memory.
    """

    subjects: Int[np.ndarray, " piece"]
    subject_ids: pa.Array
    cohort: Cohort
    clocks: Clocks
    times_hours: Sequence[Float[np.ndarray, " _"]]
    channels: Sequence[Int[np.ndarray, " _"]]

    @cached_property
    def query(self) -> Query:
        """What is asked, piece by piece."""
        return Query.grid(self.times_hours, self.channels)

    @property
    def starts(self) -> Int[np.ndarray, " subject"]:
        """The first piece of each subject."""
        return np.flatnonzero(np.diff(self.subjects, prepend=-1))

    def between(self, start: int, stop: int) -> "Questions":
        """Return those of the pieces start:stop."""
        chosen = np.arange(start, stop)
        return Questions(
            self.subjects[chosen],
            self.subject_ids[start:stop],
            self.cohort.select(chosen),
            self.clocks.select(chosen),
            self.times_hours[start:stop],
            self.channels[start:stop],
        )

    def batches(self, size: int) -> Iterator["Questions"]:
        """Cut into batches of about so many queries and observations, at least one subject each."""
        asked = zip(self.times_hours, self.channels, strict=True)
        work = self.cohort.counts + np.array([len(a) * len(b) for a, b in asked], dtype=np.int64)
        if not work.size:  # every subject of the chunk was refused
            return
        starts = self.starts
        done = np.cumsum(np.add.reduceat(work, starts))
        cuts = starts[np.flatnonzero(np.diff(done // size, prepend=-1))]
        for start, stop in zip(cuts, [*cuts[1:], len(work)], strict=True):
            yield self.between(int(start), int(stop))


def choose_questions(read: ReadChunk, request: JobRequest, catalogue: Catalogue) -> Questions:
    """Choose points for every piece of a subject that is not refused; the refusals of `read` grow."""
    refusals, pieces = read.refusals, read.pieces
    num_subjects = len(read.subject_ids)
    channels = _channels(read, request, catalogue)
    refusals.add(
        pieces[channels.counts == 0],
        Fault.EMPTY_QUERY,
        "nothing that was observed can be estimated; name variables",
    )
    times = _times(read, request)
    sums = np.bincount(pieces, weights=times.counts, minlength=num_subjects)
    refusals.add(
        np.flatnonzero(sums > MAX_TIMES_PER_SUBJECT),
        Fault.TOO_MANY_QUERY_TIMES,
        f"a subject may be asked at {MAX_TIMES_PER_SUBJECT} times; split it, or ask at fewer",
    )
    # A subject that a table of times does not name was not asked for: it is no failure.
    is_answered = ~refusals.is_refused[pieces] & (times.counts > 0)
    answered = np.flatnonzero(is_answered)
    return Questions(
        pieces[answered],
        read.subject_ids.take(pa.array(pieces[answered])),
        read.cohort.select(answered),
        read.clocks.select(answered),
        times.select(is_answered).apart(),
        channels.select(is_answered).apart(),
    )


@dataclass(frozen=True)
class _Ragged:
    """So many values for each piece."""

    counts: Int[np.ndarray, " piece"]
    values: Shaped[np.ndarray, " value"]

    def select(self, chosen: Bool[np.ndarray, " piece"]) -> "_Ragged":
        return _Ragged(self.counts[chosen], self.values[np.repeat(chosen, self.counts)])

    def apart(self) -> list[Shaped[np.ndarray, " _"]]:
        """Return the values of each piece."""
        ends = pairwise(offsets_from_counts(self.counts).tolist())
        return [self.values[start:stop] for start, stop in ends]


class _Times(Protocol):
    """Times of each piece; those of a grid are counted before there are any."""

    @property
    def counts(self) -> Int[np.ndarray, " piece"]: ...

    def select(self, chosen: Bool[np.ndarray, " piece"]) -> _Ragged: ...


def _channels(read: ReadChunk, request: JobRequest, catalogue: Catalogue) -> _Ragged:
    """Return what is asked of each piece; the same for all pieces of a subject."""
    num_pieces = len(read.pieces)
    if request.variables == "observed":
        is_asked = np.zeros((len(read.subject_ids), len(catalogue)), dtype=bool)
        is_asked[read.pieces[read.cohort.series_indices], read.cohort.channels] = True
        is_asked &= np.array([variable.is_queryable for variable in catalogue])
        of_pieces = is_asked[read.pieces]
        return _Ragged(of_pieces.sum(axis=1), np.nonzero(of_pieces)[1])
    if request.variables == "all":
        asked = [channel for channel, one in enumerate(catalogue) if one.is_queryable]
    else:
        asked = sorted({catalogue.channel(name) for name in request.variables})
    return _Ragged(np.full(num_pieces, len(asked)), np.tile(asked, num_pieces))


def _times(read: ReadChunk, request: JobRequest) -> _Times:
    if isinstance(request.fill, Grid):
        return _GridTimes(read, request.fill)
    if isinstance(request.fill, OwnTimes):
        return _distinct(read.cohort.series_indices, read.cohort.times_hours, len(read.pieces))
    return _asked_times(read, request.outside_hours)


@final
class _GridTimes:
    """The multiples of the grid's step from the last one before a piece to its end.

    The grid goes on after the last piece of a subject alone: what came after the others is known.
    """

    def __init__(self, read: ReadChunk, grid: Grid) -> None:
        cohort, pieces = read.cohort, np.arange(len(read.pieces))
        ends = (
            cohort.times_hours[places] for places in (cohort.offsets[:-1], cohort.offsets[1:] - 1)
        )
        first, last = (read.clocks.microseconds(pieces, hours) for hours in ends)
        self._step = grid.minutes * _MICROSECONDS_PER_MINUTE
        is_last = np.diff(read.pieces, append=-1) != 0
        beyond = round(grid.forecast_hours * MICROSECONDS_PER_HOUR)
        stops = (last + np.where(is_last, beyond, 0)) // self._step + 1
        self._first = first // self._step
        # Pieces that lie close together share no time.
        self._first[1:] = np.where(
            is_last[:-1], self._first[1:], np.maximum(self._first[1:], stops[:-1])
        )
        self._counts = np.maximum(stops - self._first, 0)
        self._origins = read.clocks.origins

    @property
    def counts(self) -> Int[np.ndarray, " piece"]:
        return self._counts

    def select(self, chosen: Bool[np.ndarray, " piece"]) -> _Ragged:
        counts = self._counts[chosen]
        moments = joined_ranges(self._first[chosen], counts) * self._step
        since = moments - np.repeat(self._origins[chosen], counts)
        return _Ragged(counts, since / MICROSECONDS_PER_HOUR)


def _distinct(
    pieces: Int[np.ndarray, " time"], hours: Float[np.ndarray, " time"], num_pieces: int
) -> _Ragged:
    order = np.lexsort((hours, pieces))
    pieces, hours = pieces[order], hours[order]
    is_new = np.ones(len(pieces), dtype=bool)
    is_new[1:] = (np.diff(pieces) != 0) | (np.diff(hours) != 0)
    return _Ragged(np.bincount(pieces[is_new], minlength=num_pieces), hours[is_new])


def _asked_times(read: ReadChunk, limit_hours: float) -> _Ragged:
    """Take the times of a table; a bad or a far one refuses its subject, as when posted."""
    asked = read.asked
    is_usable = asked.faults == Reason.KEPT
    for fault in np.unique(asked.faults[~is_usable]).tolist():
        reason = Reason(fault)
        sentence = f"a row of the table of times: {explain(reason)}"
        read.refusals.add(asked.subjects[asked.faults == fault], Fault(reason.code), sentence)
    read.refusals.add(
        asked.subjects[is_usable & (asked.outside_hours > limit_hours)],
        Fault.QUERY_TOO_FAR,
        f"a time may lie up to {limit_hours:g} hours before the first or after the last "
        "observation that is used, and as far into a silence of the record",
    )
    return _distinct(asked.pieces[is_usable], asked.hours[is_usable], len(read.pieces))
