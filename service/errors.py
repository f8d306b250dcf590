"""The root of every error that the server answers with, and the one mapping to RFC 9457 problems.

ServiceError                 status   code
├── MalformedBodyError       400      invalid_json, not_finite, duplicate_key
├── InvalidRequestError      422      invalid_request, all_series_failed, model_version_not_loaded
├── BodyTimedOutError        408      body_timed_out
├── TooLargeError            413      body_too_large, too_many_series, ..._queries, ..._samples
├── MediaTypeError           415      unsupported_media_type
├── ContentEncodingError     415      unsupported_content_encoding
├── NotFoundError            404      not_found
├── ClientGoneError          499      client_gone; nobody reads it, the log line does
└── ShuttingDownError        503      shutting_down

Those of one slice stand in its own `errors`.

A problem says where the fault is and what was expected. It never repeats what was posted: not a
value, not an identifier, not even the name of an unknown field.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match

from service.serialization import to_bytes

PROBLEM_MEDIA_TYPE = "application/problem+json"
_HTTP_TITLES = {404: ("not_found", "Not found"), 405: ("method_not_allowed", "Method not allowed")}


@dataclass(frozen=True)
class ProblemFault:
    """One fault among several: where, which, and what was expected."""

    path: str
    code: str
    detail: str


@dataclass(frozen=True)
class Problem:
    """An RFC 9457 problem. `code` is stable; `path` points into the request."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    path: str | None = None
    errors: list[ProblemFault] | None = None


class ServiceError(Exception):
    """Root of the tree. `detail` names what was expected, and never holds what was posted."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    code: str = "internal_error"
    closes_connection: ClassVar[bool] = False

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        path: str | None = None,
        errors: Sequence[ProblemFault] = (),
        retry_after_seconds: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.code
        self.path = path
        self.errors = list(errors)
        self.headers = dict(headers or {})
        if retry_after_seconds is not None:
            self.headers["Retry-After"] = str(retry_after_seconds)
        if self.closes_connection:
            self.headers["Connection"] = "close"

    def problem(self) -> Problem:
        """Return the body of the answer."""
        return Problem(
            type=f"urn:lacuna:problem:{self.code}",
            title=self.title,
            status=self.status,
            code=self.code,
            detail=self.detail,
            path=self.path,
            errors=self.errors or None,
        )


class MalformedBodyError(ServiceError):
    """Raised for a body that is not JSON as RFC 8259 has it."""

    status, title, code = 400, "The body is not valid JSON", "invalid_json"


class InvalidRequestError(ServiceError):
    """Raised for JSON without the documented form, or of which no series can be answered."""

    status, title, code = 422, "The request is not valid", "invalid_request"


class BodyTimedOutError(ServiceError):
    """Raised for a body that does not end in time; the connection is given up with it."""

    status, title, code = 408, "The body took too long", "body_timed_out"
    closes_connection = True


class TooLargeError(ServiceError):
    """Raised for a request beyond one of the limits in the settings."""

    status, title, code = 413, "The request is too large", "body_too_large"


class MediaTypeError(ServiceError):
    """Raised for a body that calls itself something else than what is read here."""

    status, title, code = 415, "The body must be JSON", "unsupported_media_type"


class ContentEncodingError(ServiceError):
    """Raised for a body that is encoded: it would be read as what it is not."""

    status, title, code = 415, "The body must not be encoded", "unsupported_content_encoding"

    def __init__(self) -> None:
        super().__init__(
            "expected a body without Content-Encoding; send it as it is",
            headers={"Accept-Encoding": "identity"},
        )


class NotFoundError(ServiceError):
    """Raised for a model that is not loaded."""

    status, title, code = 404, "Not found", "not_found"


class ClientGoneError(ServiceError):
    """Raised where the client has closed its connection; its place goes to another."""

    status, title, code = 499, "The client is gone", "client_gone"


class ShuttingDownError(ServiceError):
    """Raised for a request that comes after the stop signal."""

    status, title, code = 503, "Shutting down", "shutting_down"
    closes_connection = True


def problem_response(error: ServiceError) -> Response:
    """Turn an error into the answer."""
    return Response(
        to_bytes(error.problem()),
        status_code=error.status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers=error.headers,
    )


def internal_error_response() -> Response:
    """Return the answer to an error that nobody expected. It says nothing about its cause."""
    return problem_response(
        ServiceError("the server failed on this request; its log has an entry with the request id")
    )


def add_error_handlers(app: FastAPI) -> None:
    """Make every error of the application a problem. The unexpected ones are the middleware's."""
    app.add_exception_handler(ServiceError, _on_service_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)


async def _on_service_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return problem_response(error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = _allowed_methods(request)
    code, title = _HTTP_TITLES.get(error.status_code, ("http_error", "The request was refused"))
    problem = Problem(
        type=f"urn:lacuna:problem:{code}",
        title=title,
        status=error.status_code,
        code=code,
        detail="the paths and methods of this server are listed at /docs",
    )
    return Response(
        to_bytes(problem),
        status_code=error.status_code,
        media_type=PROBLEM_MEDIA_TYPE,
        headers=headers,
    )


def _allowed_methods(request: Request) -> str:
    """Name the methods of all routes of a path; the router names those of the first."""
    methods = {
        method
        for route in request.app.routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in getattr(route, "methods", ())
    }
    return ", ".join(sorted(methods))


async def _on_validation_error(_request: Request, _error: Exception) -> Response:
    # Bodies are read by `service.wire`; this is FastAPI's own check of path and query parameters.
    return problem_response(InvalidRequestError("a parameter of the path or query is not valid"))
