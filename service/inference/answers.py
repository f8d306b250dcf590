"""The wire format of the answers: dataclasses that are serialized as they are.

What was posted is in `schemas`. Fields that are None are left out.
"""

from dataclasses import dataclass
from enum import StrEnum

from service.errors import Problem


class Status(StrEnum):
    """How far an answer can be relied on. Where several hold, the first in this order is given."""

    ABSTAINED = "abstained"
    """The answer is null: no usable number, one that would hold for anyone, or one that rests on nothing.

    A 90 % interval that contains the population's own would hold for anyone. An answer rests on
    nothing where its variable was not observed and no held-out subject vouches for the variable.
    """
    OUT_OF_DISTRIBUTION = "out_of_distribution"
    """The series looks unlike those that the model was trained on."""
    EXTRAPOLATED = "extrapolated"
    """The time is far outside the record."""
    LOW_SUPPORT = "low_support"
    """No observation of the variable was used, or too few held-out subjects vouch for the interval."""
    OK = "ok"


class RemarkCode(StrEnum):
    """What was changed, not used or assumed in a series that was answered all the same."""

    UNIT_CONVERTED = "unit_converted"
    UNIT_ASSUMED = "unit_assumed"
    UNIT_SUSPECTED = "unit_suspected"
    CLOCK_SUSPECTED = "clock_suspected"
    TEXT_BESIDE_NUMBER = "text_beside_number"
    FLAG_IGNORED = "flag_ignored"
    UNKNOWN_VARIABLE = "unknown_variable"
    VARIABLE_NOT_TRAINED = "variable_not_trained"
    UNKNOWN_UNIT = "unknown_unit"
    MISSING_TIME = "missing_time"
    INVALID_TIME = "invalid_time"
    DATE_WITHOUT_TIME = "date_without_time"
    MIXED_TIME_KINDS = "mixed_time_kinds"
    TIME_WITHOUT_OFFSET = "time_without_offset"
    TIME_OUT_OF_RANGE = "time_out_of_range"
    MISSING_VALUE = "missing_value"
    NOT_TESTABLE = "not_testable"
    VALUE_IS_TEXT = "value_is_text"
    INVALID_VALUE = "invalid_value"
    IMPLAUSIBLE_VALUE_DROPPED = "implausible_value_dropped"
    DUPLICATE_DROPPED = "duplicate_dropped"
    CENSORED_SUPERSEDED = "censored_superseded"
    CONFLICT_AVERAGED = "conflict_averaged"
    AMOUNT_ADDED = "amount_added"
    SCORE_SUPERSEDED = "score_superseded"
    STATE_SUPERSEDED = "state_superseded"
    INCOMPLETE_SCORE = "incomplete_score"
    COMBINED_INTO_SCORE = "combined_into_score"
    AFTER_AS_OF = "after_as_of"
    STATIC_IGNORED = "static_ignored"
    DUPLICATE_SUBJECT_ID = "duplicate_subject_id"
    START_ASSUMED = "start_assumed"


@dataclass(frozen=True)
class Remark:
    """A warning. `path` is the first of the `count` places that it is about."""

    code: RemarkCode
    path: str
    message: str
    count: int = 1


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answered."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class OutOfDistribution:
    """`score`: the share of held-out training series that look less unusual."""

    score: float
    flag: bool


@dataclass(frozen=True)
class VariableAnswer:
    """One entry for each query time, in the variable's canonical unit.

    standard_deviation = sqrt(latent_variance + observation_variance). `samples` are courses: one
    row is one joint draw over all times and variables of the series.
    """

    unit: str
    mean: list[float | None]
    standard_deviation: list[float | None]
    quantiles: dict[str, list[float | None]]
    status: list[Status]
    latent_variance: list[float | None] | None = None
    observation_variance: list[float | None] | None = None
    samples: list[list[float | None]] | None = None


@dataclass(frozen=True)
class EventAnswer:
    """Probability that the variable is beyond the threshold at least once.

    Counted over `num_samples` joint samples at `num_times` times, every half hour after `as_of`.
    The threshold is given in the variable's canonical unit. Where every
    answer at these times is abstained there is no probability.
    """

    variable: str
    unit: str
    within_hours: float
    num_samples: int
    num_times: int
    probability: float | None = None
    below: float | None = None
    above: float | None = None


@dataclass(frozen=True)
class AnsweredSeries:
    """The answer about one series. `variables` are named as in the catalogue."""

    subject_id: str
    query_times: list[float | str]
    variables: dict[str, VariableAnswer]
    warnings: list[Remark]
    out_of_distribution: OutOfDistribution
    as_of: float | str | None = None
    events: list[EventAnswer] | None = None


@dataclass(frozen=True)
class FailedSeries:
    """A series without an answer. The others of the request are not touched by it."""

    subject_id: str
    error: Problem


@dataclass(frozen=True)
class Timings:
    """Milliseconds spent waiting for the model, and in it."""

    queue: float
    predict: float


@dataclass(frozen=True)
class Answer:
    """Answers in the order of the request's series."""

    model: ModelIdentity
    seed: int
    series: list[AnsweredSeries | FailedSeries]
    timings_ms: Timings


@dataclass(frozen=True)
class ValidSeries:
    """A series that would be answered from `kept` of its `read` observations."""

    subject_id: str
    read: int
    kept: int
    warnings: list[Remark]


@dataclass(frozen=True)
class ValidationReport:
    """What would become of every series."""

    series: list[ValidSeries | FailedSeries]
