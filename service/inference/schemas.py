"""The wire format of the requests of the inference endpoints. What is answered is in `answers`.

Requests are strict pydantic models: no unknown fields, no numbers in strings. They check the form
only; what a series means is checked in `reading`, so that one bad series does not cost the others.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic needs this one below Python 3.12

MAX_QUANTILE_LEVELS = 32
MAX_EVENTS = 16
MAX_EVENT_HOURS = 168.0

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

Name = Annotated[str, Field(max_length=64)]
Moment = Annotated[
    float | Annotated[str, Field(max_length=40)],
    Field(
        description="Hours from the series' origin (any origin, the same for the whole series), or "
        "ISO 8601 with an offset. One series uses one kind."
    ),
]
VariableName = Annotated[
    Name, Field(description="Name or LOINC code of a variable; see /v1/variables.")
]
UnitName = Annotated[
    Name | None,
    Field(description="UCUM, or a common spelling of it. Without one, the variable's own unit."),
]
Value = Annotated[
    float | Annotated[str, Field(max_length=64)],
    Field(
        description="A number, or the text of a laboratory: `<0.01` and `> 100` are limits. A word "
        "is not used, with a warning."
    ),
]
ComparatorName = Annotated[
    Literal["<", "<=", ">", ">="] | None,
    Field(description="The value is a limit: the true value lies below or above it."),
]
StaticValue = float | Name | None
Level = Annotated[float, Field(ge=1e-6, le=1 - 1e-6)]


def _without_fraction(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# To JSON Schema 5.0 is an integer, and some clients write it so; to a strict model it is not.
WHOLE = BeforeValidator(_without_fraction)


def _distinct(levels: list[float]) -> list[float]:
    if len(set(levels)) != len(levels):
        raise ValueError("expected every quantile level once")
    return levels


@with_config(_STRICT)
class ObservationRow(TypedDict):
    """One observation."""

    time: Moment
    variable: VariableName
    value: Value
    unit: NotRequired[UnitName]
    comparator: NotRequired[ComparatorName]


@with_config(_STRICT)
class ObservationColumns(TypedDict):
    """Observations as columns of one length: the compact form, and the faster one."""

    time: Annotated[list[Moment], Field(fail_fast=True)]
    variable: Annotated[list[VariableName], Field(fail_fast=True)]
    value: Annotated[list[Value], Field(fail_fast=True)]
    unit: NotRequired[Annotated[list[UnitName], Field(fail_fast=True)] | None]
    comparator: NotRequired[Annotated[list[ComparatorName], Field(fail_fast=True)] | None]


@with_config(_STRICT)
class QueryBody(TypedDict):
    """What is asked about a series: every variable at every time, answered in this order."""

    times: Annotated[list[Moment], Field(fail_fast=True)]
    variables: NotRequired[
        Annotated[
            list[VariableName] | None,
            Field(description="By default the variables that the series has observations of."),
        ]
    ]


@with_config(_STRICT)
class EventBody(TypedDict):
    """Beyond a threshold at least once: exactly one of `below` and `above`."""

    variable: VariableName
    below: NotRequired[float | None]
    above: NotRequired[float | None]
    unit: NotRequired[UnitName]
    within_hours: Annotated[
        float, Field(ge=0.5, le=MAX_EVENT_HOURS, description="Hours after `as_of`.")
    ]


class ImputeSeries(BaseModel):
    """The observations of one subject, and the query about them."""

    model_config = _STRICT

    subject_id: Annotated[
        str | None,
        Field(
            max_length=128,
            description="Any text, given back as it is and never logged. By default the position "
            "in the request. Two series may have the same; the second gets a warning.",
        ),
    ] = None
    static: Annotated[
        dict[Name, StaticValue],
        Field(
            max_length=64,
            description="What does not change: age_years, sex (female, male), height_cm, "
            "weight_kg, icu_type; see /v1/variables. Unknown or implausible ones are ignored, with "
            "a warning.",
        ),
    ] = {}
    observations: Annotated[
        Annotated[list[ObservationRow], Field(fail_fast=True)] | ObservationColumns,
        Field(union_mode="left_to_right"),
    ]
    query: QueryBody


class ForecastSeries(ImputeSeries):
    """As for imputation, with the time from which the future is asked."""

    as_of: Annotated[
        Moment | None,
        Field(description="Only observations up to this time are used. By default the last one."),
    ] = None


class UncertaintySeries(ForecastSeries):
    """As for a forecast; the query is free, and may be left out where `events` are asked."""

    query: QueryBody | None = None  # type: ignore[assignment]  # wider than the parent's
    events: Annotated[list[EventBody], Field(max_length=MAX_EVENTS)] = []


class _Options(BaseModel):
    model_config = _STRICT

    strict: Annotated[
        bool, Field(description="Refuse a series instead of dropping or merging its observations.")
    ] = False
    quantile_levels: Annotated[
        list[Level],
        Field(
            min_length=1,
            max_length=MAX_QUANTILE_LEVELS,
            json_schema_extra={"uniqueItems": True},
        ),
        AfterValidator(_distinct),
    ] = [0.05, 0.5, 0.95]
    num_samples: Annotated[
        int,
        Field(ge=0, description="Joint samples of every series' answers; 0 gives none."),
        WHOLE,
    ] = 0
    seed: Annotated[
        int,
        Field(ge=0, le=2**63 - 1, description="Same request, seed and model: same answer."),
        WHOLE,
    ] = 0
    model_version: Annotated[
        Name | None,
        Field(
            description="Version that is to answer; see /v1/models. By default the active one. One "
            "that is not loaded is refused."
        ),
    ] = None


def _example(series: dict[str, Any]) -> ConfigDict:
    example: Any = {"series": [series], "quantile_levels": [0.05, 0.5, 0.95], "seed": 0}
    return ConfigDict(json_schema_extra={"examples": [example]})


_OBSERVATIONS = [
    {"time": 0.12, "variable": "HR", "value": 92, "unit": "/min"},
    {"time": 0.12, "variable": "MAP", "value": 71, "unit": "mm[Hg]"},
    {"time": 3.5, "variable": "HR", "value": 104, "unit": "/min"},
    {"time": 5.0, "variable": "2345-7", "value": 7.1, "unit": "mmol/L"},
]
_SUBJECT: dict[str, Any] = {
    "subject_id": "p1",
    "static": {"age_years": 63, "sex": "female", "weight_kg": 80},
    "observations": _OBSERVATIONS,
}


class ImputeRequest(_Options):
    """Series to fill. Query times lie inside the record; past and future observations are used."""

    model_config = _example(_SUBJECT | {"query": {"times": [0.5, 1, 4], "variables": ["HR"]}})

    series: Annotated[list[ImputeSeries], Field(min_length=1, fail_fast=True)]


class ForecastRequest(_Options):
    """Series to continue. Query times lie after `as_of`."""

    model_config = _example(_SUBJECT | {"query": {"times": [6, 12], "variables": ["HR", "MAP"]}})

    series: Annotated[list[ForecastSeries], Field(min_length=1, fail_fast=True)]


class UncertaintyRequest(_Options):
    """Series to describe in full: variances, joint samples, probabilities of events."""

    model_config = _example(
        _SUBJECT
        | {
            "query": {"times": [6, 12], "variables": ["MAP"]},
            "events": [{"variable": "MAP", "below": 65, "within_hours": 6}],
        }
    )

    series: Annotated[list[UncertaintySeries], Field(min_length=1, fail_fast=True)]


class ValidateRequest(_Options):
    """Any request of the other endpoints. The model is not run."""

    model_config = _example(_SUBJECT)

    series: Annotated[list[UncertaintySeries], Field(min_length=1, fail_fast=True)]


REQUESTS = (ImputeRequest, ForecastRequest, UncertaintyRequest, ValidateRequest)
FIELD_NAMES = frozenset(
    {
        *(name for request in REQUESTS for name in request.model_fields),
        *UncertaintySeries.model_fields,
        *(
            name
            for table in (ObservationRow, ObservationColumns, QueryBody, EventBody)
            for name in table.__annotations__
        ),
    }
)
