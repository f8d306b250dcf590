"""A variable that the model's training data hardly held: no door answers it, and each names it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from model.artifact import load_artifact
from model.calibration import Calibration
from model.calibration.cells import CELLS_PER_CHANNEL
from model.data.variables import Catalogue
from model.runtime.backends import load_predictor
from model.runtime.predictor import Predictor
from service.jobs.account import Account
from service.jobs.errors import JobInputError
from tests.service.conftest import serving
from tests.service.jobs.tables import Filled, fill, row, write_csv, write_meds
from tests.service.requests import Json, body, columns, rows, series
from tests.service.test_contract import post, variables

NAME = "Fibrinogen"
CODE = "variable_not_trained"


def without_training(catalogue: Catalogue) -> Catalogue:
    """The catalogue, whose data had a further variable without values."""
    further = replace(catalogue[catalogue.channel("HR")], name=NAME, description="Fibrinogen")
    return replace(catalogue, untrained=(further,))


@pytest.fixture(scope="module")
def predictor(tiny_artifact: Path) -> Predictor:
    loaded = load_artifact(tiny_artifact)
    changed = replace(loaded, catalogue=without_training(loaded.catalogue))
    return load_predictor(changed, backend="torch", device="cpu")


@pytest.fixture(scope="module")
def own_client(predictor: Predictor) -> Iterator[httpx.Client]:
    with serving(predictor) as opened:
        yield opened


def further_rows() -> list[Json]:
    """The usual observations, with two of the variable among them."""
    further = [
        {"time": time, "variable": NAME, "value": 80.0, "unit": "g/L"} for time in (1.0, 3.5)
    ]
    found = [*rows(), *further]
    found.sort(key=lambda one: float(one["time"]))
    return found


@pytest.mark.parametrize("form", [list, columns])
def test_its_observations_change_nothing_and_are_named(own_client: httpx.Client, form: Any) -> None:
    plain = post(own_client, "/v1/impute", body(series()))
    asked = body(series(observations=form(further_rows())))
    answer = post(own_client, "/v1/impute", asked)
    assert variables(answer) == variables(plain)
    (warning,) = answer["series"][0]["warnings"]
    assert (warning["code"], warning["count"]) == (CODE, 2)
    assert NAME in warning["message"]
    assert warning["path"].startswith("series[0].observations")


def test_strict_refuses_its_observations(own_client: httpx.Client) -> None:
    asked = body(series(observations=further_rows()), strict=True)
    response = own_client.post("/v1/impute", json=asked)
    assert response.status_code == 422
    assert CODE in response.text


def test_a_series_of_nothing_else_is_refused_with_the_reason(own_client: httpx.Client) -> None:
    only = [one for one in further_rows() if one["variable"] == NAME]
    response = own_client.post("/v1/impute", json=body(series(observations=only)))
    assert response.status_code == 422
    assert response.json()["code"] == CODE
    assert response.json()["path"] == "series[0].observations[0].variable"


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("/v1/impute", {"query": {"times": [1.0], "variables": ["HR", NAME]}}),
        ("/v1/forecast", {"query": {"times": [20.0], "variables": ["HR", NAME]}}),
        ("/v1/uncertainty", {"events": [{"variable": NAME, "below": 65, "within_hours": 6}]}),
    ],
)
def test_a_query_of_it_is_refused_by_name(
    own_client: httpx.Client, path: str, changes: Json
) -> None:
    response = own_client.post(path, json=body(series(**changes)))
    assert response.status_code == 422
    problem = response.json()
    assert problem["code"] == CODE
    assert NAME in problem["detail"]
    assert "variable" in problem["path"]


def test_the_catalogue_lists_it_apart(own_client: httpx.Client) -> None:
    listed = own_client.get("/v1/variables").json()
    assert [one["name"] for one in listed["not_trained"]] == [NAME]
    assert NAME not in {one["name"] for one in listed["variables"]}


@pytest.mark.parametrize("kind", ["univariate", "multivariate"])
def test_the_other_door_refuses_it_too(own_client: httpx.Client, kind: str) -> None:
    is_many = kind == "multivariate"
    one = {
        "type": f"{kind}_time_series",
        "name": f"HR,{NAME}" if is_many else NAME,
        "series": [[80, 3.0], [81, 3.1]] if is_many else [3.0, 3.1],
        "frequency": "H",
    }
    asked = {"model": "tiny", "inputs": [one], "options": {"horizon": 2}}
    response = own_client.post("/v1/timeseries/forecast", json=asked)
    assert response.status_code == 422
    assert response.json()["error"]["type"] == CODE
    assert NAME in response.json()["error"]["message"]


ROWS = [
    row("1", 0.0, "HR", 80.0),
    row("1", 1.0, "MAP", 70.0),
    row("2", 0.0, "HR", 90.0),
    row("2", 1.0, "Temp", 37.0),
]
FURTHER = [row("1", 0.5, NAME, 3.0, "g/L"), row("2", 0.5, NAME, 3.0, "g/L")]


def test_a_job_refuses_it_by_name(predictor: Predictor, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", ROWS)
    with pytest.raises(JobInputError) as caught:
        fill(predictor, source, tmp_path / "out", format="csv", variables=("HR", NAME))
    assert caught.value.code == CODE
    assert NAME in str(caught.value)


def not_used(found: Filled) -> dict[str, int]:
    """Rows that the job did not use, by reason."""
    account = Account.total(result.account for result in found.results)
    return {one.reason: one.rows for one in account.not_used}


def test_a_job_does_not_use_its_rows_and_counts_them(predictor: Predictor, tmp_path: Path) -> None:
    options: dict[str, Any] = {"format": "csv", "variables": "all"}
    plain = fill(predictor, write_csv(tmp_path / "a.csv", ROWS), tmp_path / "a", **options)
    source = write_csv(tmp_path / "b.csv", [*ROWS, *FURTHER])
    found = fill(predictor, source, tmp_path / "b", **options)
    assert found.quarantined == {}
    assert not_used(found) == {CODE: 2}
    assert found.table.equals(plain.table)
    assert NAME not in set(found.table.column("variable").to_pylist())


def test_a_job_over_meds_counts_them_too(predictor: Predictor, tmp_path: Path) -> None:
    source = write_meds(tmp_path / "in", [*ROWS, *FURTHER])
    found = fill(predictor, source, tmp_path / "out", format="meds")
    assert not_used(found) == {CODE: 2}


def test_an_answer_that_rests_on_nothing_abstains(tiny_artifact: Path) -> None:
    """No held-out subject has a lactate, and neither has the series: the network's number is null."""
    loaded = load_artifact(tiny_artifact)
    calibration = unvouched(loaded.calibration, loaded.catalogue.channel("Lactate"))
    changed = replace(loaded, calibration=calibration)
    query = {"times": [5.0, 7.0], "variables": ["HR", "Lactate"]}
    seen = [*rows(), {"time": 6.0, "variable": "Lactate", "value": 2.0, "unit": "mmol/L"}]
    with serving(load_predictor(changed, backend="torch", device="cpu")) as client:
        nothing = variables(post(client, "/v1/impute", body(series(query=query))))
        something = variables(
            post(client, "/v1/impute", body(series(query=query, observations=seen)))
        )
    assert nothing["Lactate"]["status"] == ["abstained"] * 2
    assert nothing["Lactate"]["mean"] == [None, None]
    assert nothing["HR"]["status"] == ["ok"] * 2
    assert something["Lactate"]["status"] == ["low_support"] * 2
    assert all(value is not None for value in something["Lactate"]["mean"])


def unvouched(known: Calibration, channel: int) -> Calibration:
    """The calibration without a held-out subject of one channel."""
    counts = known.num_subjects.copy()
    counts.reshape(-1, CELLS_PER_CHANNEL)[channel] = 0
    return replace(known, num_subjects=np.asarray(counts))
