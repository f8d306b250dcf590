"""Every bad input has a defined answer, repeats nothing that was posted, and harms no other series."""

import copy
import gzip
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.service.requests import FUTURE, Json, body, columns, rows, series

SENTINELS = ("987654321.125", "987654321", "SECRET-MRN-123", "SECRET")
NUMBER = 987654321.125
WORD = "SECRET-MRN-123"


def changed(place: int, **fields: Any) -> list[Json]:
    """The twelve observations with one of them changed."""
    observations = rows()
    observations[place] |= fields
    return observations


def without(observations: list[Json], place: int, field: str) -> list[Json]:
    del observations[place][field]
    return observations


def asked(times: Any, variables: Any = None) -> Json:
    return {"query": {"times": times, "variables": variables}}


def columns_with(**changes: Any) -> Json:
    return {"observations": columns(rows()) | changes}


def event(**fields: Any) -> Json:
    return {"events": [{"variable": "MAP", "below": 65, "within_hours": 6} | fields]}


ISO = "2026-03-01T10:00:00Z"
SECRET_ROWS = [{"time": 1, "variable": WORD, "value": NUMBER, "unit": WORD}]

# A series that is refused: path of the endpoint, what differs from a good series, code, place of the fault.
REFUSED: list[tuple[str, Json, str, str]] = [
    ("impute", {"observations": []}, "no_observations", "observations"),
    ("impute", {"observations": columns_with()["observations"] | {k: [] for k in columns(rows())}},
     "no_observations", "observations"),
    ("impute", {"observations": [rows()[0] | {"value": NUMBER}]}, "no_observations", "observations"),
    ("impute", {"observations": rows() * 2000}, "too_many_observations", "observations"),
    ("impute", columns_with(value=[NUMBER]), "column_lengths_differ", "observations"),
    ("impute", columns_with(unit=[]), "column_lengths_differ", "observations"),
    ("impute", {"observations": SECRET_ROWS}, "unknown_variable", "observations[0].variable"),
    ("impute", columns_with(variable=[WORD] * 12), "unknown_variable", "observations.variable[0]"),
    ("impute", {"observations": [rows()[0] | {"unit": WORD}]}, "unknown_unit",
     "observations[0].unit"),
    ("impute", {"observations": [rows()[0] | {"time": 1000001}]}, "time_out_of_range",
     "observations[0].time"),
    *[
        ("impute", {"observations": [{"time": time, "variable": "HR", "value": NUMBER}]}, code,
         "observations[0].time")
        for time, code in (
            (WORD, "invalid_time"), ("", "missing_time"),
            ("2026-02-30T10:00:00Z", "invalid_time"), ("2026-03-01T24:30:00Z", "invalid_time"),
            ("2026-03-01T10:00:00", "time_without_offset"), ("2026-03-01", "date_without_time"),
            ("1799-12-31T23:00:00Z", "time_out_of_range"), ("2301-01-01T00:00:00Z", "time_out_of_range"),
            ("0001-01-01T00:00:00+14:00", "time_out_of_range"),
            ("9999-12-31T23:59:59-14:00", "time_out_of_range"),
        )
    ],
    ("impute", asked([]), "empty_query", "query.times"),
    ("impute", asked([1.0], []), "empty_query", "query.variables"),
    ("impute", asked([1.0] * 2001), "too_many_query_times", "query.times"),
    ("impute", asked([1.0, ISO]), "mixed_time_kinds", "query.times[1]"),
    ("impute", asked([1.0, 1e308]), "time_out_of_range", "query.times[1]"),
    ("impute", asked([1.0, 181.0]), "query_too_far", "query.times[1]"),
    ("impute", asked([-169.0]), "query_too_far", "query.times[0]"),
    ("impute", asked([1.0], ["HR", WORD]), "unknown_variable", "query.variables[1]"),
    ("impute", asked([1.0], ["MechVent"]), "variable_not_queryable", "query.variables[0]"),
    ("impute", {"observations": [rows()[9]]} | asked([1.0]), "empty_query", "query.variables"),
    ("forecast", asked([13.0, 12.0]), "query_not_after_as_of", "query.times[1]"),
    ("forecast", asked([13.0]) | {"as_of": 13.5}, "query_not_after_as_of", "query.times[0]"),
    ("forecast", asked([13.0]) | {"as_of": -1}, "no_observations", "observations"),
    ("forecast", asked([13.0]) | {"as_of": WORD}, "invalid_time", "as_of"),
    ("forecast", asked([13.0]) | {"as_of": ISO}, "mixed_time_kinds", "as_of"),
    ("forecast", asked([13.0]) | {"as_of": 1e300}, "time_out_of_range", "as_of"),
    ("uncertainty", event(above=60), "invalid_event", "events[0]"),
    ("uncertainty", event(below=None), "invalid_event", "events[0]"),
    ("uncertainty", event(below=NUMBER), "invalid_event", "events[0].below"),
    ("uncertainty", event(unit=WORD), "unknown_unit", "events[0].unit"),
    ("uncertainty", event(variable=WORD), "unknown_variable", "events[0].variable"),
    ("uncertainty", event(variable="MechVent"), "variable_not_queryable", "events[0].variable"),
    ("uncertainty", event() | {"as_of": 179}, "query_too_far", "events[0].within_hours"),
]  # fmt: skip


