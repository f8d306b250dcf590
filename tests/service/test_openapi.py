"""The committed OpenAPI document is the application's, and it describes what the server really says."""

import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from service.app import create_app
from service.settings import Settings
from tests.service.requests import FUTURE, Json, body, series

SNAPSHOT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def document() -> Json:
    return create_app(Settings()).openapi()


def assert_fits(content: Any, name: str, document: Json) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(content)


def test_the_committed_document_is_the_application_s(document: Json) -> None:
    committed = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(document)), (
        "python -m service openapi > docs/openapi.json"
    )


def test_every_reference_leads_somewhere(document: Json) -> None:
    def references(part: Any) -> set[str]:
        if isinstance(part, dict):
            own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
            return own.union(*(references(value) for value in part.values()))
        return (
            set().union(*(references(item) for item in part)) if isinstance(part, list) else set()
        )

    names = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert names <= document["components"]["schemas"].keys()


def test_every_post_describes_its_body_and_its_problems(document: Json) -> None:
    posts = {
        path: item["post"]
        for path, item in document["paths"].items()
        if "post" in item and not path.startswith("/v1/jobs")
    }
    assert posts.keys() == {
        "/v1/impute",
        "/v1/forecast",
        "/v1/uncertainty",
        "/v1/validate",
        "/v1/timeseries/forecast",
    }
    for path, operation in posts.items():
        assert operation["requestBody"]["required"]
        assert {"200", "400", "413", "415", "422", "429", "503"} <= operation["responses"].keys()
        content = operation["responses"]["422"]["content"]
        is_problem = path != "/v1/timeseries/forecast"
        assert content.keys() == {"application/problem+json" if is_problem else "application/json"}


@pytest.mark.parametrize("path", ["impute", "forecast", "uncertainty", "validate"])
def test_the_examples_are_answered(client: httpx.Client, document: Json, path: str) -> None:
    name = f"{path.capitalize()}Request"
    (example,) = document["components"]["schemas"][name]["examples"]
    assert_fits(example, name, document)
    assert client.post(f"/v1/{path}", json=example).status_code == 200


def test_a_whole_number_may_be_written_with_a_point(client: httpx.Client, document: Json) -> None:
    """To JSON Schema 2.0 is an integer, so the server takes it for one."""
    for seed, status in ((2, 200), (2.0, 200), (2.5, 422), (-2.0, 422)):
        asked = body(series(), seed=seed)
        assert client.post("/v1/impute", json=asked).status_code == status
        if status == 200:
            assert_fits(asked, "ImputeRequest", document)
        else:
            with pytest.raises(jsonschema.ValidationError):
                assert_fits(asked, "ImputeRequest", document)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/variables", "VariableList"),
        ("/v1/models", "ModelList"),
        ("/v1/models/tiny/1", "ModelDetail"),
    ],
)
def test_the_catalogue_fits_its_schema(
    client: httpx.Client, document: Json, path: str, name: str
) -> None:
    assert_fits(client.get(path).json(), name, document)


def test_the_documentation_page_needs_nothing_from_elsewhere(
    client: httpx.Client, document: Json
) -> None:
    page = client.get("/docs")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for word in ("src=", "<script", "<link", "https://"):
        assert word not in page.text
    for path in document["paths"]:
        assert path in page.text


def test_answers_and_problems_fit_their_schemas(client: httpx.Client, document: Json) -> None:
    good = series(query=FUTURE, events=[{"variable": "MAP", "below": 65, "within_hours": 6}])
    bad = series(query={"times": []})
    asked = body(good, bad, num_samples=2)
    assert_fits(client.post("/v1/uncertainty", json=asked).json(), "Answer", document)
    assert_fits(client.post("/v1/validate", json=asked).json(), "ValidationReport", document)
    assert_fits(client.post("/v1/impute", json=body(bad, bad)).json(), "Problem", document)
