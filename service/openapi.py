"""The OpenAPI document: FastAPI's own, with the request schemas and the problem schema added.

FastAPI does not know the bodies, as the endpoints read them raw, nor that errors have a media type
of their own. What each endpoint may answer with stands in its slice.
"""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from service.errors import PROBLEM_MEDIA_TYPE, Problem

FORM_MEDIA_TYPE = "multipart/form-data"
RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
}
Responses = dict[int | str, dict[str, Any]]

_TEMPLATE = "#/components/schemas/{model}"
_PROBLEM_EXAMPLE = {
    "type": "urn:lacuna:problem:unknown_unit",
    "title": "The series cannot be answered",
    "status": 422,
    "code": "unknown_unit",
    "detail": "no conversion from this unit for Glucose; expected one of: mg/dL, mmol/L",
    "path": "series[0].observations[3].unit",
}


def reference(schema: type[Any]) -> dict[str, str]:
    """Return a reference to a schema of the document."""
    return {"$ref": _TEMPLATE.format(model=schema.__name__)}


def problem(description: str, **more: Any) -> dict[str, Any]:
    """Describe an answer that is a problem.

    >>> list(problem("The body is not JSON.")["content"])
    ['application/problem+json']
    """
    content = {PROBLEM_MEDIA_TYPE: {"schema": reference(Problem), "example": _PROBLEM_EXAMPLE}}
    return {"description": description, "content": content, **more}


def request_body(schema: type[BaseModel]) -> dict[str, Any]:
    """Return what an endpoint that reads its body raw adds to its operation."""
    content = {"application/json": {"schema": reference(schema)}}
    return {"requestBody": {"required": True, "content": content}}


def describe(
    app: FastAPI, requests: Iterable[type[BaseModel]], error_bodies: Iterable[type[Any]]
) -> dict[str, Any]:
    """Return the complete document of an application whose slices bring these bodies."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    _, found = models_json_schema([(one, "validation") for one in requests], ref_template=_TEMPLATE)
    schemas.update(found["$defs"])
    errors: list[type[Any]] = [Problem, *error_bodies]
    for error in errors:
        schema = TypeAdapter(error).json_schema(ref_template=_TEMPLATE)
        schemas.update(schema.pop("$defs", {}))
        schemas[error.__name__] = schema
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return document