def good(path: str) -> Json:
    return series(query=FUTURE if path == "forecast" else {"times": [5.0], "variables": ["HR"]})


def assert_repeats_nothing(response: httpx.Response) -> None:
    for sentinel in SENTINELS:
        assert sentinel not in response.text
        assert sentinel not in str(response.headers)


def assert_is_problem(response: httpx.Response, status: int, code: str) -> Json:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: Json = response.json()
    assert {"type", "title", "status", "code", "detail"} <= problem.keys()
    assert (problem["status"], problem["code"]) == (status, code)
    assert_repeats_nothing(response)
    return problem


@pytest.mark.parametrize(("path", "difference", "code", "place"), REFUSED)
def test_a_bad_series_has_its_own_error(
    client: httpx.Client, path: str, difference: Json, code: str, place: str
) -> None:
    bad = good(path) | {"subject_id": "bad"} | difference
    alone = client.post(f"/v1/{path}", json=body(bad))
    problem = assert_is_problem(alone, 422, code)
    assert problem["path"] == f"series[0].{place}"
    among = client.post(f"/v1/{path}", json=body(good(path), bad))
    assert among.status_code == 200
    assert_repeats_nothing(among)
    answered, failed = among.json()["series"]
    assert failed["subject_id"] == "bad"
    assert (failed["error"]["code"], failed["error"]["status"]) == (code, 422)
    assert failed["error"]["path"] == f"series[1].{place}"
    undisturbed = client.post(f"/v1/{path}", json=body(good(path))).json()["series"][0]
    assert answered["variables"] == undisturbed["variables"]


# An observation that cannot be used: what differs from a good series, code, place.
NOT_USED: list[tuple[Json, str, str]] = [
    ({"observations": changed(3, variable=WORD)}, "unknown_variable", "observations[3].variable"),
    ({"observations": changed(3, variable="")}, "unknown_variable", "observations[3].variable"),
    ({"observations": changed(3, unit=WORD)}, "unknown_unit", "observations[3].unit"),
    ({"observations": changed(5, unit="meq/L")}, "unknown_unit", "observations[5].unit"),
    ({"observations": changed(2, time=WORD)}, "invalid_time", "observations[2].time"),
    ({"observations": changed(2, time="")}, "missing_time", "observations[2].time"),
    ({"observations": changed(2, time="2026-03-01")}, "date_without_time", "observations[2].time"),
    ({"observations": changed(2, time=ISO)}, "mixed_time_kinds", "observations[2].time"),
    ({"observations": changed(0, time=ISO)}, "mixed_time_kinds", "observations[0].time"),
    ({"observations": changed(4, time=1e308)}, "time_out_of_range", "observations[4].time"),
    ({"observations": changed(4, time=-1000001)}, "time_out_of_range", "observations[4].time"),
    ({"observations": changed(3, value=str(NUMBER))}, "implausible_value_dropped",
     "observations[3]"),
    ({"observations": changed(3, value=WORD)}, "value_is_text", "observations[3]"),
    ({"observations": changed(3, value="")}, "missing_value", "observations[3]"),
]  # fmt: skip


