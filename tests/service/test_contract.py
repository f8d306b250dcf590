"""What is asked is answered, in the form that the contract gives."""

import math

import httpx
import pytest

from service.inference.answers import Status
from tests.service.answers import assert_same
from tests.service.requests import FUTURE, Json, body, columns, other_series, rows, series


def post(client: httpx.Client, path: str, content: Json) -> Json:
    response = client.post(path, json=content)
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


def variables(answer: Json, index: int = 0) -> Json:
    found: Json = answer["series"][index]["variables"]
    return found


def test_imputation_answers_every_variable_at_every_time(client: httpx.Client) -> None:
    answer = post(client, "/v1/impute", body(series(), seed=7))
    (one,) = answer["series"]
    assert answer["model"].keys() == {"name", "version", "sha256"}
    assert answer["seed"] == 7
    assert answer["timings_ms"].keys() == {"queue", "predict"}
    assert (one["subject_id"], one["query_times"]) == ("p1", [0.25, 5.0, 7.0])
    assert list(one["variables"]) == ["HR", "MAP"]
    assert one["out_of_distribution"]["flag"] is False
    assert one["warnings"] == []
    heart_rate = one["variables"]["HR"]
    assert heart_rate["unit"] == "/min"
    assert list(heart_rate["quantiles"]) == ["0.05", "0.5", "0.95"]
    assert heart_rate["status"] == ["ok"] * 3
    assert "samples" not in heart_rate
    assert "latent_variance" not in heart_rate


@pytest.mark.parametrize("path", ["/v1/impute", "/v1/uncertainty"])
def test_numbers_are_finite_ordered_and_plausible(client: httpx.Client, path: str) -> None:
    levels = [0.5, 0.01, 0.99, 0.25, 1e-6]
    answer = post(client, path, body(series(), quantile_levels=levels))
    for variable in variables(answer).values():
        assert list(variable["quantiles"]) == [repr(level) for level in levels]
        ordered = [variable["quantiles"][repr(level)] for level in sorted(levels)]
        for column in zip(*ordered, strict=True):
            assert all(math.isfinite(number) for number in column)
            assert list(column) == sorted(column)
            assert column[0] >= 20
        assert all(deviation > 0 for deviation in variable["standard_deviation"])


def test_columns_and_objects_are_two_forms_of_one_request(client: httpx.Client) -> None:
    as_objects = post(client, "/v1/impute", body(series()))
    as_columns = post(client, "/v1/impute", body(series(observations=columns(rows()))))
    assert as_objects["series"] == as_columns["series"]


def test_iso_times_are_hours_in_other_words(client: httpx.Client) -> None:
    def iso(hours: float) -> str:
        minutes = round(60 * hours)
        return (
            f"2026-03-{1 + minutes // 1440:02}T{minutes // 60 % 24:02}:{minutes % 60:02}:00+01:00"
        )

    spelled = [row | {"time": iso(row["time"])} for row in rows()]
    spelled[0]["time"] = "2026-02-28T23:00:00Z"  # the same instant with another offset
    query = {"times": [iso(0.25), iso(5), iso(7)], "variables": ["HR", "MAP"]}
    in_hours = post(client, "/v1/impute", body(series()))
    in_iso = post(client, "/v1/impute", body(series(observations=spelled, query=query)))
    assert in_iso["series"][0]["query_times"] == query["times"]
    assert variables(in_iso) == variables(in_hours)


def test_forecast_continues_from_the_last_observation(client: httpx.Client) -> None:
    answer = post(client, "/v1/forecast", body(series(query=FUTURE)))
    assert answer["series"][0]["as_of"] == 12.0
    assert variables(answer)["HR"]["status"] == ["ok", "ok", "extrapolated"]


def test_as_of_hides_what_came_later(client: httpx.Client) -> None:
    query = {"times": [7.0, 12.0], "variables": ["HR"]}
    cut = post(client, "/v1/forecast", body(series(as_of=6.5, query=query)))
    earlier = [row for row in rows() if row["time"] <= 6.5]
    alone = post(client, "/v1/forecast", body(series(observations=earlier, query=query)))
    assert variables(cut) == variables(alone)
    (warning,) = cut["series"][0]["warnings"]
    assert (warning["code"], warning["count"]) == ("after_as_of", 4)
    assert warning["path"] == "series[0].observations[8]"


def test_default_variables_are_the_observed_ones_that_can_be_estimated(
    client: httpx.Client,
) -> None:
    answer = post(client, "/v1/impute", body(series(query={"times": [1]})))
    assert list(variables(answer)) == ["Glucose", "HR", "Mg", "MAP", "PaCO2", "Temp"]


