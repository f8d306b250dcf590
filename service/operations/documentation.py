"""GET /docs: the OpenAPI document as one plain page.

FastAPI's own page loads its scripts from a content network, which a hospital's browser cannot reach
and should not be asked to. This one is complete as it is served: no script, nothing to fetch.
"""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service.openapi import FORM_MEDIA_TYPE
from service.slices import Slice

router = APIRouter(include_in_schema=False)

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#f4f4f4;padding:.75rem;overflow-x:auto;font-size:.85rem}"
    "h2{border-top:1px solid #ccc;padding-top:1rem}summary{cursor:pointer}"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


@router.get("/docs")
async def documentation(request: Request) -> HTMLResponse:
    """Show every operation with its example, and every schema."""
    page = "\n".join(_page(request.app.openapi()))
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})


def _page(document: dict[str, Any]) -> Iterator[str]:
    title = escape(document["info"]["title"])
    schemas = document["components"]["schemas"]
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
    yield f"<style>{_STYLE}</style><h1>{title}</h1>"
    yield f"<p>{escape(document['info']['description'])}</p>"
    yield '<p>The same for programs: <a href="/openapi.json">/openapi.json</a></p>'
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield f"<h2>{method.upper()} {escape(path)}</h2>"
            yield f"<p>{escape(operation.get('description', ''))}</p>"
            yield from _body(path, operation, schemas)
    yield "<h2>Schemas</h2>"
    for name, schema in schemas.items():
        yield f"<details><summary>{escape(name)}</summary>{_code(schema)}</details>"


def _body(path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    body = operation.get("requestBody")
    if body is None:
        return
    if FORM_MEDIA_TYPE in body["content"]:
        yield "<p>Body: a form, for example:</p>"
        command = (
            f"curl http://127.0.0.1:8000{path} --form request=@job.json --form input=@stays.csv"
        )
        yield f"<pre>{escape(command)}</pre>"
        return
    name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    yield f"<p>Body: {escape(name)}, for example as <code>request.json</code>:</p>"
    yield _code(schemas[name]["examples"][0])
    command = f"curl http://127.0.0.1:8000{path} --json @request.json"
    yield f"<pre>{escape(command)}</pre>"


def _code(content: Any) -> str:
    return f"<pre>{escape(json.dumps(content, indent=2, ensure_ascii=False))}</pre>"


SLICE = Slice(router=router)
