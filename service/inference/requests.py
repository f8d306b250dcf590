"""A whole request: all its series read, each on its own, and the limits that hold for their sum."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from model.data.variables import Catalogue
from service.errors import InvalidRequestError, ProblemFault, TooLargeError
from service.inference.answers import Remark, RemarkCode
from service.inference.errors import SeriesRefusedError
from service.inference.query import EVENT_SAMPLES, Reach
from service.inference.reading import ReadSeries, read_series
from service.inference.schemas import (
    ForecastRequest,
    ImputeRequest,
    ImputeSeries,
    UncertaintyRequest,
    ValidateRequest,
)
from service.settings import Settings

AnyRequest = ImputeRequest | ForecastRequest | UncertaintyRequest | ValidateRequest


@dataclass(frozen=True)
class Refused:
    """A series without an answer, and why."""

    subject_id: str
    error: SeriesRefusedError


@dataclass(frozen=True)
class ReadRequest:
    """Every series of a request in its order, read or refused."""

    series: tuple[ReadSeries | Refused, ...]

    @property
    def good(self) -> list[ReadSeries]:
        """The series that can be answered."""
        return [one for one in self.series if isinstance(one, ReadSeries)]

    @property
    def num_queries(self) -> int:
        """Number of answers: query times x variables, over all series."""
        return sum(one.query.num_queries for one in self.good if one.query is not None)

    @property
    def num_event_points(self) -> int:
        """Number of points at which events are sampled; events of one variable share them."""
        longest: dict[tuple[int, int], int] = {}
        for number, one in enumerate(self.good):
            for event in one.events:
                key = (number, event.channel)
                longest[key] = max(longest.get(key, 0), len(event.times_hours))
        return sum(longest.values())


def read_request(
    body: AnyRequest, *, catalogue: Catalogue, settings: Settings, reach: Reach
) -> ReadRequest:
    """Read every series; a refused one does not touch the others.

    Raises
    ------
    TooLargeError
        If the series together are beyond a limit.

    Examples
    --------
    `catalogue` is that of a model:

    >>> from service.inference.schemas import ForecastRequest
    >>> rows = [{"time": 0.5, "variable": "HR", "value": 92}]
    >>> one = {"observations": rows, "query": {"times": [6.0], "variables": ["HR"]}}
    >>> body = ForecastRequest.model_validate({"series": [one]})
    >>> read = read_request(
    ...     body, catalogue=catalogue, settings=Settings(), reach=Reach.AFTER_AS_OF
    ... )
    >>> read.num_queries
    1
    """
    series: Sequence[ImputeSeries] = body.series
    if len(series) > settings.max_series:
        raise TooLargeError(
            f"a request may have {settings.max_series} series; send more requests, or a job",
            code="too_many_series",
            path="series",
        )
    if body.num_samples > settings.max_samples:
        raise TooLargeError(
            f"a request may ask for {settings.max_samples} samples",
            code="too_many_samples",
            path="num_samples",
        )
    seen: set[str] = set()
    read: list[ReadSeries | Refused] = []
    for index, one in enumerate(series):
        subject_id = str(index) if one.subject_id is None else one.subject_id
        read.append(_read_one(body, one, index, subject_id, catalogue, settings, reach))
        if subject_id in seen:
            read[-1] = _with_duplicate_id(read[-1], index)
        seen.add(subject_id)
    result = ReadRequest(tuple(read))
    check_sums(result, body.num_samples, settings)
    return result


def require_any(request: ReadRequest, *, at: str = "series") -> None:
    """Refuse a request of which no series can be answered; `at` is the path of all of them.

    Raises
    ------
    SeriesRefusedError
        The fault of the series, if there is only one.
    InvalidRequestError
        With the fault of every series.
    """
    refused = [one.error for one in request.series if isinstance(one, Refused)]
    if len(refused) < len(request.series):
        return
    if len(refused) == 1:
        raise refused[0]
    raise InvalidRequestError(
        "no series of the request can be answered",
        code="all_series_failed",
        path=at,
        errors=[ProblemFault(one.path or at, one.code, one.detail) for one in refused],
    )


def _read_one(
    body: AnyRequest,
    one: ImputeSeries,
    index: int,
    subject_id: str,
    catalogue: Catalogue,
    settings: Settings,
    reach: Reach,
) -> ReadSeries | Refused:
    try:
        return read_series(
            one,
            at=f"series[{index}]",
            subject_id=subject_id,
            catalogue=catalogue,
            settings=settings,
            reach=reach,
            is_strict=body.strict,
        )
    except SeriesRefusedError as error:
        return Refused(subject_id, error)


def _with_duplicate_id(one: ReadSeries | Refused, index: int) -> ReadSeries | Refused:
    if isinstance(one, Refused):
        return one
    remark = Remark(
        RemarkCode.DUPLICATE_SUBJECT_ID,
        f"series[{index}].subject_id",
        "an earlier series has the same subject_id; each is answered on its own",
    )
    return replace(one, remarks=(remark, *one.remarks))


def check_sums(read: ReadRequest, num_samples: int, settings: Settings) -> None:
    """Refuse a request whose series together ask for too much.

    Raises
    ------
    TooLargeError
        If they are beyond a limit.
    """
    queries = read.num_queries
    if queries > settings.max_query_points:
        raise TooLargeError(
            f"a request may ask for {settings.max_query_points} answers (query times x variables, "
            "over all series); split it",
            code="too_many_queries",
            path="series",
        )
    if queries * num_samples > settings.max_sample_values:
        raise TooLargeError(
            f"a request may ask for {settings.max_sample_values} sampled values (num_samples x "
            "query times x variables, over all series); split it",
            code="too_many_samples",
            path="num_samples",
        )
    if read.num_event_points * EVENT_SAMPLES > settings.max_sample_values:
        raise TooLargeError(
            f"events are estimated from {EVENT_SAMPLES} samples at every half hour, and a request may "
            f"ask for {settings.max_sample_values} sampled values over all series; split it",
            code="too_many_samples",
            path="series",
        )