def test_a_loinc_code_names_a_variable(client: httpx.Client) -> None:
    by_code = [
        row | {"variable": {"HR": "8867-4"}.get(row["variable"], row["variable"])} for row in rows()
    ]
    query = {"times": [0.25, 5, 7], "variables": ["8867-4", "MAP", "HR"]}
    answer = post(client, "/v1/impute", body(series(observations=by_code, query=query)))
    assert variables(answer) == variables(post(client, "/v1/impute", body(series())))


def test_query_times_are_answered_in_the_order_asked(client: httpx.Client) -> None:
    asked = [7.0, 0.25, 7.0, 5.0]
    answer = post(client, "/v1/impute", body(series(query={"times": asked, "variables": ["HR"]})))
    sorted_answer = variables(post(client, "/v1/impute", body(series())))["HR"]["mean"]
    expected = dict(zip([0.25, 5.0, 7.0], sorted_answer, strict=True))
    mean = variables(answer)["HR"]["mean"]
    assert mean == pytest.approx([expected[time] for time in asked], rel=1e-6)
    assert mean[0] == mean[2]


def test_status_says_what_an_answer_rests_on(client: httpx.Client) -> None:
    query = {"times": [-0.5, -2, 5, 12.5, 14], "variables": ["HR", "Lactate"]}
    answer = variables(post(client, "/v1/impute", body(series(query=query))))
    assert answer["HR"]["status"] == ["ok", "extrapolated", "ok", "ok", "extrapolated"]
    assert answer["Lactate"]["status"] == [
        *("low_support", "extrapolated", "low_support", "low_support", "extrapolated")
    ]
    assert set(answer["HR"]["status"]) <= set(Status)


def test_uncertainty_splits_the_variance_and_draws_jointly(client: httpx.Client) -> None:
    answer = post(client, "/v1/uncertainty", body(series(query=FUTURE), num_samples=5))
    for variable in variables(answer).values():
        for latent, noise, deviation in zip(
            variable["latent_variance"],
            variable["observation_variance"],
            variable["standard_deviation"],
            strict=True,
        ):
            assert math.sqrt(latent + noise) == pytest.approx(deviation, rel=1e-7)
        assert [len(row) for row in variable["samples"]] == [3] * 5


def test_events_have_probabilities_that_fit_each_other(client: httpx.Client) -> None:
    def event(**rest: float) -> Json:
        return {"variable": "MAP", "within_hours": 6, **rest}

    events = [
        *(event(below=65), event(below=75), event(below=75, within_hours=12), event(above=75)),
        event(below=75 / 7.500616827) | {"unit": "kPa"},
    ]
    answer = post(client, "/v1/uncertainty", body(series(query=..., events=events)))
    (one,) = answer["series"]
    low, middle, longer, high, in_kpa = one["events"]
    assert low["probability"] <= middle["probability"] <= longer["probability"]
    assert middle["probability"] + high["probability"] >= 1
    assert in_kpa["probability"] == middle["probability"]
    assert (middle["num_samples"], middle["num_times"], middle["unit"]) == (200, 12, "mm[Hg]")
    assert one["variables"] == {}


def test_events_do_not_depend_on_what_else_is_asked(client: httpx.Client) -> None:
    event = {"variable": "MAP", "below": 70, "within_hours": 3}
    other = {"variable": "HR", "above": 100, "within_hours": 9}
    alone = post(client, "/v1/uncertainty", body(series(events=[event])))
    asked = series(events=[other, event | {"within_hours": 8}, event])
    among = post(client, "/v1/uncertainty", body(other_series(1), asked, num_samples=3))
    assert among["series"][1]["events"][2] == alone["series"][0]["events"][0]


def test_validate_says_what_would_happen(client: httpx.Client) -> None:
    observations = [
        *rows(),
        {"time": 1, "variable": "HR", "value": 900},
        {"time": 12, "variable": "HR", "value": 101, "unit": "/min"},
        {"time": 4, "variable": "MAP", "value": 8.5, "unit": "kPa"},
    ]
    bad = series(observations=[{"time": 1, "variable": "HR", "value": 3, "unit": "furlong"}])
    answer = post(client, "/v1/validate", body(series(observations=observations), bad))
    good, refused = answer["series"]
    assert (good["read"], good["kept"]) == (15, 12)
    assert {(one["code"], one["path"], one["count"]) for one in good["warnings"]} == {
        ("unit_converted", "series[0].observations[14]", 1),
        ("unit_assumed", "series[0].observations[12]", 1),
        ("implausible_value_dropped", "series[0].observations[12]", 1),
        ("duplicate_dropped", "series[0].observations[13]", 1),
        ("conflict_averaged", "series[0].observations[6]", 1),
    }
    assert refused["error"]["code"] == "unknown_unit"


