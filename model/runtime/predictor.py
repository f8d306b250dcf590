"""What every predictor answers, whatever computes it. Numpy only."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from model.artifact import Artifact
from model.data.query import Query
from model.data.series import Cohort


@dataclass(frozen=True)
class Request:
    """Cleaned series and the queries about them.

    `quantile_levels` lie strictly between 0 and 1; `num_samples` joint samples are drawn beside the
    summaries. Neither changes the other numbers of the answer.
    """

    context: Cohort
    query: Query
    quantile_levels: tuple[float, ...] = (0.05, 0.5, 0.95)
    num_samples: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Prediction:
    """The predictive distribution of every query, in canonical units, in the order of the request.

    Everything is calibrated on held-out subjects. predictive variance = latent_variance +
    observation_variance. `samples` are joint: the draws of one row belong to one course of the
    series. `support` counts the context observations of a query's variable; `held_out_subjects` how
    many subjects its coverage was calibrated on. `is_uninformative` is True where the answer says of
    this subject what is true of anyone, or rests on nothing. `out_of_distribution` is, for each
    series, the share of held-out series that look less unusual to the encoder.
    """

    mean: Float[np.ndarray, " query"]
    latent_variance: Float[np.ndarray, " query"]
    observation_variance: Float[np.ndarray, " query"]
    quantiles: Float[np.ndarray, "level query"]
    samples: Float[np.ndarray, "sample query"]
    support: Int[np.ndarray, " query"]
    held_out_subjects: Int[np.ndarray, " query"]
    is_uninformative: Bool[np.ndarray, " query"]
    out_of_distribution: Float[np.ndarray, " series"]


@runtime_checkable
class Predictor(Protocol):
    """Answers requests from one artifact. Calls may come from several threads, one at a time."""

    @property
    def artifact(self) -> Artifact:
        """The artifact that answers."""
        ...

    def predict(self, request: Request) -> Prediction:
        """Answer every query.

        The answer of a series does not depend on the other series, and the answer of a query does
        not depend on the other queries.
        """
        ...
