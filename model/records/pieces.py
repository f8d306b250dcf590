"""Long records, cut at their silences into pieces that are each a series with a clock of its own.

A model looks some days back and some days ahead, and what an answer costs grows with the length of
its series. So a record is cut wherever nothing was observed for `SILENCE_HOURS`; a piece that is
still longer than `MAX_SPAN_HOURS` is cut at its longest silence near its middle, again and again.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.series import Cohort, hours_since
from model.data.variables import Catalogue
from model.records.statics import HOURS_PER_YEAR, age_position

SILENCE_HOURS: Final = 7 * 24.0
MAX_SPAN_HOURS: Final = 400 * 24.0


@dataclass(frozen=True)
class Pieces:
    """Pieces of all subjects, in the order of subject and time.

    `offsets[i]:offsets[i + 1]` are the observations of piece i, `subjects[i]` is its subject.
    """

    subjects: Int[np.ndarray, " piece"]
    offsets: Int[np.ndarray, " piece_plus_one"]

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def owners(self) -> Int[np.ndarray, " observation"]:
        """The piece of each observation."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


def cut_at_silences(
    subjects: Int[np.ndarray, " observation"],
    hours: Float[np.ndarray, " observation"],
    *,
    silence_hours: float = SILENCE_HOURS,
    max_span_hours: float = MAX_SPAN_HOURS,
) -> Pieces:
    """Cut records that are sorted by subject and time.

    Examples
    --------
    >>> cut_at_silences(np.array([0, 0, 0]), np.array([0.0, 1.0, 900.0])).offsets.tolist()
    [0, 2, 3]
    """
    if not len(subjects):
        return Pieces(np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64))
    if subjects[0] == subjects[-1] and hours[-1] - hours[0] <= min(silence_hours, max_span_hours):
        return Pieces(subjects[:1], np.array([0, len(subjects)]))
    gaps = np.diff(hours)
    is_start = np.ones(len(subjects), dtype=bool)
    is_start[1:] = (np.diff(subjects) != 0) | (gaps > silence_hours)
    while True:
        starts = np.flatnonzero(is_start)
        ends = np.append(starts[1:], len(hours)) - 1
        is_long = hours[ends] - hours[starts] > max_span_hours
        if not is_long.any():
            break
        is_start[_longest_silences(hours, gaps, starts[is_long], ends[is_long])] = True
    return Pieces(subjects[starts], np.append(starts, len(subjects)))


def _longest_silences(
    hours: Float[np.ndarray, " observation"],
    gaps: Float[np.ndarray, " gap"],
    starts: Int[np.ndarray, " long"],
    ends: Int[np.ndarray, " long"],
) -> list[int]:
    """Return where each piece is cut: after the longest silence in the middle half of its span."""
    cuts = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        middles = (hours[start:end] + hours[start + 1 : end + 1]) / 2
        quarter = (hours[end] - hours[start]) / 4
        # The silence over the middle of the span is always among these.
        is_near: Bool[np.ndarray, " own"] = (
            np.abs(middles - (hours[start] + 2 * quarter)) <= quarter
        )
        cuts.append(start + 1 + int(np.argmax(np.where(is_near, gaps[start:end], -1.0))))
    return cuts


def in_pieces(cohort: Cohort, catalogue: Catalogue) -> Cohort:
    """Return the pieces of whole records as series; one subject may have several.

    The first piece of a record keeps its clock. Every later one begins at its own first
    observation, and its subject is older by what has passed.
    """
    pieces = cut_at_silences(cohort.series_indices, cohort.times_hours)
    if len(pieces) == len(cohort) and len(cohort):
        return cohort
    subjects = pieces.subjects
    is_later = np.zeros(len(pieces), dtype=bool)
    is_later[1:] = np.diff(subjects) == 0
    firsts = cohort.times_hours[pieces.offsets[:-1]]
    starts = np.where(is_later, firsts, 0.0)
    return Cohort(
        tuple(cohort.subject_ids[subject] for subject in subjects.tolist()),
        pieces.offsets,
        np.where(
            is_later[pieces.owners],
            hours_since(cohort.times_hours, starts[pieces.owners]),
            cohort.times_hours,
        ),
        cohort.channels,
        cohort.values,
        aged(cohort.statics[subjects], subjects, firsts, catalogue),
        cohort.censoring,
    )


def aged(
    statics: Float[np.ndarray, "piece static"],
    subjects: Int[np.ndarray, " piece"],
    firsts_hours: Float[np.ndarray, " piece"],
    catalogue: Catalogue,
) -> Float[np.ndarray, "piece static"]:
    """Return the statics with the age at the beginning of each piece, from that at the first one's."""
    position = age_position(catalogue)
    if position is None or np.all(subjects[1:] != subjects[:-1]):
        return statics
    own = statics.copy()
    first_pieces = np.searchsorted(subjects, subjects)
    own[:, position] += (firsts_hours - firsts_hours[first_pieces]) / HOURS_PER_YEAR
    return own
