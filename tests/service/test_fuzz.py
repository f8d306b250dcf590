"""Whatever a series holds, the answer is one of the documented ones, and its neighbor is untouched."""

import json
import math
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.inference.errors import Fault
from tests.service.requests import Json, body, series

NAMES = st.sampled_from(["HR", "MAP", "MechVent", "2345-7", "Urine", "nonsense", ""])
UNITS = st.sampled_from([None, "/min", "mm[Hg]", "kPa", "mmol/L", "1", "mL", "?"])
HOURS = st.one_of(
    st.floats(-50, 50), st.sampled_from([0.0, -0.0, 5e-324, 1e5, -1e5, 1e308, 0.1 + 0.2, 0.3])
)
INSTANTS = st.one_of(
    st.datetimes().map(lambda instant: f"{instant.isoformat()}Z"),
    st.sampled_from(["2026-03-29T02:30:00+01:00", "2026-03-29T02:30:00", "now", "1e3"]),
)
MOMENTS = st.one_of(HOURS, HOURS, HOURS, INSTANTS)
VALUES = st.one_of(st.floats(20, 200), st.floats(allow_nan=False, allow_infinity=False))
ROWS = st.fixed_dictionaries(
    {"time": MOMENTS, "variable": NAMES, "value": VALUES}, optional={"unit": UNITS}
)
LIKELY_ROWS = st.fixed_dictionaries(
    {"time": st.floats(-50, 50), "variable": st.sampled_from(["HR", "MAP"]), "value": VALUES}
)
SERIES = st.fixed_dictionaries(
    {
        "observations": st.one_of(st.lists(LIKELY_ROWS, max_size=30), st.lists(ROWS, max_size=5)),
        "query": st.fixed_dictionaries(
            {"times": st.lists(MOMENTS, max_size=5)}, optional={"variables": st.lists(NAMES)}
        ),
    },
    optional={
        "subject_id": st.text(max_size=10),
        "static": st.dictionaries(
            st.sampled_from(["age_years", "sex", "bmi"]),
            st.one_of(st.none(), VALUES, st.text(max_size=10)),
        ),
        "as_of": MOMENTS,
    },
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)
PATHS = ["impute", "forecast", "uncertainty"]
GOOD = series(query={"times": [13.0], "variables": ["HR"]})
FEW = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def undisturbed(client: httpx.Client) -> dict[str, list[float]]:
    """The answer about the good series when nobody else is there, by endpoint."""
    answers = {path: client.post(f"/v1/{path}", json=body(GOOD)).json() for path in PATHS}
    return {
        path: answer["series"][0]["variables"]["HR"]["mean"] for path, answer in answers.items()
    }


@FEW
@given(strange=SERIES, path=st.sampled_from(PATHS))
def test_any_series_is_answered_or_refused_by_name(
    client: httpx.Client, undisturbed: dict[str, list[float]], strange: Json, path: str
) -> None:
    if path == "impute":
        strange.pop("as_of", None)
    response = client.post(f"/v1/{path}", json=body(GOOD, strange))
    assert response.status_code == 200, response.text
    first, second = response.json()["series"]
    assert first["variables"]["HR"]["mean"] == pytest.approx(undisturbed[path], rel=1e-6)
    if "error" in second:
        assert second["error"]["code"] in set(Fault)
        assert second["error"]["path"].startswith("series[1]")
    else:
        assert_answers(second, strange)


def assert_answers(answered: Json, asked: Json) -> None:
    assert answered["query_times"] == asked["query"]["times"]
    for variable in answered["variables"].values():
        columns = [variable["mean"], *variable["quantiles"].values()]
        for row in zip(*columns, strict=True):
            assert all(math.isfinite(number) for number in row)
            assert list(row[1:]) == sorted(row[1:])


@FEW
@given(place=st.sampled_from(["whole", "series", "one", "observations", "row"]), junk=ANYTHING)
def test_any_json_has_a_defined_answer(client: httpx.Client, place: str, junk: Any) -> None:
    content: Any = {
        "whole": junk,
        "series": {"series": junk},
        "one": body(junk),
        "observations": body(series(observations=junk)),
        "row": body(series(observations=[junk])),
    }[place]
    response = client.post("/v1/impute", content=json.dumps(content))
    assert response.status_code in {200, 400, 422}, response.text
    if response.status_code != 200:
        assert response.headers["content-type"] == "application/problem+json"
