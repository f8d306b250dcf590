"""The wire format of the Time Series Forecast API: field names, words and shapes are KServe's.

That API lets every object have further fields. In a request they are ignored; in an answer they
are ours, and described as such. Optional fields without a value are left out of an answer.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.inference.answers import OutOfDistribution, Remark, Status
from service.inference.schemas import MAX_QUANTILE_LEVELS, WHOLE, Level

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)

MAX_NAME = 2048

SeriesType = Literal["univariate_time_series", "multivariate_time_series"]
# fmt: off
Frequency = Literal[
    "second", "S", "minute", "T", "hour", "H", "day", "D",
    "week", "W", "month", "M", "quarter", "Q", "year", "Y",
]
# fmt: on
RequestStatus = Literal["completed", "error", "pending", "partial"]

# A value on the grid, or null where nothing was measured: the one thing that KServe's type lacks.
_Value = float | None
_Row = Annotated[list[_Value], Field(fail_fast=True)]


class TimeSeriesInput(BaseModel):
    """The values of one subject on a regular grid. Inputs know nothing of each other."""

    model_config = _STRICT

    type: Annotated[
        SeriesType, Field(description="One variable, or several of one subject side by side.")
    ]
    name: Annotated[
        str,
        Field(
            max_length=MAX_NAME,
            description="Which variable: a name or LOINC code of /v1/variables. For a multivariate "
            "series the variables of its columns in order, separated by commas.",
            examples=["HR", "HR,MAP,8310-5"],
        ),
    ]
    series: Annotated[
        _Row | Annotated[list[_Row], Field(fail_fast=True)],
        Field(
            union_mode="left_to_right",
            description="Univariate: one value for each time. Multivariate: one row for each time, "
            "and in it one value for each variable. Values are in the variable's own unit. null "
            "(the bare word NaN is read as null here) is a gap: nothing was measured then.",
        ),
    ]
    frequency: Annotated[
        Frequency,
        Field(
            description="Step of the grid. month, quarter and year follow the calendar from the "
            "start: a day that a month lacks becomes its last one."
        ),
    ]
    start_timestamp: Annotated[
        str | None,
        Field(
            max_length=40,
            description="Time of the first value, ISO 8601. Only places the answer in time: the "
            "model sees differences. Without one the grid starts at 2000-01-01T00:00:00Z.",
        ),
    ] = None


class ForecastOptions(BaseModel):
    """What is asked about every input."""

    model_config = _STRICT

    horizon: Annotated[
        int,
        Field(ge=1, description="Number of grid times after the last, each with a forecast."),
        WHOLE,
    ]
    quantiles: Annotated[
        list[Level] | None,
        Field(
            max_length=MAX_QUANTILE_LEVELS,
            description="Quantile levels. Without any, only means are given.",
        ),
    ] = None


_INPUT = {
    "type": "univariate_time_series",
    "name": "HR",
    "series": [92, 95.5, 98, 104],
    "frequency": "hour",
    "start_timestamp": "2026-03-01T10:00:00Z",
}
_EXAMPLE: Any = {"inputs": [_INPUT], "options": {"horizon": 3, "quantiles": [0.05, 0.5, 0.95]}}


class TimeSeriesRequest(BaseModel):
    """Series to continue. `model` is the name of a loaded model; see /v1/models."""

    model_config = ConfigDict(
        strict=True,
        allow_inf_nan=False,
        json_schema_extra={"examples": [{"model": "icu", **_EXAMPLE}]},
    )

    model: Annotated[str, Field(max_length=256, description="Name of the model; see /v1/models.")]
    inputs: Annotated[list[TimeSeriesInput], Field(min_length=1, fail_fast=True)]
    options: ForecastOptions
    metadata: Annotated[
        dict[str, Any] | None, Field(description="Anything; not read and not kept.")
    ] = None


FIELD_NAMES = frozenset(
    {
        *TimeSeriesRequest.model_fields,
        *TimeSeriesInput.model_fields,
        *ForecastOptions.model_fields,
    }
)


@dataclass(frozen=True)
class TimeSeriesForecast:
    """The forecast of one input, at its next `horizon` grid times, in the shape of its series.

    `variables`, `units` (one for each variable) and `status` (in the shape of the means) are ours.
    """

    type: SeriesType
    name: str
    mean_forecast: list[float] | list[list[float]]
    frequency: Frequency
    start_timestamp: str
    variables: list[str]
    units: list[str]
    status: list[Status] | list[list[Status]]
    quantiles: dict[str, list[float] | list[list[float]]] | None = None


@dataclass(frozen=True)
class TimeSeriesError:
    """What is wrong. `code` is the HTTP status, `type` our stable code, `param` the path."""

    message: str
    type: str
    code: str
    param: str | None = None


@dataclass(frozen=True)
class TimeSeriesErrorBody:
    """The body of an answer without a forecast."""

    error: TimeSeriesError


@dataclass(frozen=True)
class ForecastOutput:
    """The answer about one input: one forecast, or an error. The last two fields are ours."""

    type: Literal["time_series_forecast"]
    id: str
    status: RequestStatus
    content: list[TimeSeriesForecast]
    error: TimeSeriesError | None = None
    warnings: list[Remark] | None = None
    out_of_distribution: OutOfDistribution | None = None


@dataclass(frozen=True)
class TimeSeriesResponse:
    """One output for each input, in order. `created_at` is in seconds since 1970.

    `status` is partial where some inputs have a forecast and others an error. The last two fields
    are ours.
    """

    id: str
    created_at: int
    status: RequestStatus
    model: str
    outputs: list[ForecastOutput]
    model_version: str
    model_sha256: str
