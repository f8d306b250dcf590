"""Where in a subject's record a time lies: in which piece, at which hour of its clock, how far outside."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from model.data.series import Cohort
from model.records.clocks import Clocks, on_line, time_faults
from model.records.times import MICROSECONDS_PER_HOUR, Times


@dataclass(frozen=True)
class Placed:
    """The nearest piece of each time (-1 where the subject has none), and the hour on its clock.

    `outside_hours` is how far a time lies before the first or after the last observation of its
    piece, 0 inside. `faults` is `Reason.KEPT` for a usable time; the others have NaN hours.
    """

    pieces: Int[np.ndarray, " time"]
    hours: Float[np.ndarray, " time"]
    outside_hours: Float[np.ndarray, " time"]
    faults: Int[np.ndarray, " time"]


def place_times(
    times: Times,
    subjects: Int[np.ndarray, " time"],
    cohort: Cohort,
    clocks: Clocks,
    piece_subjects: Int[np.ndarray, " piece"],
) -> Placed:
    """Place times in the records of their subjects; of two pieces equally near the earlier is taken."""
    faults = time_faults(times, clocks.kind)
    moments = on_line(times, clocks.kind)
    starts = clocks.origins / MICROSECONDS_PER_HOUR
    firsts = starts + cohort.times_hours[cohort.offsets[:-1]]
    lasts = starts + cohort.times_hours[cohort.offsets[1:] - 1]
    begin = np.searchsorted(piece_subjects, subjects, side="left")
    end = np.searchsorted(piece_subjects, subjects, side="right")
    pieces = np.where(end > begin, begin, -1)
    for row in np.flatnonzero(end - begin > 1).tolist():
        own = slice(begin[row], end[row])
        outside = np.maximum(firsts[own] - moments[row], moments[row] - lasts[own])
        pieces[row] = begin[row] + int(np.argmin(np.maximum(outside, 0.0)))
    hours = np.full(len(times), np.nan)
    has_piece = pieces >= 0
    hours[has_piece] = clocks.hours(pieces[has_piece], times.take(has_piece))
    outside_hours = np.zeros(len(times))
    own_pieces = pieces[has_piece]
    outside_hours[has_piece] = np.maximum(
        0.0,
        np.maximum(firsts[own_pieces] - moments[has_piece], moments[has_piece] - lasts[own_pieces]),
    )
    return Placed(pieces, hours, outside_hours, faults)
