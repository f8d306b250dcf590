"""The answer to the questions of some series as flat columns: measured where it was, else estimated."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float, Int

from model.data.query import Query
from model.data.series import Cohort
from model.records.comparators import SYMBOLS
from model.records.times import MICROSECONDS_PER_HOUR
from model.runtime.predictor import Prediction
from service.inference.answers import Status
from service.inference.status import (
    FORECAST,
    OUT_OF_DISTRIBUTION_SCORE,
    STATUSES,
    find_statuses,
    find_usable,
)


class Origin(StrEnum):
    """Where a value comes from."""

    OBSERVED = "observed"
    """It was measured at this very time; in the canonical unit, without an interval.

    Where the source has a limit (`<0.01`), the value is the limit, and the comparator says so.
    """
    IMPUTED = "imputed"
    """Estimated, before the last observation of the record, or of its piece where it has several."""
    FORECAST = "forecast"
    """Estimated, after it."""


ORIGINS = tuple(Origin)
COMPARATORS = tuple(symbol for symbol in SYMBOLS.values() if symbol is not None)

# Microseconds: longer than any series with all that may be asked before and after it.
_SPAN = 2**46


@dataclass(frozen=True)
class Answers:
    """One entry for each query, in its order. Numbers are float32, NaN where there is none.

    `origins`, `statuses` and `comparators` are positions in `ORIGINS`, `STATUSES` and `COMPARATORS`,
    -1 for no comparator. `values` are the measured ones, else the means.
    """

    query: Query
    values: Float[np.ndarray, " query"]
    standard_deviations: Float[np.ndarray, " query"]
    quantiles: Float[np.ndarray, "level query"]
    origins: Int[np.ndarray, " query"]
    statuses: Int[np.ndarray, " query"]
    comparators: Int[np.ndarray, " query"]

    @property
    def num_abstained(self) -> int:
        """Number of queries without a value."""
        return int(np.sum(self.statuses == STATUSES.index(Status.ABSTAINED)))


def answer(cohort: Cohort, query: Query, prediction: Prediction) -> Answers:
    """Judge a prediction, and put the measured values in their places."""
    series, points = query.series_of_points, query.points_of_queries
    times = query.times_hours
    first = cohort.times_hours[cohort.offsets[:-1]][series]
    last = cohort.times_hours[cohort.offsets[1:] - 1][series]
    usable = find_usable(prediction)
    statuses = find_statuses(
        prediction,
        usable=usable,
        is_beyond=FORECAST.is_beyond(times, first_hours=first, as_of_hours=last)[points],
        is_unusual=(prediction.out_of_distribution >= OUT_OF_DISTRIBUTION_SCORE)[series][points],
    )
    origins = np.where(times > last, ORIGINS.index(Origin.FORECAST), ORIGINS.index(Origin.IMPUTED))
    values = np.where(usable, prediction.mean, np.nan).astype(np.float32)
    deviations = np.sqrt(prediction.latent_variance + prediction.observation_variance)
    measured = _find_measured(cohort, query)
    is_measured = measured >= 0
    is_limit = is_measured & ~cohort.measured_mask[measured]
    side = np.where(
        cohort.censoring[measured] < 0, COMPARATORS.index("<="), COMPARATORS.index(">=")
    )
    values[is_measured] = cohort.values[measured[is_measured]]
    has_interval = usable & ~is_measured
    return Answers(
        query,
        values,
        np.where(has_interval, deviations, np.nan).astype(np.float32),
        np.where(has_interval, prediction.quantiles, np.nan).astype(np.float32),
        np.where(is_measured, ORIGINS.index(Origin.OBSERVED), origins[points]).astype(np.int16),
        np.where(is_measured, STATUSES.index(Status.OK), statuses).astype(np.int16),
        np.where(is_limit, side, -1).astype(np.int16),
    )


def _find_measured(cohort: Cohort, query: Query) -> Int[np.ndarray, " query"]:
    """Return the observation at each query's time and of its variable, -1 where there is none.

    Times are the same if they are so to the microsecond.
    """
    starts = cohort.times_hours[cohort.offsets[:-1]]
    owners = np.concatenate([cohort.series_indices, query.series_of_points])
    since = np.concatenate([cohort.times_hours, query.times_hours]) - starts[owners]
    moments = owners * _SPAN + np.rint(since * MICROSECONDS_PER_HOUR).astype(np.int64)
    # Ranks of the moments, so that a key is a small integer whatever the number of channels.
    ranks = np.unique(moments, return_inverse=True)[1]
    size, num_known = 1 + max(cohort.channels.max(), query.channels.max()), len(cohort.times_hours)
    known = ranks[:num_known] * size + cohort.channels
    asked = ranks[num_known:][query.points_of_queries] * size + query.channels
    order = np.argsort(known, kind="stable")
    places = np.minimum(np.searchsorted(known, asked, sorter=order), len(known) - 1)
    found = order[places]
    return np.where(known[found] == asked, found, -1)
