"""What a job is asked to do: the form of its input, what to fill, and the form of its output."""

import math
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from model.records.sources.options import SourceFormat
from service.inference.schemas import MAX_QUANTILE_LEVELS, Level, Name

ColumnName = Literal["subject_id", "time", "variable", "value", "unit", "text_value", "comparator"]
"""`model.records.sources.options.COLUMNS`."""

Text = Annotated[str, Field(min_length=1, max_length=255)]

_FROZEN = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class OutputFormat(StrEnum):
    """How the output is written; the value is the ending of its files."""

    PARQUET = "parquet"
    CSV = "csv"
    NDJSON = "ndjson"


class Shape(StrEnum):
    """What a row of the output is."""

    LONG = "long"
    """One variable at one time of one subject."""
    WIDE = "wide"
    """One time of one subject, with columns for every variable."""


class Grid(BaseModel):
    """Every time that is a multiple of `minutes`.

    Hours count from zero, dates from midnight UTC. The first time is the last one at or before the
    subject's first observation. The grid has a hole where the record has a silence of more than a
    week: a long record is cut there into pieces, and each piece has its own grid.
    """

    model_config = _FROZEN

    kind: Literal["grid"] = "grid"
    minutes: Annotated[int, Field(ge=1, le=1440, description="Distance of the times.")] = 60
    forecast_hours: Annotated[
        float,
        Field(
            ge=0,
            description="How far the grid goes on after the subject's last observation, up to "
            "`max_outside_hours`.",
        ),
    ] = 0


class OwnTimes(BaseModel):
    """Every time at which anything of the subject was observed."""

    model_config = _FROZEN

    kind: Literal["own_times"] = "own_times"


class TimesTable(BaseModel):
    """The times of a second table with the columns subject_id and time.

    It is in the input's format; where that is no table, it is CSV, Parquet or NDJSON. A time belongs
    to the piece of the record that it is nearest to.
    """

    model_config = _FROZEN

    kind: Literal["times_table"] = "times_table"


Fill = Annotated[Grid | OwnTimes | TimesTable, Field(discriminator="kind")]


class Output(BaseModel):
    """The form of the output."""

    model_config = _FROZEN

    format: OutputFormat = OutputFormat.PARQUET
    shape: Shape = Shape.LONG


class CodeTarget(BaseModel):
    """A variable or descriptor of the model, and the unit of the values where the row names none."""

    model_config = _FROZEN

    variable: Text
    unit: Text | None = None


class TimeReading(BaseModel):
    """How the times of the source are written, where they do not say it themselves."""

    model_config = _FROZEN

    format: Annotated[
        Text | None, Field(description="Of `datetime.strptime`, such as `%d/%m/%Y %H:%M`.")
    ] = None
    unit: Annotated[
        Literal["seconds", "minutes", "hours", "days"], Field(description="Of times in numbers.")
    ] = "hours"
    zone: Annotated[
        Text | None,
        Field(description="IANA name for times without an offset, such as `Europe/Berlin`."),
    ] = None


def _ordered(levels: tuple[float, ...]) -> tuple[float, ...]:
    if list(levels) != sorted(set(levels)):
        raise ValueError("expected increasing quantile levels")
    return levels


class JobRequest(BaseModel):
    """A job. Same input, request and artifact: the same output, byte for byte.

    >>> asked = JobRequest.model_validate({"format": "csv", "fill": {"kind": "grid", "minutes": 30}})
    >>> asked.variables, asked.output.format.value
    ('observed', 'parquet')
    """

    model_config = _FROZEN

    format: SourceFormat
    columns: Annotated[
        dict[ColumnName, Text],
        Field(
            description="What the columns of a table are called: the source's name by ours, such as "
            "`time: charttime`."
        ),
    ] = {}
    codes: Annotated[
        dict[Text, Text | CodeTarget],
        Field(description="What the source's codes mean: a variable, or one in a unit, by code."),
    ] = {}
    time: TimeReading = TimeReading()
    accepted_units: Annotated[
        dict[Name, Text],
        Field(
            description="Units by variable. Rows of the variable without a unit, or in one that the "
            "values do not fit (`unit_suspected`), are read in this one."
        ),
    ] = {}
    strict: Annotated[
        bool,
        Field(
            description="Whether a subject has no answer if a row of it cannot be used as it was "
            "given. By default such rows are not used, and counted."
        ),
    ] = False
    fill: Fill = Grid()
    variables: Annotated[
        Literal["observed", "all"] | Annotated[tuple[Name, ...], Field(min_length=1)],
        Field(
            description="Names or LOINC codes; or `observed`: of every subject what was observed "
            "of it; or `all`: all that can be estimated."
        ),
    ] = "observed"
    quantile_levels: Annotated[
        tuple[Level, ...],
        Field(min_length=1, max_length=MAX_QUANTILE_LEVELS),
        AfterValidator(_ordered),
    ] = (0.05, 0.5, 0.95)
    output: Output = Output()
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    max_quarantined_share: Annotated[
        float,
        Field(ge=0, le=1, description="The job fails if more of the subjects have no answer."),
    ] = 0.05
    max_outside_hours: Annotated[
        float | None,
        Field(
            gt=0,
            description="How far before the first or after the last used observation a time may lie. "
            "The server's limit, which it notes here when it takes the job, or less.",
        ),
    ] = None
    chunk_subjects: Annotated[
        int, Field(ge=1, le=100_000, description="Subjects that are read, answered and published.")
    ] = 256

    @property
    def outside_hours(self) -> float:
        """How far outside the record a time may lie; without end as long as nobody has said."""
        return math.inf if self.max_outside_hours is None else self.max_outside_hours


FIELD_NAMES = frozenset(
    name for body in (JobRequest, Grid, OwnTimes, TimesTable, Output) for name in body.model_fields
)