@pytest.mark.parametrize(("difference", "code", "place"), NOT_USED)
def test_an_observation_that_cannot_be_used_costs_a_warning_or_under_strict_the_series(
    client: httpx.Client, difference: Json, code: str, place: str
) -> None:
    content = body(good("impute") | difference)
    lenient = client.post("/v1/impute", json=content)
    assert lenient.status_code == 200
    (warning,) = lenient.json()["series"][0]["warnings"]
    assert (warning["code"], warning["path"]) == (code, f"series[0].{place}")
    strict = client.post("/v1/impute", json=content | {"strict": True})
    assert (strict.status_code, strict.json()["code"]) == (422, "refused_by_strict")
    assert strict.json()["path"] == f"series[0].{place}"
    for answer in (lenient, strict):
        # The name of a variable is told, so that its sender finds it; values, units and times are not.
        assert str(NUMBER) not in answer.text
        assert (WORD in answer.text) == (difference["observations"][3]["variable"] == WORD)
    observations = difference["observations"]
    unusable = int(place.removeprefix("observations[").partition("]")[0])
    rest = observations[:unusable] + observations[unusable + 1 :]
    others = client.post("/v1/impute", json=body(good("impute") | {"observations": rest}))
    assert others.json()["series"][0]["variables"] == lenient.json()["series"][0]["variables"]


def test_a_long_record_is_answered_by_its_pieces(client: httpx.Client) -> None:
    content = body(good("impute") | {"observations": changed(11, time=9613)})
    response = client.post("/v1/impute", json=content)
    assert response.status_code == 200
    assert response.json()["series"][0]["warnings"] == []


def test_an_empty_unit_and_a_number_in_words_are_read_as_in_a_table(client: httpx.Client) -> None:
    plain = client.post("/v1/impute", json=body(good("impute")))
    observations = changed(5, unit="", value=str(rows()[5]["value"]))
    observations[2]["time"] = str(observations[2]["time"])
    response = client.post("/v1/impute", json=body(good("impute") | {"observations": observations}))
    (answered,) = response.json()["series"]
    assert [one["code"] for one in answered["warnings"]] == ["unit_assumed"]
    assert answered["variables"] == plain.json()["series"][0]["variables"]


Change = Callable[[Json], Any]


def put(value: Any, *keys: str | int) -> Change:
    """Put a value at a place of the request, or leave the place out where it is `...`."""

    def change(content: Json) -> None:
        place: Any = content
        for key in keys[:-1]:
            place = place[key]
        if value is ...:
            del place[keys[-1]]
        else:
            place[keys[-1]] = value

    return change


ROW = ("series", 0, "observations", 3)

# A request that is refused as a whole: what is changed, and the place of the fault.
MALFORMED: list[tuple[Change, str]] = [
    (put(..., "series"), "series"),
    (put([], "series"), "series"),
    (put(None, "series"), "series"),
    (put({}, "series"), "series"),
    (put([WORD], "series"), "series[0]"),
    (put(WORD, WORD), ""),
    (put(WORD, "series", 0, WORD), "series[0]"),
    (put(WORD, *ROW, WORD), "series[0].observations[3]"),
    (put(1, "series", 0, "subject_id"), "series[0].subject_id"),
    (put(WORD * 20, "series", 0, "subject_id"), "series[0].subject_id"),
    (put(WORD, "series", 0, "static"), "series[0].static"),
    (put({WORD: [NUMBER]}, "series", 0, "static"), "series[0].static"),
    (put({WORD: True}, "series", 0, "static"), "series[0].static"),
    (put({WORD * 9: NUMBER}, "series", 0, "static"), "series[0].static"),
    (put(..., "series", 0, "observations"), "series[0].observations"),
    (put(None, "series", 0, "observations"), "series[0].observations"),
    (put(WORD, "series", 0, "observations"), "series[0].observations"),
    (put([NUMBER], "series", 0, "observations"), "series[0].observations[0]"),
    (put({"time": [1]}, "series", 0, "observations"), "series[0].observations.variable"),
    (put(columns_with(value=[[NUMBER]])["observations"], "series", 0, "observations"),
     "series[0].observations.value[0]"),
    (put(WORD * 9, *ROW, "value"), "series[0].observations[3].value"),
    (put(WORD, *ROW, "comparator"), "series[0].observations[3].comparator"),
    (put(None, *ROW, "value"), "series[0].observations[3].value"),
    (put(True, *ROW, "value"), "series[0].observations[3].value"),
    (put([NUMBER], *ROW, "value"), "series[0].observations[3].value"),
    (put(10**400, *ROW, "value"), "series[0].observations[3].value"),
    (put(..., *ROW, "time"), "series[0].observations[3].time"),
    (put(None, *ROW, "time"), "series[0].observations[3].time"),
    (put(WORD * 9, *ROW, "time"), "series[0].observations[3].time"),
    (put(NUMBER, *ROW, "variable"), "series[0].observations[3].variable"),
    (put(WORD * 9, *ROW, "variable"), "series[0].observations[3].variable"),
    (put(NUMBER, *ROW, "unit"), "series[0].observations[3].unit"),
    (put("\ud800" + WORD, *ROW, "unit"), "series[0].observations[3].unit"),
    (put(..., "series", 0, "query"), "series[0].query"),
    (put({}, "series", 0, "query"), "series[0].query.times"),
    (put(NUMBER, "series", 0, "query", "times"), "series[0].query.times"),
    (put([None], "series", 0, "query", "times"), "series[0].query.times[0]"),
    (put([NUMBER], "series", 0, "query", "variables"), "series[0].query.variables[0]"),
    (put(1.0, "series", 0, "as_of"), "series[0].as_of"),
    (put([], "quantile_levels"), "quantile_levels"),
    (put([0.0], "quantile_levels"), "quantile_levels[0]"),
    (put([1], "quantile_levels"), "quantile_levels[0]"),
    (put([NUMBER], "quantile_levels"), "quantile_levels[0]"),
    (put([0.5, 0.5], "quantile_levels"), "quantile_levels"),
    (put([0.01 * step for step in range(1, 34)], "quantile_levels"), "quantile_levels"),
    (put(-1, "num_samples"), "num_samples"),
    (put(1.5, "num_samples"), "num_samples"),
    (put(-1, "seed"), "seed"),
    (put(2**63, "seed"), "seed"),
    (put(WORD, "seed"), "seed"),
    (put(WORD, "strict"), "strict"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "place"), MALFORMED)
