"""From the answer about a series to KServe's form."""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from model.artifact import Artifact
from service.errors import ServiceError
from service.inference.answers import AnsweredSeries
from service.inference.reading import ReadSeries
from service.timeseries.reading import ReadInput
from service.timeseries.schemas import (
    ForecastOutput,
    RequestStatus,
    TimeSeriesError,
    TimeSeriesForecast,
    TimeSeriesResponse,
)


def respond(
    inputs: Sequence[ReadInput],
    answers: Sequence[AnsweredSeries],
    artifact: Artifact,
    *,
    has_quantiles: bool,
    created_at: int,
) -> TimeSeriesResponse:
    """Put the answers in the order of the inputs."""
    outputs = list(_outputs(inputs, iter(answers), has_quantiles))
    found = {output.status for output in outputs}
    status: RequestStatus = "partial" if len(found) > 1 else found.pop()
    return TimeSeriesResponse(
        id=_new_id(),
        created_at=created_at,
        status=status,
        model=artifact.manifest.name,
        outputs=outputs,
        model_version=artifact.manifest.version,
        model_sha256=artifact.sha256,
    )


def as_error(error: ServiceError) -> TimeSeriesError:
    """Return KServe's form of an error: where, which and what was expected.

    It has one place: where every input is refused, that of the first.
    """
    message, path = error.detail, error.path
    if error.errors and error.errors[0].path != path:
        first = error.errors[0]
        message, path = f"{message}; the first: {first.detail}", first.path
    return TimeSeriesError(message, error.code, str(error.status), path)


def _outputs(
    inputs: Sequence[ReadInput], answers: Iterator[AnsweredSeries], has_quantiles: bool
) -> Iterator[ForecastOutput]:
    for number, one in enumerate(inputs):
        if not isinstance(one.read, ReadSeries):
            yield _failed(as_error(one.read.error))
            continue
        answer = next(answers)
        means = [variable.mean for variable in answer.variables.values()]
        if any(None in mean for mean in means):
            yield _failed(_abstained(number), answer)
        else:
            content = [_forecast(one, answer, has_quantiles)]
            yield _output("completed", content, None, answer)


def _failed(error: TimeSeriesError, answer: AnsweredSeries | None = None) -> ForecastOutput:
    return _output("error", [], error, answer)


def _output(
    status: RequestStatus,
    content: list[TimeSeriesForecast],
    error: TimeSeriesError | None,
    answer: AnsweredSeries | None,
) -> ForecastOutput:
    return ForecastOutput(
        type="time_series_forecast",
        id=_new_id(),
        status=status,
        content=content,
        error=error,
        warnings=None if answer is None else answer.warnings,
        out_of_distribution=None if answer is None else answer.out_of_distribution,
    )


def _abstained(number: int) -> TimeSeriesError:
    """Say that the form has no place for a missing number, so that the forecast as a whole fails."""
    return TimeSeriesError(
        "the model abstains at some of these times, and this form must hold every number; "
        "ask for fewer steps or variables, or /v1/forecast, which marks them one by one",
        "abstained",
        "422",
        f"inputs[{number}]",
    )


def _forecast(one: ReadInput, answer: AnsweredSeries, has_quantiles: bool) -> TimeSeriesForecast:
    is_multivariate = one.body.type == "multivariate_time_series"
    variables = list(answer.variables.values())

    def shaped(columns: list[Any]) -> Any:
        return [list(row) for row in zip(*columns, strict=True)] if is_multivariate else columns[0]

    quantiles = {
        level: shaped([variable.quantiles[level] for variable in variables])
        for level in variables[0].quantiles
    }
    return TimeSeriesForecast(
        type=one.body.type,
        name=one.body.name,
        mean_forecast=shaped([variable.mean for variable in variables]),
        frequency=one.body.frequency,
        start_timestamp=one.start,
        variables=list(answer.variables),
        units=[variable.unit for variable in variables],
        status=shaped([variable.status for variable in variables]),
        quantiles=quantiles if has_quantiles else None,
    )


def _new_id() -> str:
    return uuid.uuid4().hex
