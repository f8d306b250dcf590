"""A subject that cannot be answered goes to quarantine with its reason, and harms no other."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from model.artifact import Artifact
from model.runtime.predictor import Prediction, Predictor, Request
from service.inference.errors import Fault
from service.jobs.filling import choosing
from service.jobs.filling.filling import PREDICTION_FAILED
from service.jobs.planning import chunks
from tests.service.jobs.tables import (
    Json,
    fill,
    instant,
    observations,
    row,
    write_csv,
    write_parquet,
)

GOOD = observations(3, seed=7, mean_observations=12)
BAD: dict[str, tuple[list[Json], Fault]] = {
    "unknown variable": ([row("x", 0.0, "nonsense", 1.0)], Fault.UNKNOWN_VARIABLE),
    "no variable": ([row("x", 0.0, "", 1.0)], Fault.UNKNOWN_VARIABLE),
    "unknown unit": ([row("x", 0.0, "HR", 80.0, "furlongs")], Fault.UNKNOWN_UNIT),
    "implausible": ([row("x", 0.0, "HR", 8000.0)], Fault.NO_OBSERVATIONS),
    "no value": ([row("x", 0.0, "HR", "")], Fault.NO_OBSERVATIONS),
    "no number": ([row("x", 0.0, "HR", "fast")], Fault.NO_OBSERVATIONS),
    "no time": ([row("x", "", "HR", 80.0)], Fault.MISSING_TIME),
    "far time": ([row("x", 2e6, "HR", 80.0)], Fault.TIME_OUT_OF_RANGE),
    "huge time": ([row("x", "-1e999", "HR", 80.0)], Fault.TIME_OUT_OF_RANGE),
    "no time of day": ([row("x", "2026-02-03", "HR", 80.0)], Fault.DATE_WITHOUT_TIME),
    "no such time": ([row("x", "yesterday", "HR", 80.0)], Fault.INVALID_TIME),
    "no such day": ([row("x", "2026-02-30T01:00:00Z", "HR", 80.0)], Fault.INVALID_TIME),
    "another kind": ([row("x", instant(1.0), "HR", 80.0)], Fault.MIXED_TIME_KINDS),
    "nothing to estimate": ([row("x", 0.0, "MechVent", 1.0)], Fault.EMPTY_QUERY),
}


def test_somebody_with_descriptors_alone_is_no_failure(
    predictor: Predictor, tmp_path: Path
) -> None:
    rows = [row("x", "", "age_years", 63), *GOOD]
    filled = fill(predictor, write_csv(tmp_path / "in.csv", rows), tmp_path / "a", format="csv")
    assert filled.quarantined == {}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_subject_is_quarantined_alone(
    predictor: Predictor, tmp_path: Path, name: str
) -> None:
    bad, fault = BAD[name]
    alone = fill(predictor, write_csv(tmp_path / "good.csv", GOOD), tmp_path / "a", format="csv")
    mixed = fill(
        predictor,
        write_csv(tmp_path / "mixed.csv", bad + GOOD),
        tmp_path / "b",
        format="csv",
    )
    assert mixed.quarantined == {"x": fault}
    assert mixed.parts == alone.parts
    assert mixed.plan.num_subjects == 4
    line = (tmp_path / "b" / "quarantine" / "000000.ndjson").read_text()
    assert "nonsense" not in line
    assert "furlongs" not in line


def test_a_chunk_may_hold_bad_subjects_alone(predictor: Predictor, tmp_path: Path) -> None:
    bad, fault = BAD["unknown variable"]
    source = write_csv(tmp_path / "mixed.csv", bad + GOOD)
    filled = fill(predictor, source, tmp_path / "b", format="csv", chunk_subjects=1)
    assert filled.quarantined == {"x": fault}
    assert len({one["subject_id"] for one in filled.rows}) == 3


def test_times_before_1800_and_without_offset(predictor: Predictor, tmp_path: Path) -> None:
    dated = [one | {"time": instant(one["time"] or 0.0)} for one in GOOD]
    bad = [
        row("x", "1799-12-31T23:00:00Z", "HR", 80.0),
        row("y", "2026-03-01T10:00:00", "HR", 80.0),
        row("z", 3.5, "HR", 80.0),
    ]
    source = write_csv(tmp_path / "in.csv", bad + dated)
    filled = fill(predictor, source, tmp_path / "out", format="csv")
    assert filled.quarantined == {
        "x": Fault.TIME_OUT_OF_RANGE,
        "y": Fault.TIME_WITHOUT_OFFSET,
        "z": Fault.MIXED_TIME_KINDS,
    }


def test_too_many_rows_and_times_are_refused(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "MAX_ROWS_PER_SUBJECT", 60)
    monkeypatch.setattr(choosing, "MAX_TIMES_PER_SUBJECT", 500)
    many = [row("many", number / 10, "HR", 80.0) for number in range(200)]
    # Two pieces of 300 times each.
    long = [
        row("long", hours, "HR", 80.0)
        for start in (0.0, 900.0)
        for hours in (start, start + 150, start + 299)
    ]
    good = [row("z", 0.0, "HR", 80.0)]
    source = write_parquet(tmp_path / "in.parquet", many + long + good)
    filled = fill(predictor, source, tmp_path / "out")
    assert filled.quarantined == {
        "many": Fault.TOO_MANY_OBSERVATIONS,
        "long": Fault.TOO_MANY_QUERY_TIMES,
    }
    assert [one["subject_id"] for one in filled.rows] == ["z"]


class Failing:
    """A predictor that cannot answer some series."""

    def __init__(self, predictor: Predictor, fails: Callable[[str], bool]) -> None:
        self._predictor = predictor
        self._fails = fails

    @property
    def artifact(self) -> Artifact:
        return self._predictor.artifact

    def predict(self, request: Request) -> Prediction:
        if any(map(self._fails, request.context.subject_ids)):
            raise ArithmeticError("no answer")
        prediction = self._predictor.predict(request)
        return replace(prediction, mean=np.array(prediction.mean))


def test_a_series_that_breaks_the_model_breaks_no_other(
    predictor: Predictor, tmp_path: Path
) -> None:
    source = write_parquet(tmp_path / "in.parquet", observations(9, seed=2))
    failing = Failing(predictor, lambda subject: subject in ("s003", "s008"))
    filled = fill(failing, source, tmp_path / "out")
    assert filled.quarantined == {"s003": PREDICTION_FAILED, "s008": PREDICTION_FAILED}
    answered = {one["subject_id"] for one in filled.rows}
    assert answered == {f"s{number:03d}" for number in (0, 1, 2, 4, 5, 6, 7)}


def test_rows_without_an_owner_are_counted(predictor: Predictor, tmp_path: Path) -> None:
    ownerless: list[dict[str, Any]] = [row("", 0.0, "HR", 80.0), row("", 1.0, "HR", 81.0)]
    source = write_csv(tmp_path / "in.csv", ownerless + GOOD)
    filled = fill(predictor, source, tmp_path / "out", format="csv")
    assert filled.plan.ignored == {"missing_subject": 2}
    assert filled.plan.num_rows == len(GOOD) + 2


UNUSABLE = [
    row("s000", 1.0, "nonsense", 1.0),
    row("s001", 1.0, "HR", 80.0, "furlongs"),
    row("s001", None, "HR", 80.0),
    row("s001", None, "age_years", 400.0),
]


def test_rows_that_cannot_be_used_are_not_used_and_counted(
    predictor: Predictor, tmp_path: Path
) -> None:
    alone = fill(predictor, write_parquet(tmp_path / "a.parquet", GOOD), tmp_path / "a")
    source = write_parquet(tmp_path / "b.parquet", UNUSABLE + GOOD)
    filled = fill(predictor, source, tmp_path / "b")
    assert filled.parts == alone.parts
    before = {(one.reason, one.variable): one.rows for one in alone.account.not_used}
    found = {(one.reason, one.variable): one.rows for one in filled.account.not_used}
    new = {key: rows - before.get(key, 0) for key, rows in found.items()}
    assert {key: rows for key, rows in new.items() if rows} == {
        ("implausible_value", "age_years"): 1,
        ("missing_time", "HR"): 1,
        ("unknown_unit", "HR"): 1,
        ("unknown_variable", ""): 1,
    }
    assert sum(part.num_dropped for part in filled.results) == filled.account.num_not_used


def test_strict_refuses_what_would_not_be_used(predictor: Predictor, tmp_path: Path) -> None:
    fine = [
        row("x", 0.0, "Urine", 100.0),
        row("x", 0.0, "Urine", 50.0),
        row("x", 1.0, "HR", 80.0, "bpm"),
        row("x", 2.0, "TroponinT", "<0.01"),
    ]
    bad = [row("y", 0.0, "HR", 80.0), row("y", 0.0, "HR", 90.0)]
    source = write_csv(tmp_path / "b.csv", UNUSABLE + GOOD + fine + bad)
    filled = fill(predictor, source, tmp_path / "b", format="csv", strict=True)
    refused = dict.fromkeys(("s000", "s001", "y"), Fault.REFUSED_BY_STRICT)
    assert filled.quarantined == refused
    assert {one["subject_id"] for one in filled.rows} == {"s002", "x"}
    lines = (tmp_path / "b" / "quarantine" / "000000.ndjson").read_text().splitlines()
    assert "conflict_averaged: 1" in lines[-1]


def test_statics_that_cannot_be_used_are_as_good_as_absent(
    predictor: Predictor, tmp_path: Path
) -> None:
    plain = [one for one in GOOD if one["time"] is not None]
    statics = [
        row("s000", None, "age_years", 400.0),
        row("s000", None, "height_cm", 17.0, "furlongs"),
        row("s001", None, "icu_type", 1.0),
        row("s001", None, "icu_type", 2.0),
        row("s002", None, "sex", 7.0),
    ]
    alone = fill(predictor, write_parquet(tmp_path / "a.parquet", plain), tmp_path / "a")
    other = fill(predictor, write_parquet(tmp_path / "b.parquet", plain + statics), tmp_path / "b")
    assert other.parts == alone.parts
    known = [row("s002", None, "sex", 1.0), row("s002", None, "sex", 1.0)]
    named = [{**one, "value": None, "text_value": "male"} for one in known]
    number = fill(predictor, write_parquet(tmp_path / "c.parquet", plain + known), tmp_path / "c")
    texts = [{**one, "text_value": None} for one in plain] + named
    path = write_parquet(tmp_path / "d.parquet", texts, text_value=pa.string())
    assert fill(predictor, path, tmp_path / "d").parts == number.parts
    assert number.parts != alone.parts


def test_quarantine_lines_are_json(predictor: Predictor, tmp_path: Path) -> None:
    subject = 'q"\\\n é'
    rows = [*GOOD, row(subject, 0.0, "nonsense", 1.0)]
    source = write_parquet(tmp_path / "in.parquet", rows)
    fill(predictor, source, tmp_path / "out")
    lines = (tmp_path / "out" / "quarantine" / "000000.ndjson").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert [one["subject_id"] for one in found] == [subject]
    assert set(found[0]) == {"subject_id", "code", "detail"}
