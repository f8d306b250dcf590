"""What must not change an answer: company, order, units, the origin of time, the future, other queries."""

from typing import Any

import httpx
import numpy as np
import pytest

from tests.service.answers import assert_same
from tests.service.requests import FUTURE, Json, body, other_series, rows, series

# In standard deviations of the answer: float32 in another order of summation, and nothing else.


def answered(
    client: httpx.Client, *several: Json, path: str = "/v1/impute", **options: Any
) -> Json:
    response = client.post(path, json=body(*several, **options))
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


@pytest.mark.parametrize("place", [0, 31, 63])
def test_company_changes_nothing(client: httpx.Client, place: int) -> None:
    several = [other_series(index) for index in range(63)]
    several.insert(place, series())
    among = answered(client, *several)["series"]
    assert len(among) == 64
    assert_same(answered(client, series())["series"][0], among[place])


@pytest.mark.parametrize("shift", [-1000.0, 0.1, 12345.678])
def test_a_shift_of_all_times_changes_nothing(client: httpx.Client, shift: float) -> None:
    moved = [row | {"time": row["time"] + shift} for row in rows()]
    query = {"times": [time + shift for time in FUTURE["times"]], "variables": ["HR", "MAP"]}
    still = answered(client, series(query=FUTURE), path="/v1/forecast")
    shifted = answered(client, series(observations=moved, query=query), path="/v1/forecast")
    assert_same(still["series"][0], shifted["series"][0])


def test_the_order_of_observations_changes_nothing(client: httpx.Client) -> None:
    shuffled = [rows()[place] for place in np.random.default_rng(3).permutation(len(rows()))]
    assert (
        answered(client, series(observations=shuffled))["series"]
        == answered(client, series())["series"]
    )


@pytest.mark.parametrize(
    ("name", "unit", "factor", "offset"),
    [
        ("MAP", "kPa", 1 / 7.500616827, 0),
        ("MAP", "mmHg", 1, 0),
        ("PaCO2", "kPa", 1 / 7.500616827, 0),
        ("Glucose", "mmol/L", 10 / 180.16, 0),
        ("Temp", "[degF]", 1.8, 32),
        ("Mg", "meq/L", 20 / 24.305, 0),
        ("HR", "bpm", 1, 0),
        ("HR", None, 1, 0),
    ],
)
def test_the_unit_changes_nothing(
    client: httpx.Client, name: str, unit: str | None, factor: float, offset: float
) -> None:
    def in_unit(row: Json) -> Json:
        if row["variable"] != name:
            return row
        return row | {"value": row["value"] * factor + offset, "unit": unit}

    converted = answered(client, series(observations=[in_unit(row) for row in rows()]))
    assert_same(answered(client, series())["series"][0], converted["series"][0])


def test_units_may_differ_from_row_to_row(client: httpx.Client) -> None:
    observations = rows()
    observations[6] |= {"value": observations[6]["value"] / 7.500616827, "unit": "kPa"}
    mixed = answered(client, series(observations=observations))
    assert_same(answered(client, series())["series"][0], mixed["series"][0])


def test_another_query_changes_no_answer(client: httpx.Client) -> None:
    query = {"times": [0.25, 5.0, 7.0, 11.5, 100.0], "variables": ["HR", "K", "MAP"]}
    more = answered(client, series(query=query), num_samples=2)["series"][0]
    fewer = answered(client, series(), num_samples=2)["series"][0]
    for name in ("HR", "MAP"):
        found = more["variables"][name]
        cut: Json = {key: found[key][:3] for key in ("mean", "standard_deviation", "status")}
        cut["quantiles"] = {level: row[:3] for level, row in found["quantiles"].items()}
        assert_same(fewer, {"variables": {name: cut}}, names=(name,))
        assert found["status"][:3] == fewer["variables"][name]["status"]
        np.testing.assert_allclose(
            [row[:3] for row in found["samples"]], fewer["variables"][name]["samples"], rtol=1e-4
        )


def test_levels_and_samples_change_no_summary(client: httpx.Client) -> None:
    plain = answered(client, series())["series"][0]
    more = answered(client, series(), num_samples=7, quantile_levels=[0.3, 0.05, 0.5, 0.95])
    assert_same(plain, more["series"][0])


def test_the_future_beyond_as_of_changes_nothing(client: httpx.Client) -> None:
    asked = series(as_of=6.5, query={"times": [7.0, 12.0], "variables": ["HR", "MAP"]})
    past = [row for row in rows() if row["time"] <= 6.5]
    event = {"variable": "MAP", "below": 70, "within_hours": 6}
    for path, extra in (("/v1/forecast", {}), ("/v1/uncertainty", {"events": [event]})):
        whole = answered(client, asked | extra, path=path)["series"][0]
        other = [row | {"value": 2 * row["value"]} if row not in past else row for row in rows()]
        changed = answered(client, asked | extra | {"observations": other}, path=path)["series"][0]
        alone = answered(client, asked | extra | {"observations": past}, path=path)["series"][0]
        assert whole["variables"] == changed["variables"] == alone["variables"]
        assert whole.get("events") == changed.get("events") == alone.get("events")


def test_same_request_and_seed_give_the_same_bytes(client: httpx.Client) -> None:
    asked = body(series(), other_series(2), num_samples=3, seed=11)
    first, second = (client.post("/v1/impute", json=asked).content for _ in range(2))
    marker = b'"timings_ms"'
    assert first[: first.index(marker)] == second[: second.index(marker)]
    third = client.post("/v1/impute", json=asked | {"seed": 12}).content
    assert first[: first.index(marker)] != third[: third.index(marker)]
