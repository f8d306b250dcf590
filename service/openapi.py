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


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": _TEMPLATE.format(model="Problem")}
    content = {PROBLEM_MEDIA_TYPE: {"schema": schema, "example": _PROBLEM_EXAMPLE}}
    return {"description": description, "content": content}


DEFAULT_PROBLEM: dict[int | str, dict[str, Any]] = {"default": _problem("Any error.")}
NOT_READY: dict[int | str, dict[str, Any]] = {
    503: _problem("No model is loaded yet, or the request took too long.")
}
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: _problem("The body is not JSON."),
    413: _problem("The body, or what it asks for, is beyond a limit."),
    415: _problem("The body does not call itself JSON."),
    422: _problem("The body has not the documented form, or none of its series can be answered."),
    429: _problem("As many requests are waiting as the server allows; see Retry-After."),
    **NOT_READY,
    **DEFAULT_PROBLEM,
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
        [(request, "validation") for request in (*REQUESTS, JobRequest)], ref_template=_TEMPLATE
    )
    schemas.update(requests["$defs"])
    problem = TypeAdapter(Problem).json_schema(ref_template=_TEMPLATE)
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return document
