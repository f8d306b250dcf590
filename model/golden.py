"""Golden series: simulated questions that an artifact carries with the answers they had at training.

No record of a person travels in an artifact: the series are drawn from the catalogue and the
normalization. Whoever loads the artifact asks them again and compares (`model.runtime.self_test`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float

from model.data.cleaning import Observations, clean
from model.data.normalization import Normalization
from model.data.query import Query
from model.data.series import AT_OR_ABOVE, AT_OR_BELOW, MEASURED, Cohort, offsets_from_counts
from model.data.variables import Catalogue, Kind

QUANTILE_LEVELS = (0.05, 0.5, 0.95)

# Observations of each series: one, a short stay, a day, two days, a long and dense stay.
_COUNTS = np.array([1, 7, 30, 80, 160])
_MEAN_GAP_HOURS = 0.5
_NUM_INSIDE = 12
_NUM_AFTER = 8
_LONGEST_HORIZON_HOURS = 48.0
_KNOWN_STATICS_SHARE = 0.6
_LIMITS_SHARE = 0.1
# Standardized: a level of the subject and channel, and what single values add to it.
_SPREAD_BETWEEN = 0.8
_SPREAD_WITHIN = 0.5


@dataclass(frozen=True)
class Questions:
    """Simulated series, and queries inside and after their records."""

    context: Cohort
    query: Query


@dataclass(frozen=True)
class Golden:
    """Questions and the answers that are expected, in canonical units, calibrated as served.

    `quantiles` are at `QUANTILE_LEVELS`. `standard_deviation`, of the whole predictive distribution,
    is what a difference is measured in.
    """

    questions: Questions
    mean: Float[np.ndarray, " query"]
    standard_deviation: Float[np.ndarray, " query"]
    quantiles: Float[np.ndarray, "level query"]

    def to_json(self) -> dict[str, Any]:
        """Return plain lists for `golden.json`; an unknown static becomes null."""
        context, query = self.questions.context, self.questions.query
        statics = [
            [None if np.isnan(value) else float(value) for value in row] for row in context.statics
        ]
        return {
            "context": {
                "subject_ids": list(context.subject_ids),
                "offsets": context.offsets.tolist(),
                "times_hours": context.times_hours.tolist(),
                "channels": context.channels.tolist(),
                "values": context.values.tolist(),
                "censoring": context.censoring.tolist(),
                "statics": statics,
            },
            "query": {one.name: getattr(query, one.name).tolist() for one in fields(Query)},
            "mean": self.mean.tolist(),
            "standard_deviation": self.standard_deviation.tolist(),
            "quantiles": self.quantiles.tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Golden":
        """Read what `to_json` wrote.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is anything else.
        """
        context, query = content["context"], content["query"]
        golden = cls(
            Questions(
                Cohort(
                    tuple(context["subject_ids"]),
                    np.array(context["offsets"], dtype=np.int64),
                    np.array(context["times_hours"], dtype=float),
                    np.array(context["channels"], dtype=np.int64),
                    np.array(context["values"], dtype=float),
                    # None becomes NaN.
                    np.array(context["statics"], dtype=float),
                    np.array(context["censoring"], dtype=np.int8),
                ),
                Query(*(np.array(query[one.name]) for one in fields(Query))),
            ),
            np.array(content["mean"], dtype=float),
            np.array(content["standard_deviation"], dtype=float),
            np.array(content["quantiles"], dtype=float),
        )
        golden._check_lengths()
        return golden

    def _check_lengths(self) -> None:
        num_queries = self.questions.query.num_queries
        expected = (num_queries,)
        if num_queries == 0:
            raise ValueError("golden series need at least one query")
        if self.mean.shape != expected or self.standard_deviation.shape != expected:
            raise ValueError(f"golden series need {num_queries} means and standard deviations")
        if self.quantiles.shape != (len(QUANTILE_LEVELS), num_queries):
            raise ValueError(f"golden series need {num_queries} quantiles at {QUANTILE_LEVELS}")


def simulate_questions(
    catalogue: Catalogue, normalization: Normalization, generator: np.random.Generator
) -> Questions:
    """Draw series of very different length, with irregular times and some statics unknown."""
    context = _simulate_series(catalogue, normalization, generator)
    queryable = np.array([number for number, one in enumerate(catalogue) if one.is_queryable])
    first = context.times_hours[context.offsets[:-1]]
    last = context.times_hours[context.offsets[1:] - 1]
    inside = generator.uniform(first, last, (_NUM_INSIDE, len(context)))
    after = last + generator.uniform(0, _LONGEST_HORIZON_HOURS, (_NUM_AFTER, len(context)))
    times = np.concatenate([inside, after]).T.ravel()
    counts = np.full(len(context), _NUM_INSIDE + _NUM_AFTER)
    channels = generator.choice(queryable, len(times))
    each = np.arange(len(times) + 1)
    return Questions(context, Query(offsets_from_counts(counts), _minutes(times), each, channels))


def _simulate_series(
    catalogue: Catalogue, normalization: Normalization, generator: np.random.Generator
) -> Cohort:
    num_series = len(_COUNTS)
    series = np.repeat(np.arange(num_series), _COUNTS)
    gaps = generator.exponential(_MEAN_GAP_HOURS, len(series))
    elapsed = np.cumsum(gaps)
    starts = offsets_from_counts(_COUNTS)[:-1]
    times = _minutes(elapsed - elapsed[starts][series])
    channels = generator.integers(0, len(catalogue), len(series))
    levels = _SPREAD_BETWEEN * generator.standard_normal((num_series, len(catalogue)))
    standardized = levels[series, channels] + _SPREAD_WITHIN * generator.standard_normal(
        len(series)
    )
    values = _as_recorded(normalization.invert(standardized, channels), channels, catalogue)
    cleaned = clean(Observations(series, times, channels, values), catalogue).observations
    statics = _simulate_statics(catalogue, normalization, num_series, generator)
    sides = generator.choice([AT_OR_BELOW, AT_OR_ABOVE], len(cleaned))
    is_limit = generator.random(len(cleaned)) < _LIMITS_SHARE
    counts = np.bincount(cleaned.series_indices, minlength=num_series)
    return Cohort(
        tuple(f"golden-{number}" for number in range(num_series)),
        offsets_from_counts(counts),
        cleaned.times_hours,
        cleaned.channels,
        cleaned.values,
        statics,
        np.where(is_limit, sides, MEASURED).astype(np.int8),
    )


def _as_recorded(
    values: Float[np.ndarray, " observation"], channels: np.ndarray, catalogue: Catalogue
) -> Float[np.ndarray, " observation"]:
    """Round to the recorded steps; a state is charted while it holds, as its highest value."""
    low, high = np.array([one.plausible_range for one in catalogue])[channels].T
    steps = np.array([one.resolution or np.nan for one in catalogue])[channels]
    is_state = np.array([one.kind is Kind.STATE for one in catalogue])[channels]
    stepped = np.where(np.isnan(steps), values, np.rint(values / steps) * steps)
    return np.where(is_state, high, np.clip(stepped, low, high))


def _simulate_statics(
    catalogue: Catalogue,
    normalization: Normalization,
    num_series: int,
    generator: np.random.Generator,
) -> Float[np.ndarray, "series static"]:
    low, high = np.array([one.plausible_range for one in catalogue.statics]).reshape(-1, 2).T
    shape = (num_series, len(low))
    drawn = normalization.static_loc + normalization.static_scale * generator.standard_normal(shape)
    is_category = np.array([bool(one.categories) for one in catalogue.statics])
    values = np.clip(np.where(is_category, np.rint(drawn), drawn), low, high)
    return np.where(generator.random(shape) < _KNOWN_STATICS_SHARE, values, np.nan)


def _minutes(times_hours: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Round to whole minutes, as times are charted."""
    return np.rint(times_hours * 60) / 60