def test_a_malformed_body_is_refused_with_the_place(
    client: httpx.Client, change: Change, place: str
) -> None:
    content = copy.deepcopy(body(series(static={"age_years": 60}), quantile_levels=[0.5]))
    change(content)
    response = client.post(
        "/v1/impute", content=json.dumps(content), headers={"Content-Type": "application/json"}
    )
    problem = assert_is_problem(response, 422, "invalid_request")
    assert problem["errors"][0]["path"] == place


NAN_ROW = '{"time": 1, "variable": "HR", "value": %s}'


def with_value(text: str) -> bytes:
    row = NAN_ROW % text
    return f'{{"series": [{{"observations": [{row}], "query": {{"times": [1]}}}}]}}'.encode()


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (WORD.encode(), 400, "invalid_json"),
        (b'{"series": [' + WORD.encode(), 400, "invalid_json"),
        (b"\xff\xfe\xfa" + WORD.encode(), 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b'{"a":' * 50_000, 400, "invalid_json"),
        (b"{} " + WORD.encode(), 400, "invalid_json"),
        (with_value("NaN"), 400, "not_finite"),
        (with_value("-Infinity"), 400, "not_finite"),
        (with_value("1e400"), 422, "invalid_request"),
        (with_value("9" * 5000), 400, "invalid_json"),
        (with_value("07"), 400, "invalid_json"),
        (b'{"series": [], "series": "SECRET-MRN-123"}', 400, "duplicate_key"),
        (with_value('1, "value": 987654321.125'), 400, "duplicate_key"),
        (b"null", 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
        (b'"SECRET-MRN-123"', 422, "invalid_request"),
        (b"987654321.125", 422, "invalid_request"),
        (b" " * (9 * 2**20), 413, "body_too_large"),
    ],
    ids=lambda value: value[:12].decode("latin-1") if isinstance(value, bytes) else None,
)
@pytest.mark.parametrize("path", ["impute", "validate"])
def test_a_body_that_is_not_the_documented_json_is_refused(
    client: httpx.Client, path: str, raw: bytes, status: int, code: str
) -> None:
    response = client.post(f"/v1/{path}", content=raw)
    assert_is_problem(response, status, code)


@pytest.mark.parametrize("raw", [b"[]", b'{"series": [3]}', b'{"series": [{"query": 3}]}', b"{}"])
def test_what_was_expected_is_said_in_the_words_of_json(client: httpx.Client, raw: bytes) -> None:
    problem = client.post("/v1/impute", content=raw).json()
    for word in ("instance of", "Request", "Series", "dictionary"):
        assert word not in problem["detail"], problem
    assert "expected" in problem["detail"]


def test_a_large_body_without_an_announced_length_is_refused(client: httpx.Client) -> None:
    response = client.post("/v1/impute", content=(b" " * 2**20 for _ in range(9)))
    assert_is_problem(response, 413, "body_too_large")


