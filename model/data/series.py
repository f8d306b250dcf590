"""Series: the observations of one subject in one window; Cohort: many of them in shared arrays.

Ragged by construction. Every series keeps its own times; there is no union of time points and no
padding here. Time is hours from the series' origin, values are in canonical units.

An observation may be a limit instead of a number (`<0.01`): `censoring` says on which side of
`value` the true value lies. It is `AT_OR_BELOW`, `MEASURED` or `AT_OR_ABOVE`.
"""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import SupportsIndex

import numpy as np
from jaxtyping import Bool, Float, Int

_MICROSECONDS_PER_HOUR = 3.6e9

AT_OR_BELOW, MEASURED, AT_OR_ABOVE = -1, 0, 1
"""Where the true value lies, seen from the value that stands in the record."""


def all_measured() -> Int[np.ndarray, " observation"]:
    """Stand for "no limit among the values" until the number of values is known."""
    return np.zeros(0, dtype=np.int8)


def censoring_of(
    censoring: Int[np.ndarray, " given"], num_values: int
) -> Int[np.ndarray, " observation"]:
    """Return the side of every value as int8; all are measured where none is given.

    Raises
    ------
    ValueError
        If there are sides, but not one for each value.
    """
    if len(censoring) == 0:
        return np.zeros(num_values, dtype=np.int8)
    if len(censoring) != num_values:
        raise ValueError(f"`censoring` needs {num_values} entries, got {len(censoring)}")
    return censoring.astype(np.int8, copy=False)


@dataclass(frozen=True)
class Series:
    """The observations of one subject, sorted by time and then by channel.

    `statics` holds one number for each static of the catalogue, NaN where unknown.
    """

    subject_id: str
    times_hours: Float[np.ndarray, " observation"]
    channels: Int[np.ndarray, " observation"]
    values: Float[np.ndarray, " observation"]
    statics: Float[np.ndarray, " static"]
    censoring: Int[np.ndarray, " observation"] = field(default_factory=all_measured)

    def __post_init__(self) -> None:
        object.__setattr__(self, "censoring", censoring_of(self.censoring, len(self.values)))

    def __len__(self) -> int:
        return len(self.times_hours)


@dataclass(frozen=True)
class Cohort:
    """Many series in flat arrays: series `i` owns the observations offsets[i]:offsets[i + 1].

    One subject may have several series, the pieces of a long record.
    """

    subject_ids: tuple[str, ...]
    offsets: Int[np.ndarray, " series_plus_one"]
    times_hours: Float[np.ndarray, " observation"]
    channels: Int[np.ndarray, " observation"]
    values: Float[np.ndarray, " observation"]
    statics: Float[np.ndarray, "series static"]
    censoring: Int[np.ndarray, " observation"] = field(default_factory=all_measured)

    def __post_init__(self) -> None:
        object.__setattr__(self, "censoring", censoring_of(self.censoring, len(self.values)))

    def __len__(self) -> int:
        return len(self.subject_ids)

    def __getitem__(self, index: SupportsIndex) -> Series:
        start, stop = self.offsets[operator.index(index) :][:2]
        return Series(
            self.subject_ids[index],
            self.times_hours[start:stop],
            self.channels[start:stop],
            self.values[start:stop],
            self.statics[index],
            self.censoring[start:stop],
        )

    def __iter__(self) -> Iterator[Series]:
        return (self[index] for index in range(len(self)))

    @cached_property
    def counts(self) -> Int[np.ndarray, " series"]:
        """Number of observations of each series."""
        return np.diff(self.offsets)

    @cached_property
    def measured_mask(self) -> Bool[np.ndarray, " observation"]:
        """Which observations are numbers, not limits."""
        return self.censoring == MEASURED

    @cached_property
    def series_indices(self) -> Int[np.ndarray, " observation"]:
        """Owner of each observation."""
        return np.repeat(np.arange(len(self)), self.counts)

    def select(self, indices: Sequence[int] | Int[np.ndarray, " chosen"]) -> "Cohort":
        """Return the chosen series in the given order."""
        chosen = np.asarray(indices, dtype=np.int64)
        counts = self.counts[chosen]
        rows = joined_ranges(self.offsets[chosen], counts)
        return Cohort(
            tuple(self.subject_ids[index] for index in chosen),
            offsets_from_counts(counts),
            self.times_hours[rows],
            self.channels[rows],
            self.values[rows],
            self.statics[chosen],
            self.censoring[rows],
        )

    def keep(self, kept: np.ndarray) -> "Cohort":
        """Return every series with only the observations where `kept` (bool, observation) is True."""
        counts = np.bincount(self.series_indices[kept], minlength=len(self))
        return Cohort(
            self.subject_ids,
            offsets_from_counts(counts),
            self.times_hours[kept],
            self.channels[kept],
            self.values[kept],
            self.statics,
            self.censoring[kept],
        )

    def without_empty(self) -> "Cohort":
        """Return the series that have an observation."""
        return self.select(np.flatnonzero(self.counts > 0))

    @classmethod
    def from_series(cls, series: Sequence[Series]) -> "Cohort":
        """Join single series. Needs at least one."""
        return cls(
            tuple(one.subject_id for one in series),
            offsets_from_counts(np.array([len(one) for one in series])),
            np.concatenate([one.times_hours for one in series]),
            np.concatenate([one.channels for one in series]),
            np.concatenate([one.values for one in series]),
            np.stack([one.statics for one in series]),
            np.concatenate([one.censoring for one in series]),
        )


def offsets_from_counts(counts: Int[np.ndarray, " series"]) -> Int[np.ndarray, " series_plus_one"]:
    """Return where each series begins, with the total at the end."""
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)])


def joined_ranges(
    starts: Int[np.ndarray, " range"], counts: Int[np.ndarray, " range"]
) -> Int[np.ndarray, " row"]:
    """Return start, start + 1, ... of every range, so many of each, one range after another."""
    ends = np.cumsum(counts, dtype=np.int64)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + counts, counts)


def hours_since(
    times_hours: Float[np.ndarray, "*shape"], origins_hours: Float[np.ndarray, "*#shape"] | float
) -> Float[np.ndarray, "*shape"]:
    """Return the hours since an origin on the microsecond grid of the table.

    Rounding makes the difference exact: a shift common to both changes no bit of the result.
    """
    return np.rint((times_hours - origins_hours) * _MICROSECONDS_PER_HOUR) / _MICROSECONDS_PER_HOUR
