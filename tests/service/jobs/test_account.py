"""Nothing is silent: what was not used, what was suspected, and on which side a limit lies."""

from pathlib import Path

import pytest

from model.runtime.predictor import Predictor
from service.jobs.account import Account, NotUsed
from tests.service.jobs.tables import (
    Filled,
    Json,
    fill,
    instant,
    row,
    write_csv,
    write_ndjson,
    write_parquet,
)

OWN: Json = {"fill": {"kind": "own_times"}}


def remarks(filled: Filled) -> dict[tuple[str, str, str], int]:
    return {(one.code, one.variable, one.unit): one.rows for one in filled.account.remarks}


def glucose(number: int, value: float) -> Json:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2345-7"}]},
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": instant(float(number)),
        "valueQuantity": {"value": value},
    }


def test_glucose_without_a_unit_is_suspected_and_can_be_accepted(
    predictor: Predictor, tmp_path: Path
) -> None:
    source = write_ndjson(tmp_path / "in.ndjson", [glucose(0, 14.2), glucose(1, 11.0)])
    filled = fill(predictor, source, tmp_path / "a", format="fhir", **OWN)
    assert remarks(filled)["unit_suspected", "Glucose", "mmol/L"] == 2
    (message,) = [one.message for one in filled.account.remarks if one.code == "unit_suspected"]
    assert "mmol/L" in message
    assert "14.2" not in message
    accepted = fill(
        predictor,
        source,
        tmp_path / "b",
        format="fhir",
        accepted_units={"Glucose": "mmol/L"},
        **OWN,
    )
    assert remarks(accepted) == {("unit_accepted", "Glucose", "mmol/L"): 2}
    assert [one["value"] for one in accepted.rows] == pytest.approx([255.8, 198.2], rel=1e-3)


@pytest.mark.parametrize("chunk_subjects", [1, 3, 100])
def test_what_was_accepted_does_not_depend_on_chunks(
    predictor: Predictor, tmp_path: Path, chunk_subjects: int
) -> None:
    # Of the second subject alone nobody would suspect anything.
    rows = [row("a", float(hour), "Temp", 98.0 + hour / 10, "Cel") for hour in range(6)]
    rows += [row("b", 0.0, "Temp", 37.0, "Cel")]
    filled = fill(
        predictor,
        write_parquet(tmp_path / "in.parquet", rows),
        tmp_path / "o",
        chunk_subjects=chunk_subjects,
        accepted_units={"Temp": "[degF]"},
        **OWN,
    )
    assert {one["subject_id"] for one in filled.rows} == {"a"}
    assert sum(remarks(filled)[key] for key in remarks(filled) if key[0] == "unit_accepted") == 7


def test_flags_and_rows_of_nobody_are_counted_while_planning(
    predictor: Predictor, tmp_path: Path
) -> None:
    rows = [row("a", 0.0, "HR", "80 H"), row("", 0.0, "HR", "81")]
    source = write_csv(tmp_path / "in.csv", rows)
    filled = fill(predictor, source, tmp_path / "o", format="csv", **OWN)
    assert filled.plan.remarks == {"flag_ignored": 1}
    assert filled.account.not_used == (NotUsed("missing_subject", "", 1),)
    assert remarks(filled)["flag_ignored", "", ""] == 1


def test_unknown_variables_of_many_subjects_are_named(predictor: Predictor, tmp_path: Path) -> None:
    rows = [row(f"s{number}", 0.0, "HR", 80.0) for number in range(6)]
    rows += [row(f"s{number}", 1.0, "EtCO2-X", 35.0) for number in range(6)]
    rows += [row("s1", 1.0, "Smith, John", 35.0), row("s2", 1.0, "", 1.0)]
    filled = fill(predictor, write_parquet(tmp_path / "in.parquet", rows), tmp_path / "o", **OWN)
    assert filled.account.not_used == (
        NotUsed("unknown_variable", "", 2),
        NotUsed("unknown_variable", "EtCO2-X", 6),
    )


def test_an_account_comes_back_from_its_text() -> None:
    account = Account.of_planning({"missing_subject": 2}, {"flag_ignored": 3})
    assert Account.of_text(account.text()) == account
    assert Account.of_text(None) == Account()
    assert account.num_not_used == 2


LIMITS = [
    row("a", 0.0, "TroponinT", "<0.01", "ug/L"),
    row("a", 1.0, "TroponinT", "0.3", "ug/L"),
    row("a", 2.0, "TroponinT", ">20", "ug/L"),
    row("a", 2.0, "HR", "90", "/min"),
]


def test_a_limit_stays_one(predictor: Predictor, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", LIMITS)
    filled = fill(predictor, source, tmp_path / "a", format="csv", **OWN)
    found = {
        one["time"]: (one["origin"], one["comparator"], one["value"])
        for one in filled.rows
        if one["variable"] == "TroponinT"
    }
    assert found == {
        0.0: ("observed", "<=", pytest.approx(0.01)),
        1.0: ("observed", None, pytest.approx(0.3)),
        2.0: ("observed", ">=", pytest.approx(20.0)),
    }
    assert {one["comparator"] for one in filled.rows if one["variable"] == "HR"} == {None}
    wide = fill(
        predictor, source, tmp_path / "b", format="csv", output={"shape": "wide"}, **OWN
    ).rows
    assert [one["TroponinT_comparator"] for one in wide] == ["<=", None, ">="]
    assert [one["HR_comparator"] for one in wide] == [None, None, None]
