"""What a job is asked to do: the form of its input, what to fill, and the form of its output."""

import math
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from service.inference.schemas import MAX_QUANTILE_LEVELS, Level, Name

_FROZEN = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class InputFormat(StrEnum):
    """How the input is written."""

    PARQUET = "parquet"
    CSV = "csv"
    NDJSON = "ndjson"
    FHIR = "fhir"
    """NDJSON of FHIR R4 Observation resources, as a bulk export writes them."""
    MEDS = "meds"

    @property
    def is_table(self) -> bool:
        """Whether it is a long table made for us, and no extract with all that a hospital codes."""
        return self in (InputFormat.PARQUET, InputFormat.CSV, InputFormat.NDJSON)


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


class UnusableRows(StrEnum):
    """What becomes of a row with an unknown variable, or a unit that has no conversion."""

    REFUSE = "refuse"
    """Its subject is not answered."""
    IGNORE = "ignore"
    """It is left out and counted."""


class Grid(BaseModel):
    """Every time that is a multiple of `minutes`.

    Hours count from zero, dates from midnight UTC. The first time is the last one at or before the
    subject's first observation.
    """

    model_config = _FROZEN

    kind: Literal["grid"] = "grid"
    minutes: Annotated[int, Field(ge=1, le=1440, description="Distance of the times.")] = 60
    forecast_hours: Annotated[
        float,
        Field(
            ge=0,
            description="How far the grid goes on after the last one, up to `max_outside_hours`.",
        ),
    ] = 0


class OwnTimes(BaseModel):
    """Every time at which anything of the subject was observed."""

    model_config = _FROZEN

    kind: Literal["own_times"] = "own_times"


class TimesTable(BaseModel):
    """The times of a second table with the columns subject_id and time, in the input's format."""

    model_config = _FROZEN

    kind: Literal["times_table"] = "times_table"


Fill = Annotated[Grid | OwnTimes | TimesTable, Field(discriminator="kind")]


class Output(BaseModel):
    """The form of the output."""

    model_config = _FROZEN

    format: OutputFormat = OutputFormat.PARQUET
    shape: Shape = Shape.LONG


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

    format: InputFormat
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
    unusable_rows: Annotated[
        UnusableRows | None,
        Field(description="By default `ignore` for FHIR and MEDS, else `refuse`."),
    ] = None
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

    @property
    def ignores_unusable_rows(self) -> bool:
        """Whether a row that cannot be used is left out, and its subject answered."""
        if self.unusable_rows is None:
            return not self.format.is_table
        return self.unusable_rows is UnusableRows.IGNORE


FIELD_NAMES = frozenset(
    name for body in (JobRequest, Grid, OwnTimes, TimesTable, Output) for name in body.model_fields
)
