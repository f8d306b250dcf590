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
    has_piece = end > begin
    pieces = np.where(has_piece, begin, -1)
    for row in np.flatnonzero(end - begin > 1).tolist():
        own = slice(begin[row], end[row])
        outside = np.maximum(firsts[own] - moments[row], moments[row] - lasts[own])
        pieces[row] = begin[row] + int(np.argmin(np.maximum(outside, 0.0)))
    if not len(cohort):
        nothing = np.zeros(len(times))
        return Placed(pieces, nothing + np.nan, nothing, faults)
    # Where there is no piece, the last one is asked and nothing of its answer is used.
    hours = np.where(has_piece, clocks.hours(pieces, times), np.nan)
    outside = np.maximum(firsts[pieces] - moments, moments - lasts[pieces])
    outside_hours = np.where(has_piece, np.maximum(0.0, outside), 0.0)
    return Placed(pieces, hours, outside_hours, faults)