def test_conversions_are_named_without_the_value(client: httpx.Client) -> None:
    observations = [{"time": 1, "variable": "Glucose", "value": 7.125, "unit": "mmol/L"}]
    answer = post(client, "/v1/impute", body(series(observations=observations)))
    (warning,) = answer["series"][0]["warnings"]
    assert warning["message"] == "Glucose was converted from mmol/L to mg/dL: times 18.016"


def test_many_equal_warnings_are_counted_instead_of_listed(client: httpx.Client) -> None:
    bad = columns([{"time": time / 100, "variable": "HR", "value": 999.0} for time in range(5000)])
    for key, value in columns(rows()).items():
        if key in bad:
            bad[key] = value + bad[key]
    answer = post(client, "/v1/impute", body(series(observations=bad)))
    dropped = [one for one in answer["series"][0]["warnings"] if one["code"].startswith("impl")]
    assert len(dropped) == 101
    assert sum(one["count"] for one in dropped) == 5000
    assert dropped[0]["path"] == "series[0].observations.value[12]"


def test_the_same_subject_twice_is_answered_twice_with_a_warning(client: httpx.Client) -> None:
    answer = post(client, "/v1/impute", body(series(), series()))
    first, second = answer["series"]
    assert first["warnings"] == []
    assert [one["code"] for one in second["warnings"]] == ["duplicate_subject_id"]
    assert_same(first, second)


def test_the_default_subject_is_the_position(client: httpx.Client) -> None:
    answer = post(client, "/v1/impute", body(series(), series(subject_id=...)))
    assert [one["subject_id"] for one in answer["series"]] == ["p1", "1"]


def test_statics_are_used_where_they_are_known(client: httpx.Client) -> None:
    plain = variables(post(client, "/v1/impute", body(series())))
    told = post(client, "/v1/impute", body(series(static={"age_years": 90, "sex": "male"})))
    assert variables(told) != plain
    strange = {"age_years": 900, "sex": "x", "weight_kg": "x", "bmi": 22, "height_cm": None}
    in_words = {"age_years": "90", "sex": "M"}
    assert variables(post(client, "/v1/impute", body(series(static=in_words)))) == variables(told)
    ignored = post(client, "/v1/impute", body(series(static=strange)))
    assert variables(ignored) == plain
    assert [one["code"] for one in ignored["series"][0]["warnings"]] == ["static_ignored"] * 4


def test_answers_are_not_to_be_kept_and_carry_the_request_id(client: httpx.Client) -> None:
    given = client.post("/v1/impute", json=body(series()), headers={"X-Request-ID": "abc-1"})
    assert given.headers["x-request-id"] == "abc-1"
    assert given.headers["cache-control"] == "no-store"
    strange = client.get("/health/live", headers={"X-Request-ID": "a b\tc"})
    assert len(strange.headers["x-request-id"]) == 32


def test_the_catalogue_tells_all_that_a_client_needs(client: httpx.Client) -> None:
    listed = client.get("/v1/variables").json()
    by_name = {one["name"]: one for one in listed["variables"]}
    assert by_name["MechVent"]["queryable"] is False
    assert by_name["Glucose"]["accepted_units"] == ["mg/dL", "mmol/L", "g/L"]
    assert by_name["HR"]["loinc"] == "8867-4"
    assert by_name["HR"]["plausible_range"].keys() == {"low", "high", "source"}
    assert [one["name"] for one in listed["statics"]][:2] == ["age_years", "sex"]


def test_the_model_tells_where_it_comes_from(client: httpx.Client) -> None:
    (summary,) = client.get("/v1/models").json()["models"]
    detail = client.get(f"/v1/models/{summary['name']}/{summary['version']}").json()
    assert detail["sha256"] == summary["sha256"]
    assert detail["card"].startswith("# Tiny")
    assert "weights.safetensors" in detail["manifest"]["files"]
    missing = client.get("/v1/models/SECRET-MRN-123/1")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert "SECRET" not in missing.text


def test_the_root_leads_to_the_documentation(client: httpx.Client) -> None:
    response = client.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "/docs")
