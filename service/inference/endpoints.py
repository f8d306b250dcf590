"""POST /v1/impute, /v1/forecast, /v1/uncertainty and /v1/validate.

Bodies are read raw: FastAPI's own validation would run twice as long and repeat posted values in
its errors. The slice brings the request schemas for the document.
"""

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from model.runtime.predictor import Predictor
from service.inference.answering import Detail
from service.inference.answers import (
    Answer,
    AnsweredSeries,
    FailedSeries,
    ModelIdentity,
    Timings,
    ValidationReport,
    ValidSeries,
)
from service.inference.asking import Options
from service.inference.batching import Asked
from service.inference.deadline import read_deadline, with_preference
from service.inference.documents import PROBLEM_RESPONSES
from service.inference.query import Reach
from service.inference.queue import QUEUE, open_queue
from service.inference.reading import ReadSeries
from service.inference.requests import (
    AnyRequest,
    ReadRequest,
    Refused,
    read_request,
    require_any,
)
from service.inference.schemas import (
    FIELD_NAMES,
    REQUESTS,
    ForecastRequest,
    ImputeRequest,
    UncertaintyRequest,
    ValidateRequest,
)
from service.inference.status import FORECAST, IMPUTED
from service.openapi import request_body
from service.registry.loaded import MODELS
from service.slices import SETTINGS, Slice
from service.wire import (
    INLINE_BYTES,
    INLINE_NUMBERS,
    json_response,
    off_loop,
    parse_body,
    read_body,
    until_gone,
)

router = APIRouter(prefix="/v1", tags=["inference"], responses=PROBLEM_RESPONSES)


@router.post(
    "/impute", response_model=Answer, openapi_extra=with_preference(request_body(ImputeRequest))
)
async def impute(request: Request) -> Response:
    """Estimate values inside the record, from the observations before and after.

    A query more than an hour outside the record is answered with status `extrapolated`.
    """
    return await _answer(request, ImputeRequest, Reach.ANYWHERE, Detail(IMPUTED))


@router.post(
    "/forecast", response_model=Answer, openapi_extra=with_preference(request_body(ForecastRequest))
)
async def forecast(request: Request) -> Response:
    """Estimate values after `as_of`, from the observations up to it and from no later one.

    A query more than 24 hours after `as_of` is answered with status `extrapolated`.
    """
    detail = Detail(FORECAST, has_as_of=True)
    return await _answer(request, ForecastRequest, Reach.AFTER_AS_OF, detail)


@router.post(
    "/uncertainty",
    response_model=Answer,
    openapi_extra=with_preference(request_body(UncertaintyRequest)),
)
async def uncertainty(request: Request) -> Response:
    """Give variances by source, joint samples, and the probability of events after `as_of`.

    Query times may lie inside the record or after it. Where `as_of` is given, later observations
    are not used.
    """
    detail = Detail(FORECAST, has_as_of=True, has_variances=True)
    return await _answer(request, UncertaintyRequest, Reach.ANYWHERE, detail)


@router.post(
    "/validate", response_model=ValidationReport, openapi_extra=request_body(ValidateRequest)
)
async def validate(request: Request) -> Response:
    """Say what would be dropped, converted or refused. The model is not run.

    The answer is 200 even where every series would be refused: the faults are what was asked for.
    """
    raw = await _body(request)
    with QUEUE.of(request).permit():
        posted = await _read(request, raw, ValidateRequest, Reach.ANYWHERE)
    return json_response(ValidationReport([_report(one) for one in posted.read.series]))


async def _body(request: Request) -> bytes:
    settings = SETTINGS.of(request)
    return await read_body(
        request,
        max_bytes=settings.max_body_bytes,
        timeout_seconds=settings.body_timeout_seconds,
    )


@dataclass(frozen=True)
class _Posted:
    """A request, and the model that read it and is to answer it."""

    body: AnyRequest
    read: ReadRequest
    predictor: Predictor


async def _answer(
    request: Request, schema: type[AnyRequest], reach: Reach, detail: Detail
) -> Response:
    queue = QUEUE.of(request)
    # The permit comes after the body: a slow client holds its own connection, and nobody's place.
    settings = SETTINGS.of(request)
    raw = await _body(request)
    deadline = read_deadline(request.headers, limit_seconds=settings.request_timeout_seconds)
    with queue.permit():
        posted = await _read(request, raw, schema, reach)
        require_any(posted.read)
        body = posted.body
        options = Options(tuple(body.quantile_levels), body.num_samples, body.seed)
        asked = Asked(posted.predictor, posted.read.good, options, detail)
        timed = await until_gone(request, queue.answer(asked, deadline))
    answer = Answer(
        _identity(posted.predictor),
        body.seed,
        _in_order(posted.read, timed.series),
        Timings(round(timed.queue_ms, 3), round(timed.predict_ms, 3)),
    )
    num_numbers = posted.read.num_queries * (1 + body.num_samples)
    return await off_loop(
        lambda: json_response(answer, deadline.headers), is_big=num_numbers > INLINE_NUMBERS
    )


async def _read(request: Request, raw: bytes, schema: type[AnyRequest], reach: Reach) -> _Posted:
    settings, models = SETTINGS.of(request), MODELS.of(request)
    models.require_ready()

    def read() -> _Posted:
        body = parse_body(raw, schema, field_names=FIELD_NAMES)
        predictor = models.of_version(body.model_version)
        catalogue = predictor.artifact.catalogue
        read = read_request(body, catalogue=catalogue, settings=settings, reach=reach)
        return _Posted(body, read, predictor)

    return await off_loop(read, is_big=len(raw) > INLINE_BYTES)


def _identity(predictor: Predictor) -> ModelIdentity:
    artifact = predictor.artifact
    return ModelIdentity(artifact.manifest.name, artifact.manifest.version, artifact.sha256)


def _in_order(
    read: ReadRequest, answers: list[AnsweredSeries]
) -> list[AnsweredSeries | FailedSeries]:
    """Put the answers and the refusals back in the order of the request."""
    remaining = iter(answers)
    return [
        next(remaining)
        if isinstance(one, ReadSeries)
        else FailedSeries(one.subject_id, one.error.problem())
        for one in read.series
    ]


def _report(one: ReadSeries | Refused) -> ValidSeries | FailedSeries:
    if isinstance(one, Refused):
        return FailedSeries(one.subject_id, one.error.problem())
    return ValidSeries(one.subject_id, one.num_read, one.num_observations, list(one.remarks))


SLICE = Slice(router=router, owns=(QUEUE, open_queue), requests=REQUESTS)
