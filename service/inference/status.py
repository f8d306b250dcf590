"""How far an answer can be relied on, for all queries of a prediction at once."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from model.calibration import MIN_SUBJECTS
from model.runtime.predictor import Prediction
from service.inference.answers import Status

OUT_OF_DISTRIBUTION_SCORE = 0.999
"""A series that looks more unusual than this share of held-out series is flagged."""

STATUSES = tuple(Status)


@dataclass(frozen=True)
class Extrapolation:
    """How far outside the record an answer still counts as inside, in hours.

    `after_hours` counts from `as_of`, which is the last observation unless the client set it.
    """

    before_hours: float
    after_hours: float

    def is_beyond(
        self,
        times_hours: Float[np.ndarray, " query"],
        *,
        first_hours: Float[np.ndarray, " query"] | float,
        as_of_hours: Float[np.ndarray, " query"] | float,
    ) -> Bool[np.ndarray, " query"]:
        """Return which times lie farther outside the record than that."""
        is_early = times_hours < first_hours - self.before_hours
        result: Bool[np.ndarray, " query"] = is_early | (
            times_hours > as_of_hours + self.after_hours
        )
        return result


IMPUTED = Extrapolation(before_hours=1.0, after_hours=1.0)
FORECAST = Extrapolation(before_hours=1.0, after_hours=24.0)


def find_usable(prediction: Prediction) -> Bool[np.ndarray, " query"]:
    """Return where every number of the answer is finite and says something about this series."""
    variance = prediction.latent_variance + prediction.observation_variance
    usable: Bool[np.ndarray, " query"] = (
        np.isfinite(prediction.mean)
        & np.isfinite(variance)
        & np.isfinite(prediction.quantiles).all(axis=0)
        & np.isfinite(prediction.samples).all(axis=0)
        & ~prediction.is_uninformative
    )
    return usable


def find_statuses(
    prediction: Prediction,
    *,
    usable: Bool[np.ndarray, " query"],
    is_beyond: Bool[np.ndarray, " query"],
    is_unusual: Bool[np.ndarray, " query"],
) -> Int[np.ndarray, " query"]:
    """Return for each query the position in `STATUSES` of the first one that holds.

    `is_unusual` is True for the queries of a series that looks unlike the training's.
    """
    is_thin = (prediction.support == 0) | (prediction.held_out_subjects < MIN_SUBJECTS)
    conditions = [~usable, is_unusual, is_beyond, is_thin]
    return np.select(conditions, range(len(conditions)), default=len(conditions))
