"""POST /v1/timeseries/forecast: the same answers as /v1/forecast, in KServe's words.

Body, limits, permits, deadline and queue are those of every other endpoint; only the form of
question, answer and error is another.
"""

import time

from fastapi import APIRouter, Request, Response

from model.errors import ModelError
from service.errors import NotFoundError, ServiceError
from service.inference.answering import Detail
from service.inference.asking import Options
from service.inference.batching import Asked
from service.inference.deadline import Deadline, read_deadline, with_preference
from service.inference.documents import PROBLEM_RESPONSES
from service.inference.queue import QUEUE
from service.inference.reading import ReadSeries
from service.inference.status import FORECAST
from service.openapi import Responses, reference, request_body
from service.registry.errors import NOT_FOUND, as_service_error
from service.registry.loaded import MODELS
from service.serialization import to_bytes
from service.slices import SETTINGS, Slice
from service.timeseries.answering import as_error, respond
from service.timeseries.reading import ReadInput, read_inputs
from service.timeseries.schemas import (
    FIELD_NAMES,
    TimeSeriesErrorBody,
    TimeSeriesRequest,
    TimeSeriesResponse,
)
from service.wire import (
    INLINE_BYTES,
    INLINE_NUMBERS,
    json_response,
    off_loop,
    parse_body,
    read_body,
    until_gone,
)

_ERROR_CONTENT = {"application/json": {"schema": reference(TimeSeriesErrorBody)}}
_RESPONSES: Responses = {
    status: response if status == 500 else {**response, "content": _ERROR_CONTENT}
    for status, response in {**PROBLEM_RESPONSES, **NOT_FOUND}.items()
}

router = APIRouter(prefix="/v1/timeseries", tags=["timeseries"], responses=_RESPONSES)

# Where only means are asked, a level that is not shown: the predictor wants at least one.
_MEDIAN = (0.5,)


@router.post(
    "/forecast",
    response_model=TimeSeriesResponse,
    openapi_extra=with_preference(request_body(TimeSeriesRequest)),
)
async def forecast(request: Request) -> Response:
    """Continue series on a regular grid: KServe's Time Series Forecast API.

    `model` is the name of the loaded model. Each input is one subject: a univariate series is named
    by its variable (name or LOINC code, see /v1/variables); a multivariate one has a row for each
    time and in it a value for each variable, and its name is the names of these variables in order,
    separated by commas (`HR,MAP`). Values are in the variables' own units; null is a gap. Value i
    stands at start_timestamp + i steps, and the forecasts at the next `horizon` steps after the
    last row, gap or not. An input that cannot be answered has status `error` and says why; the
    others are not touched by it. A forecast with an abstained number has status `error` too.
    """
    settings = SETTINGS.of(request)
    try:
        raw = await read_body(
            request,
            max_bytes=settings.max_body_bytes,
            timeout_seconds=settings.body_timeout_seconds,
        )
        deadline = read_deadline(request.headers, limit_seconds=settings.request_timeout_seconds)
        return await _answer(request, raw, deadline)
    except ServiceError as error:
        return _error_response(error)
    except ModelError as error:
        return _error_response(as_service_error(error))


async def _answer(request: Request, raw: bytes, deadline: Deadline) -> Response:
    queue = QUEUE.of(request)
    settings = SETTINGS.of(request)
    with queue.permit():
        predictor = MODELS.of(request).active
        artifact = predictor.artifact

        def read() -> tuple[TimeSeriesRequest, list[ReadInput]]:
            body = parse_body(raw, TimeSeriesRequest, field_names=FIELD_NAMES, reads_nan=True)
            if body.model != artifact.manifest.name:
                raise NotFoundError(
                    "no such model is loaded; /v1/models lists those that are",
                    code="model_not_found",
                    path="model",
                )
            return body, read_inputs(body, catalogue=artifact.catalogue, settings=settings)

        body, inputs = await off_loop(read, is_big=len(raw) > INLINE_BYTES)
        levels = tuple(dict.fromkeys(body.options.quantiles or ()))
        good = [one.read for one in inputs if isinstance(one.read, ReadSeries)]
        options = Options(levels or _MEDIAN, num_samples=0, seed=0)
        asked = Asked(predictor, good, options, Detail(FORECAST, has_as_of=True))
        timed = await until_gone(request, queue.answer(asked, deadline))

    def write() -> Response:
        answer = respond(
            inputs,
            timed.series,
            artifact,
            has_quantiles=bool(levels),
            created_at=int(time.time()),
        )
        return json_response(answer, deadline.headers)

    num_numbers = sum(one.query.num_queries for one in good if one.query is not None)
    return await off_loop(write, is_big=num_numbers > INLINE_NUMBERS)


def _error_response(error: ServiceError) -> Response:
    return Response(
        to_bytes(TimeSeriesErrorBody(as_error(error))),
        status_code=error.status,
        media_type="application/json",
        headers=error.headers,
    )


SLICE = Slice(router=router, requests=(TimeSeriesRequest,), error_bodies=(TimeSeriesErrorBody,))
