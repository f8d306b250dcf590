"""A long record is cut at its silences; its subject is answered as a whole, or not at all."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.artifact import Artifact
from model.runtime.predictor import Prediction, Predictor, Request
from service.inference.errors import Fault
from service.jobs.filling.filling import PREDICTION_FAILED
from tests.service.jobs.tables import Filled, Json, fill, row, write_csv, write_parquet

LATER = 2_400.0  # hours: a hundred days
STAY = [row("a", 0.0, "HR", 80.0), row("a", 2.0, "MAP", 70.0), row("a", 5.0, "HR", 90.0)]
AGAIN = [row("a", LATER, "HR", 100.0), row("a", LATER + 3, "Temp", 38.0)]
HOURLY = {"kind": "grid", "minutes": 60, "forecast_hours": 2}


def points(filled: Filled, subject: str = "a") -> list[float]:
    return sorted({one["time"] for one in filled.rows if one["subject_id"] == subject})


def test_each_piece_has_a_grid_and_the_last_one_a_forecast(
    predictor: Predictor, tmp_path: Path
) -> None:
    source = write_parquet(tmp_path / "in.parquet", STAY + AGAIN)
    filled = fill(predictor, source, tmp_path / "o", fill=HOURLY)
    assert points(filled) == [*range(6), *(LATER + hour for hour in range(6))]
    forecast = {one["time"] for one in filled.rows if one["origin"] == "forecast"}
    assert forecast == {LATER + 4, LATER + 5}
    # What was observed of the subject is asked in every piece.
    for start in (0.0, LATER):
        names = {one["variable"] for one in filled.rows if one["time"] == start}
        assert names == {"HR", "MAP", "Temp"}


def test_a_piece_is_answered_as_a_record_of_its_own(predictor: Predictor, tmp_path: Path) -> None:
    asked: Json = {"variables": ["HR", "MAP", "Temp"], "fill": {"kind": "own_times"}}
    whole = fill(
        predictor, write_parquet(tmp_path / "a.parquet", STAY + AGAIN), tmp_path / "a", **asked
    )
    alone = [
        fill(
            predictor,
            write_parquet(tmp_path / f"{number}.parquet", rows),
            tmp_path / str(number),
            **asked,
        ).rows
        for number, rows in enumerate((STAY, AGAIN))
    ]
    for found, expected in zip(whole.rows, [*alone[0], *alone[1]], strict=True):
        assert (found["time"], found["variable"]) == (expected["time"], expected["variable"])
        assert found["value"] == pytest.approx(expected["value"], rel=1e-5)


def test_query_times_belong_to_the_nearest_piece(predictor: Predictor, tmp_path: Path) -> None:
    source = write_parquet(tmp_path / "in.parquet", STAY + AGAIN)
    rows = [{"subject_id": "a", "time": time} for time in (6.0, LATER - 1, LATER + 1)]
    asked: Json = {"variables": ["HR"], "fill": {"kind": "times_table"}, "max_outside_hours": 24}
    times = write_csv(tmp_path / "times.csv", rows)
    csv = write_csv(tmp_path / "in.csv", STAY + AGAIN)
    filled = fill(predictor, csv, tmp_path / "a", times=times, format="csv", **asked)
    assert [(one["time"], one["origin"]) for one in filled.rows] == [
        (6.0, "forecast"),
        (LATER - 1, "imputed"),
        (LATER + 1, "imputed"),
    ]
    far = write_parquet(
        tmp_path / "far.parquet", [{"subject_id": "a", "time": 1_000.0}], variable=None, value=None
    )
    refused = fill(predictor, source, tmp_path / "b", times=far, **asked)
    assert refused.quarantined == {"a": Fault.QUERY_TOO_FAR}


def test_dates_may_be_shifted_anywhere_and_lie_far_apart(
    predictor: Predictor, tmp_path: Path
) -> None:
    rows = [
        row("a", "1801-03-01T10:00:00Z", "HR", 80.0),
        row("a", "2299-03-01T10:00:00Z", "HR", 90.0),
    ]
    source = write_csv(tmp_path / "in.csv", rows)
    filled = fill(predictor, source, tmp_path / "o", format="csv")
    assert [(one["time"].year, one["value"]) for one in filled.rows] == [(1801, 80), (2299, 90)]


def test_pieces_that_lie_close_together_share_no_time(predictor: Predictor, tmp_path: Path) -> None:
    # 500 days without a silence of a week are cut in their middle.
    hours = np.arange(0.0, 12_000.0, 100.0).tolist()
    source = write_parquet(tmp_path / "in.parquet", [row("a", hour, "HR", 80.0) for hour in hours])
    filled = fill(predictor, source, tmp_path / "o", fill={"kind": "grid", "minutes": 1440})
    found = [one["time"] for one in filled.rows]
    assert found == sorted(set(found))
    assert max(np.diff(found)) <= 5 * 24.0


class FailsLater:
    """A predictor that cannot answer pieces without a blood pressure."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    @property
    def artifact(self) -> Artifact:
        return self._predictor.artifact

    def predict(self, request: Request) -> Prediction:
        channel = self.artifact.catalogue.channel("MAP")
        for series in request.context:
            if channel not in series.channels:
                raise ArithmeticError("no answer")
        prediction = self._predictor.predict(request)
        return replace(prediction, mean=np.array(prediction.mean))


def test_a_subject_of_whom_one_piece_fails_has_no_answer(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.jobs.filling.filling._BATCH_SIZE", 1)
    others = [one | {"subject_id": name} for name in ("A", "b") for one in STAY]
    source = write_parquet(tmp_path / "in.parquet", STAY + AGAIN + others)
    filled = fill(FailsLater(predictor), source, tmp_path / "o", fill=HOURLY)
    assert filled.quarantined == {"a": PREDICTION_FAILED}
    assert {one["subject_id"] for one in filled.rows} == {"A", "b"}
