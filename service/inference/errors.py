"""What the slices of inference refuse with. The roots are in `service.errors`.

SeriesRefusedError           422      one of `Fault`: this series has no answer, others may
NoCapacityError              429      no_capacity
TimedOutError                503      timed_out
"""

from enum import StrEnum

from service.errors import ServiceError


class Fault(StrEnum):
    """Why one series has no answer."""

    NO_OBSERVATIONS = "no_observations"
    TOO_MANY_OBSERVATIONS = "too_many_observations"
    COLUMN_LENGTHS_DIFFER = "column_lengths_differ"
    UNKNOWN_VARIABLE = "unknown_variable"
    UNKNOWN_UNIT = "unknown_unit"
    VARIABLE_NOT_TRAINED = "variable_not_trained"
    MISSING_TIME = "missing_time"
    INVALID_TIME = "invalid_time"
    DATE_WITHOUT_TIME = "date_without_time"
    TIME_WITHOUT_OFFSET = "time_without_offset"
    MIXED_TIME_KINDS = "mixed_time_kinds"
    TIME_OUT_OF_RANGE = "time_out_of_range"
    EMPTY_QUERY = "empty_query"
    TOO_MANY_QUERY_TIMES = "too_many_query_times"
    QUERY_NOT_AFTER_AS_OF = "query_not_after_as_of"
    QUERY_TOO_FAR = "query_too_far"
    VARIABLE_NOT_QUERYABLE = "variable_not_queryable"
    INVALID_EVENT = "invalid_event"
    REFUSED_BY_STRICT = "refused_by_strict"
    SERIES_SHAPE = "series_shape"
    DUPLICATE_VARIABLE = "duplicate_variable"


class SeriesRefusedError(ServiceError):
    """Raised for one series that cannot be answered; the other series are not touched by it."""

    status, title = 422, "The series cannot be answered"

    def __init__(self, fault: Fault, detail: str, *, path: str) -> None:
        super().__init__(detail, code=fault.value, path=path)


class NoCapacityError(ServiceError):
    """Raised when as many requests wait as the settings allow."""

    status, title, code = 429, "No capacity", "no_capacity"


class TimedOutError(ServiceError):
    """Raised for a request that waited or ran longer than the settings or its client allow."""

    status, title, code = 503, "Timed out", "timed_out"
