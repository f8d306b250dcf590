"""The second door: KServe's words, and the numbers of /v1/forecast."""

import gzip
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.runtime.predictor import Predictor
from service.timeseries.grid import DEFAULT_START, read_grid
from service.timeseries.schemas import TimeSeriesInput, TimeSeriesRequest
from tests.service.conftest import serving
from tests.service.requests import Json, body

PUBLISHED = json.loads(Path(__file__).with_name("timeseries.schema.json").read_text("utf-8"))
PATH = "/v1/timeseries/forecast"
HOURS = {"S": 1 / 3600, "minute": 1 / 60, "T": 1 / 60, "H": 1.0, "hour": 1.0, "D": 24.0, "W": 168.0}
NAMES = ("HR", "MAP", "Temp")
FEW = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_fits(content: Any, name: str) -> None:
    schema = {"$ref": f"#/$defs/{name}", "$defs": PUBLISHED["$defs"]}
    jsonschema.Draft202012Validator(schema).validate(content)


def univariate(**changes: Any) -> Json:
    whole = {
        "type": "univariate_time_series",
        "name": "HR",
        "series": [88, 92, 97.5, 101],
        "frequency": "H",
        "start_timestamp": "2026-03-01T10:00:00Z",
    }
    return {key: value for key, value in (whole | changes).items() if value is not ...}


def multivariate(**changes: Any) -> Json:
    rows = [[88, 75], [None, 71], [92, None], [101, 64]]
    return univariate(
        **{"type": "multivariate_time_series", "name": "HR, 8478-0", "series": rows, **changes}
    )


def asked(*inputs: Json, horizon: int = 2, **options: Any) -> Json:
    return {"model": "tiny", "inputs": list(inputs), "options": {"horizon": horizon, **options}}


def ask(client: httpx.Client, *inputs: Json, **options: Any) -> Json:
    response = client.post(PATH, json=asked(*inputs, **options))
    assert response.status_code == 200, response.text
    content: Json = response.json()
    assert_fits(content, "Response")
    return content


CELLS = st.one_of(st.none(), st.floats(60, 120).map(lambda value: round(value, 2)))


@FEW
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=8),
    frequency=st.sampled_from(sorted(HOURS)),
    horizon=st.integers(1, 3),
    width=st.integers(1, 3),
)
def test_the_numbers_are_those_of_the_same_observations_at_the_other_door(
    client: httpx.Client, rows: list[Any], frequency: str, horizon: int, width: int
) -> None:
    cells = [list(row[:width]) for row in rows]
    one = univariate(
        type="multivariate_time_series",
        name=",".join(NAMES[:width]),
        series=cells,
        frequency=frequency,
    )
    step = HOURS[frequency]
    observations = [
        {"time": step * time, "variable": NAMES[place], "value": value}
        for time, row in enumerate(cells)
        for place, value in enumerate(row)
        if value is not None
    ]
    times = [step * (len(cells) + ahead) for ahead in range(horizon)]
    query = {"times": times, "variables": list(NAMES[:width])}
    levels = [0.1, 0.5, 0.9]
    other = client.post(
        "/v1/forecast",
        json=body({"observations": observations, "query": query}, quantile_levels=levels),
    )
    response = client.post(PATH, json=asked(one, horizon=horizon, quantiles=levels))
    assert response.status_code == other.status_code
    if response.status_code != 200:
        assert response.json()["error"]["type"] == other.json()["code"]
        return
    (forecast,) = response.json()["outputs"][0]["content"]
    expected = other.json()["series"][0]["variables"]
    for place, name in enumerate(NAMES[:width]):
        assert [row[place] for row in forecast["mean_forecast"]] == expected[name]["mean"]
        assert [row[place] for row in forecast["status"]] == expected[name]["status"]
        for level, column in forecast["quantiles"].items():
            assert [row[place] for row in column] == expected[name]["quantiles"][level]


def test_one_column_is_a_univariate_series(client: httpx.Client) -> None:
    column = multivariate(name="HR", series=[[value] for value in univariate()["series"]])
    one, other = ask(client, univariate(), column, quantiles=[0.25])["outputs"]
    flat, rows = one["content"][0], other["content"][0]
    assert rows["mean_forecast"] == [[mean] for mean in flat["mean_forecast"]]
    assert rows["quantiles"] == {"0.25": [[value] for value in flat["quantiles"]["0.25"]]}


