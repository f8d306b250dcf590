"""A job gives the numbers that POST /v1/impute gives for the same stay, measured ones aside."""

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from model.runtime.predictor import Predictor
from tests.service.jobs.tables import (
    Filled,
    Json,
    fill,
    instant,
    observations,
    row,
    write_csv,
    write_parquet,
)

ROWS = observations(6, seed=4, mean_observations=30)


def posted(rows: list[Json], subject: str, query: Json) -> Json:
    own = [one for one in rows if one["subject_id"] == subject]
    return {
        "subject_id": subject,
        "static": {one["variable"]: one["value"] for one in own if one["time"] is None},
        "observations": [
            {name: one[name] for name in ("time", "variable", "value", "unit")}
            for one in own
            if one["time"] is not None
        ],
        "query": query,
    }


def assert_agrees(client: httpx.Client, rows: list[Json], filled: Filled, spell: Any) -> None:
    """Ask for every estimated row of a job over HTTP; `spell` tells its time as it was posted."""
    by_subject: dict[str, list[Json]] = {}
    for one in filled.rows:
        by_subject.setdefault(one["subject_id"], []).append(one)
    for subject, own in by_subject.items():
        times = sorted({one["time"] for one in own})
        names = sorted({one["variable"] for one in own})
        query = {"times": [spell(time) for time in times], "variables": names}
        response = client.post("/v1/impute", json={"series": [posted(rows, subject, query)]})
        assert response.status_code == 200, response.text
        variables = response.json()["series"][0]["variables"]
        assert len(own) == len(times) * len(names)
        for one in own:
            answer, place = variables[one["variable"]], times.index(one["time"])
            if one["origin"] == "observed":
                continue
            expected = [
                answer["mean"][place],
                answer["standard_deviation"][place],
                *(answer["quantiles"][level][place] for level in ("0.05", "0.5", "0.95")),
            ]
            found = [
                one[name] for name in ("value", "standard_deviation", "q0.05", "q0.5", "q0.95")
            ]
            assert one["unit"] == answer["unit"]
            if None in expected:
                assert found == expected
                continue
            # In standard deviations: another batch is another order of float32 sums.
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5 * expected[1])
            if one["origin"] == "imputed":
                assert one["status"] == answer["status"][place]


def test_a_grid_in_hours(client: httpx.Client, predictor: Predictor, tmp_path: Path) -> None:
    source = write_parquet(tmp_path / "in.parquet", ROWS)
    fill_grid = {"kind": "grid", "minutes": 90, "forecast_hours": 6}
    filled = fill(predictor, source, tmp_path / "out", fill=fill_grid)
    assert {one["origin"] for one in filled.rows} >= {"imputed", "forecast"}
    assert_agrees(client, ROWS, filled, float)


def test_own_times_as_instants(client: httpx.Client, predictor: Predictor, tmp_path: Path) -> None:
    rows = [one | {"time": one["time"] and instant(one["time"])} for one in ROWS]
    source = write_csv(tmp_path / "in.csv", rows)
    filled = fill(
        predictor,
        source,
        tmp_path / "out",
        format="csv",
        fill={"kind": "own_times"},
        variables=["HR", "2345-7", "Weight"],
    )
    assert {one["origin"] for one in filled.rows} == {"imputed", "observed"}
    assert_agrees(client, rows, filled, lambda time: time.isoformat())


def test_other_units_and_duplicates(
    client: httpx.Client, predictor: Predictor, tmp_path: Path
) -> None:
    rows = [
        row("a", 0.0, "Temp", 98.6, "[degF]"),
        row("a", 0.5, "8867-4", 80, None),
        row("a", 0.5, "HR", 90, "bpm"),
        row("a", 0.5, "HR", 90, "/min"),
        row("a", 2.0, "MAP", 10.0, "kPa"),
        row("a", 3.0, "MAP", 9999.0, "mm[Hg]"),
        row("a", 4.0, "Glucose", 7.1, "mmol/L"),
        row("a", 55.0, "HR", 70, None),
        row("a", 55.0, "MechVent", 1, None),
    ]
    source = write_parquet(tmp_path / "in.parquet", rows)
    filled = fill(predictor, source, tmp_path / "out")
    assert sum(result.num_dropped for result in filled.results) == 3
    assert {one["variable"] for one in filled.rows} == {"Temp", "HR", "MAP", "Glucose"}
    assert_agrees(client, rows, filled, float)


def test_limits_words_and_amounts(
    client: httpx.Client, predictor: Predictor, tmp_path: Path
) -> None:
    rows = [
        row("a", 0.0, "TroponinT", "<0.01", "ug/L"),
        row("a", 1.0, "TroponinT", "0.3 H", "ug/L"),
        row("a", 1.0, "Lactate", "hemolyzed", "mmol/L"),
        row("a", 2.0, "TroponinT", "> 20", "ug/L"),
        row("a", 2.0, "Urine", "100", "mL"),
        row("a", 2.0, "Urine", "50", "mL"),
        row("a", 2.0, "Urine", "50", "mL"),
        row("a", 5.5, "HR", "90", "bpm"),
        row("a", 5.5, "mystery", "90", None),
    ]
    source = write_csv(tmp_path / "in.csv", rows)
    filled = fill(predictor, source, tmp_path / "out", format="csv")
    urine = [one for one in filled.rows if (one["time"], one["variable"]) == (2.0, "Urine")]
    assert [one["value"] for one in urine] == [200.0]
    assert_agrees(client, rows, filled, float)


def test_a_record_of_several_pieces(
    client: httpx.Client, predictor: Predictor, tmp_path: Path
) -> None:
    rows = [row("a", start + hour, "HR", 80.0 + hour) for start in (0.0, 900.0) for hour in (0, 3)]
    source = write_parquet(tmp_path / "in.parquet", rows)
    filled = fill(predictor, source, tmp_path / "out")
    assert {one["time"] for one in filled.rows} == {0.0, 1.0, 2.0, 3.0, 900.0, 901.0, 902.0, 903.0}
    assert_agrees(client, rows, filled, float)


def test_a_measured_value_stands_in_its_place(predictor: Predictor, tmp_path: Path) -> None:
    rows = [
        row("a", 0.0, "HR", 80),
        row("a", 1.0, "Temp", 98.6, "[degF]"),
        row("a", 2.0, "HR", 90),
    ]
    source = write_parquet(tmp_path / "in.parquet", rows)
    filled = {
        (one["time"], one["variable"]): one for one in fill(predictor, source, tmp_path / "o").rows
    }
    assert {key for key, one in filled.items() if one["origin"] == "observed"} == {
        (0.0, "HR"),
        (1.0, "Temp"),
        (2.0, "HR"),
    }
    temperature = filled[1.0, "Temp"]
    assert temperature["value"] == pytest.approx(37.0)
    assert temperature["standard_deviation"] is None
    assert temperature["q0.5"] is None
    assert temperature["status"] == "ok"
    assert temperature["model_version"].startswith("tiny 1 ")
