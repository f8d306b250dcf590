"""The OpenAPI document: FastAPI's own, with the request schemas and the problem schema added.

FastAPI does not know the bodies, as the endpoints read them raw, nor that errors have a media type
of their own.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from service.errors import PROBLEM_MEDIA_TYPE, Problem
from service.inference.schemas import REQUESTS
from service.jobs.request import JobRequest
from service.timeseries.schemas import TimeSeriesErrorBody, TimeSeriesRequest

FORM_MEDIA_TYPE = "multipart/form-data"
_TEMPLATE = "#/components/schemas/{model}"
_PROBLEM_EXAMPLE = {
    "type": "urn:lacuna:problem:unknown_unit",
    "title": "The series cannot be answered",
    "status": 422,
    "code": "unknown_unit",
    "detail": "no conversion from this unit for Glucose; expected one of: mg/dL, mmol/L",
    "path": "series[0].observations[3].unit",
}


_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
}


def _problem(description: str, **more: Any) -> dict[str, Any]:
    schema = {"$ref": _TEMPLATE.format(model="Problem")}
    content = {PROBLEM_MEDIA_TYPE: {"schema": schema, "example": _PROBLEM_EXAMPLE}}
    return {"description": description, "content": content, **more}


def _time_series_error(problem: dict[str, Any]) -> dict[str, Any]:
    schema = {"$ref": _TEMPLATE.format(model=TimeSeriesErrorBody.__name__)}
    return {**problem, "content": {"application/json": {"schema": schema}}}


NOT_FOUND: dict[int | str, dict[str, Any]] = {404: _problem("No such model is loaded.")}
INVALID_PARAMETER: dict[int | str, dict[str, Any]] = {
    422: _problem("A parameter of the path or query is not valid.")
}
NOT_READY: dict[int | str, dict[str, Any]] = {
    500: _problem("The server failed; its log has an entry with the request id."),
    503: _problem(
        "No model is loaded yet, the request took too long, or the server is stopping.",
        headers=_RETRY_AFTER,
    ),
}
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: _problem("The body is not JSON."),
    408: _problem("The body did not end in time."),
    413: _problem("The body, or what it asks for, is beyond a limit."),
    415: _problem("The body does not call itself JSON."),
    422: _problem("The body has not the documented form, or none of its series can be answered."),
    429: _problem("As many requests are waiting as the server allows.", headers=_RETRY_AFTER),
    **NOT_READY,
}
TIME_SERIES_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: response if status == 500 else _time_series_error(response)
    for status, response in {**PROBLEM_RESPONSES, **NOT_FOUND}.items()
}
JOB_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: _problem("The form or a parameter is not what was asked for."),
    404: _problem("There is no such job or part, or the server takes no jobs."),
    408: _problem("The body did not end in time."),
    409: _problem("The job is in another state."),
    410: _problem("The job was deleted."),
    413: _problem("The upload is beyond a limit."),
    415: _problem("The body is not a form."),
    422: _problem("The request or a parameter has not the documented form."),
    507: _problem("The disk of the jobs is full."),
    **NOT_READY,
    503: _problem(
        "The database of the jobs does not answer, no model is loaded yet, or the server is stopping.",
        headers=_RETRY_AFTER,
    ),
}


def request_body(schema: type[BaseModel]) -> dict[str, Any]:
    """Return what an endpoint that reads its body raw adds to its operation."""
    reference = {"$ref": _TEMPLATE.format(model=schema.__name__)}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": reference}}}
    }


def job_form() -> dict[str, Any]:
    """Return what the endpoint that streams a form adds to its operation."""
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    schema = {
        "type": "object",
        "required": ["request", "input"],
        "properties": {
            "request": {"$ref": _TEMPLATE.format(model=JobRequest.__name__)},
            "input": {**file, "description": "The table, in the format that `request` names."},
            "times": {**file, "description": "Query times, where `fill` is a `times_table`."},
        },
    }
    return {"requestBody": {"required": True, "content": {FORM_MEDIA_TYPE: {"schema": schema}}}}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the complete document of an application."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    _, requests = models_json_schema(
        [(one, "validation") for one in (*REQUESTS, TimeSeriesRequest, JobRequest)],
        ref_template=_TEMPLATE,
    )
    schemas.update(requests["$defs"])
    for error in (Problem, TimeSeriesErrorBody):
        schema = TypeAdapter(error).json_schema(ref_template=_TEMPLATE)
        schemas.update(schema.pop("$defs", {}))
        schemas[error.__name__] = schema
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return document