def test_a_request_of_a_client_written_for_it_is_answered(client: httpx.Client) -> None:
    """Fields beyond the schema are allowed everywhere, and the answers are in order."""
    request = asked(
        univariate(frequency="D", series=[80, 84, 90, 88, 86, 91, 95]),
        univariate(name="MAP", series=[33, 64, 65, 66, 67], extra={"any": ["thing"]}),
        horizon=4,
        quantiles=[0.1, 0.5, 0.9],
        other_options="value",
    )
    request |= {"metadata": {"request_id": "r1"}, "other_properties": "value"}
    assert_fits(request, "Request")
    response = client.post(PATH, json=request)
    content = response.json()
    assert_fits(content, "Response")
    assert content["status"] == "completed"
    first, second = (output["content"][0] for output in content["outputs"])
    assert (first["name"], first["start_timestamp"]) == ("HR", "2026-03-08T10:00:00Z")
    assert (second["name"], second["start_timestamp"]) == ("MAP", "2026-03-01T15:00:00Z")
    assert len(second["mean_forecast"]) == 4
    assert set(second["quantiles"]) == {"0.1", "0.5", "0.9"}


def test_a_compressed_body_is_refused_in_the_words_of_this_interface(client: httpx.Client) -> None:
    raw = gzip.compress(json.dumps(asked(univariate())).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = client.post("/v1/timeseries/forecast", content=raw, headers=headers)
    assert answer.status_code == 415
    assert answer.json()["error"]["type"] == "unsupported_content_encoding", answer.text


def test_the_documented_example_fits_the_published_schema() -> None:
    extra: Any = TimeSeriesRequest.model_config["json_schema_extra"]
    for example in extra["examples"]:
        assert_fits(example, "Request")


@pytest.mark.parametrize("options", [{}, {"quantiles": None}, {"quantiles": []}])
def test_without_quantiles_only_means_are_given(client: httpx.Client, options: Json) -> None:
    (output,) = ask(client, univariate(), **options)["outputs"]
    assert "quantiles" not in output["content"][0]


def test_nan_is_a_gap_here_and_nowhere_else(client: httpx.Client) -> None:
    gap = asked(univariate(series=[88, None, 97]))
    bare = json.dumps(gap).replace("null", "NaN")
    one, other = (client.post(PATH, content=text).json() for text in (json.dumps(gap), bare))
    assert one["outputs"][0]["content"] == other["outputs"][0]["content"]
    infinite = client.post(PATH, content=bare.replace("NaN", "-Infinity"))
    assert (infinite.status_code, infinite.json()["error"]["type"]) == (400, "not_finite")
    assert client.post("/v1/forecast", content=bare).json()["code"] == "not_finite"


def test_one_bad_input_does_not_cost_the_others(client: httpx.Client) -> None:
    content = ask(client, univariate(name="SECRET"), multivariate())
    alone = ask(client, multivariate())
    assert (content["status"], alone["status"]) == ("partial", "completed")
    bad, good = content["outputs"]
    assert (bad["status"], bad["content"]) == ("error", [])
    assert bad["error"]["param"] == "inputs[0].name"
    assert good["content"] == alone["outputs"][0]["content"]
    assert "SECRET" not in json.dumps(content)


REFUSED = [
    (univariate(name="SECRET"), "unknown_variable", "inputs[0].name"),
    (multivariate(name="HR,SECRET"), "unknown_variable", "inputs[0].name"),
    (multivariate(name="HR,8867-4"), "duplicate_variable", "inputs[0].name"),
    (univariate(name="MechVent", series=[1, 1]), "variable_not_queryable", "inputs[0].name"),
    (univariate(series=[]), "no_observations", "inputs[0].series"),
    (univariate(series=[None, None]), "no_observations", "inputs[0].series"),
    (multivariate(series=[[1, 2], [3]]), "series_shape", "inputs[0].series[1]"),
    (multivariate(series=[98765]), "series_shape", "inputs[0].series[0]"),
    (univariate(series=[[98765]]), "series_shape", "inputs[0].series[0]"),
    (univariate(start_timestamp="SECRET"), "invalid_time", "inputs[0].start_timestamp"),
    (
        univariate(start_timestamp="1066-10-14T00:00:00Z"),
        "time_out_of_range",
        "inputs[0].start_timestamp",
    ),
    (univariate(frequency="year", series=[80] * 120), "time_out_of_range", "inputs[0].series"),
    (univariate(frequency="month"), "query_too_far", "options.horizon"),
]


def test_a_series_may_span_years(client: httpx.Client) -> None:
    (output,) = ask(client, univariate(frequency="D", series=[80.0] * 900))["outputs"]
    assert output["status"] == "completed"


@pytest.mark.parametrize(("one", "kind", "param"), REFUSED)
def test_what_cannot_be_answered_is_refused_by_name(
    client: httpx.Client, one: Json, kind: str, param: str
) -> None:
    response = client.post(PATH, json=asked(one))
    assert response.status_code == 422
    assert_fits(response.json(), "Failure")
    error = response.json()["error"]
    assert (error["type"], error["param"], error["code"]) == (kind, param, "422")
    for posted in ("SECRET", "98765", "1066"):
        assert posted not in response.text


@pytest.mark.parametrize(
    ("content", "headers", "status", "kind"),
    [
        (b'{"SECRET": ', {}, 400, "invalid_json"),
        (b'{"model": 1, "model": 1}', {}, 400, "duplicate_key"),
        (b'{"SECRET": 98765}', {}, 422, "invalid_request"),
        (json.dumps({**asked(univariate()), "model": "SECRET"}), {}, 404, "model_not_found"),
        (json.dumps(asked(univariate(), horizon=98765)), {}, 422, "too_many_query_times"),
        (json.dumps(asked(univariate(), horizon=0)), {}, 422, "invalid_request"),
        (json.dumps(asked(univariate(), quantiles=[1.5])), {}, 422, "invalid_request"),
        (json.dumps(asked(univariate(frequency="SECRET"))), {}, 422, "invalid_request"),
        (json.dumps(asked(*[univariate()] * 65)), {}, 413, "too_many_series"),
        (json.dumps(asked(*[univariate(name="SECRET")] * 2)), {}, 422, "all_series_failed"),
        (b"[" * 9_000_000, {}, 413, "body_too_large"),
        (b"SECRET", {"content-type": "text/plain"}, 415, "unsupported_media_type"),
    ],
)
def test_errors_are_in_their_form(
    client: httpx.Client, content: Any, headers: dict[str, str], status: int, kind: str
) -> None:
    response = client.post(PATH, content=content, headers=headers)
    assert response.headers["content-type"] == "application/json"
    assert_fits(response.json(), "Failure")
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (status, kind, str(status))
    for posted in ("SECRET", "98765"):
        assert posted not in response.text


def test_capacity_and_deadline_are_the_same_as_elsewhere(predictor: Predictor) -> None:
    with serving(predictor) as client:
        late = client.post(PATH, json=asked(univariate()), headers={"Prefer": "wait=0"})
        soon = client.post(PATH, json=asked(univariate()), headers={"Prefer": "wait=20"})
    assert (late.status_code, late.json()["error"]["type"]) == (503, "timed_out")
    assert late.headers["retry-after"] == "1"
    assert soon.headers["preference-applied"] == "wait=20"


def grid_input(frequency: str, start: str | None) -> TimeSeriesInput:
    return TimeSeriesInput.model_validate(
        univariate(frequency=frequency, start_timestamp=start, series=[1.0])
    )


@given(
    start=st.datetimes(*map(datetime.fromisoformat, ("1900-01-01", "2199-12-31"))),
    months=st.sampled_from([("M", 1), ("quarter", 3), ("Y", 12)]),
    steps=st.integers(1, 10),
)
def test_months_follow_the_calendar_from_the_start(
    start: datetime, months: tuple[str, int], steps: int
) -> None:
    grid = read_grid(grid_input(months[0], start.isoformat()), num_steps=steps + 1, at="")
    instant = grid.instant(steps)
    assert (instant.year - start.year) * 12 + instant.month - start.month == steps * months[1]
    assert instant.time() == start.time()
    assert instant.day == start.day or (instant + timedelta(days=1)).day == 1
    assert grid.hours(steps, steps + 1)[0] == (instant - start) / timedelta(hours=1)


@given(frequency=st.sampled_from(sorted(HOURS)), steps=st.integers(0, 500))
def test_other_steps_have_a_length(frequency: str, steps: int) -> None:
    grid = read_grid(grid_input(frequency, None), num_steps=steps, at="")
    hours = grid.hours(0, steps)
    np.testing.assert_allclose(hours, HOURS[frequency] * np.arange(steps), rtol=1e-12)
    assert grid.instant(steps) == DEFAULT_START + timedelta(hours=1) * (HOURS[frequency] * steps)