@pytest.mark.parametrize("path", ["impute", "forecast", "uncertainty", "validate"])
def test_a_compressed_body_is_refused(client: httpx.Client, path: str) -> None:
    raw = gzip.compress(json.dumps(body(good(path))).encode())
    response = client.post(f"/v1/{path}", content=raw, headers={"Content-Encoding": "gzip"})
    assert_is_problem(response, 415, "unsupported_content_encoding")
    assert response.headers["accept-encoding"] == "identity"
    plain = {"Content-Encoding": "identity", "Content-Type": "application/json"}
    raw = json.dumps(body(good(path))).encode()
    assert client.post(f"/v1/{path}", content=raw, headers=plain).status_code == 200


def test_another_media_type_is_refused(client: httpx.Client) -> None:
    response = client.post("/v1/impute", content=WORD, headers={"Content-Type": "text/plain"})
    assert_is_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (body(*[good("impute")] * 65), "too_many_series"),
        (body(good("impute"), num_samples=201), "too_many_samples"),
        (body(good("impute") | asked([1.0] * 2000, ["HR", "MAP"]), num_samples=200),
         "too_many_samples"),
        (body(*[good("impute") | asked([1.0] * 2000, ["HR", "MAP"])] * 64), "too_many_queries"),
        (body(*[good("uncertainty") | event(within_hours=30)] * 50), "too_many_samples"),
    ],
    ids=["series", "samples", "sample values", "queries", "events"],
)  # fmt: skip
def test_a_request_beyond_a_limit_is_refused(
    client: httpx.Client, content: Json, code: str
) -> None:
    path = "uncertainty" if "events" in content["series"][0] else "impute"
    assert_is_problem(client.post(f"/v1/{path}", json=content), 413, code)


def test_a_million_observations_are_refused(client: httpx.Client) -> None:
    many = {"time": [1] * 10**6, "variable": ["HR"] * 10**6, "value": [9] * 10**6}
    response = client.post("/v1/impute", json=body(good("impute") | {"observations": many}))
    assert_is_problem(response, 413, "body_too_large")


def test_when_no_series_can_be_answered_every_fault_is_listed(client: httpx.Client) -> None:
    bad = [series(observations=[]), good("impute") | asked([])]
    response = client.post("/v1/impute", json=body(*bad))
    problem = assert_is_problem(response, 422, "all_series_failed")
    assert [(one["path"], one["code"]) for one in problem["errors"]] == [
        ("series[0].observations", "no_observations"),
        ("series[1].query.times", "empty_query"),
    ]


@pytest.mark.parametrize(
    ("difference", "code"),
    [
        ({"observations": changed(3, value=NUMBER)}, "implausible_value_dropped"),
        ({"observations": [*rows(), rows()[3]]}, "duplicate_dropped"),
        ({"observations": [*rows(), rows()[3] | {"value": 93}]}, "conflict_averaged"),
        ({"static": {"age_years": NUMBER}}, "static_ignored"),
        ({"static": {WORD: NUMBER}}, "static_ignored"),
    ],
)
def test_strict_refuses_what_is_otherwise_a_warning(
    client: httpx.Client, difference: Json, code: str
) -> None:
    content = body(good("impute") | difference)
    lenient = client.post("/v1/impute", json=content)
    assert lenient.status_code == 200
    assert [one["code"] for one in lenient.json()["series"][0]["warnings"]] == [code]
    assert_repeats_nothing(lenient)
    response = client.post("/v1/impute", json=content | {"strict": True})
    problem = assert_is_problem(response, 422, "refused_by_strict")
    assert f"{code}: 1" in problem["detail"]


def test_a_value_that_overflows_in_conversion_is_dropped(client: httpx.Client) -> None:
    observations = [*rows(), {"time": 1, "variable": "MAP", "value": 1e308, "unit": "kPa"}]
    response = client.post("/v1/impute", json=body(series(observations=observations)))
    codes = [one["code"] for one in response.json()["series"][0]["warnings"]]
    assert codes == ["unit_converted", "invalid_value"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/impute", 405, "method_not_allowed"),
        ("GET", "/v1/SECRET-MRN-123", 404, "not_found"),
        ("POST", "/SECRET-MRN-123", 404, "not_found"),
    ],
)
def test_an_unknown_place_is_a_problem_too(
    client: httpx.Client, method: str, path: str, status: int, code: str
) -> None:
    assert_is_problem(client.request(method, path), status, code)
