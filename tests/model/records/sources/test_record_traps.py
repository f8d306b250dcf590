"""Traps of FHIR, MEDS and OMOP from public bug reports, from the file to the observations."""

import json
from collections import Counter
from datetime import datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.data.catalogue import shipped_catalogue
from model.data.reasons import Reason
from model.records.labels import Labels
from model.records.reading import Records, read_records
from model.records.row_columns import RowColumns
from model.records.sources.opening import open_source
from model.records.sources.options import SourceFormat, SourceOptions
from tests.model.records.sources.fhir_cases import coded, observation, quantity

CATALOGUE = shipped_catalogue()
Told = list[tuple[str, float, float]]


def _records(path: Path, source_format: SourceFormat) -> tuple[Records, Counter[str]]:
    batches = list(open_source(path, SourceOptions(format=source_format), CATALOGUE))
    ignored: Counter[str] = Counter()
    for one in batches:
        ignored.update(one.ignored)
    table = pa.Table.from_batches([one.batch for one in batches])
    subjects = Labels.of(table.column("subject_id"))
    rows = RowColumns.of(table, subjects.codes, len(subjects.names))
    return read_records(rows, subjects.names, CATALOGUE), ignored


def _told(records: Records) -> Told:
    """Return (variable, hours, value) of all observations."""
    cohort = records.cohort
    return sorted(
        (CATALOGUE[channel].name, hours, value)
        for channel, hours, value in zip(
            cohort.channels.tolist(),
            cohort.times_hours.tolist(),
            cohort.values.tolist(),
            strict=True,
        )
    )


def _of_fhir(folder: Path, *resources: dict[str, Any]) -> Told:
    file = folder / "resources.ndjson"
    file.write_text("\n".join(json.dumps(one) for one in resources))
    return _told(_records(file, SourceFormat.FHIR)[0])


def _fates(records: Records) -> dict[str, int]:
    return dict(Counter(Reason(fate).code for fate in records.fates.tolist()))


def _glucose(value: float, **changes: Any) -> dict[str, Any]:
    return observation(
        id="glucose", code=coded("2345-7"), valueQuantity=quantity(value, "mg/dL"), **changes
    )


def test_a_correction_replaces_in_every_order(tmp_path: Path) -> None:
    versions = [
        _glucose(540.0, meta={"versionId": "1"}),
        _glucose(5400.0, meta={"versionId": "2"}),
        _glucose(54.0, meta={"versionId": "10"}, status="corrected"),
    ]
    for one in permutations(versions):
        assert _of_fhir(tmp_path, *one) == [("Glucose", 0.0, 54.0)]
    assert _of_fhir(tmp_path, _glucose(54.0, status="corrected"), _glucose(540.0)) == [
        ("Glucose", 0.0, 54.0)
    ]


def test_what_was_entered_in_error_is_gone_in_every_order(tmp_path: Path) -> None:
    resources = [
        observation(id="rate"),
        _glucose(540.0, meta={"versionId": "1"}),
        _glucose(540.0, meta={"versionId": "2"}, status="entered-in-error"),
    ]
    for one in permutations(resources):
        assert _of_fhir(tmp_path, *one) == [("HR", 0.0, 92.0)]


def test_a_component_that_the_correction_leaves_out_is_gone(tmp_path: Path) -> None:
    def panel(version: str, *values: tuple[str, float]) -> dict[str, Any]:
        parts = [
            {"code": coded(code), "valueQuantity": quantity(value, "mm[Hg]")}
            for code, value in values
        ]
        return observation(
            code=coded("85354-9"), valueQuantity=None, component=parts, meta={"versionId": version}
        )

    first = panel("1", ("8480-6", 120.0), ("8462-4", 118.0))
    second = panel("2", ("8480-6", 122.0))
    for one in permutations((first, second)):
        assert _of_fhir(tmp_path, *one) == [("NISysABP", 0.0, 122.0)]


def test_a_pressure_of_no_stated_route_is_a_cuff_s(tmp_path: Path) -> None:
    parts = [
        {"code": coded(code), "valueQuantity": quantity(value, "mm[Hg]")}
        for code, value in (("8480-6", 120.0), ("8462-4", 80.0), ("76215-3", 130.0))
    ]
    panel = observation(code=coded("85354-9"), valueQuantity=None, component=parts)
    saturation = observation(id="o2", code=coded("59408-5"), valueQuantity=quantity(97, "%"))
    assert _of_fhir(tmp_path, panel, saturation) == [
        ("NIDiasABP", 0.0, 80.0),
        ("NISysABP", 0.0, 120.0),
        ("SpO2", 0.0, 97.0),
        ("SysABP", 0.0, 130.0),
    ]


def test_urine_of_a_day_is_known_at_its_end(tmp_path: Path) -> None:
    period = {"start": "2026-03-01T08:00:00Z", "end": "2026-03-02T08:00:00Z"}
    urine = observation(
        id="u",
        code=coded("9187-6"),
        effectiveDateTime=None,
        effectivePeriod=period,
        valueQuantity=quantity(1500, "mL"),
    )
    rate = observation(effectiveDateTime="2026-03-01T08:00:00Z")
    assert _of_fhir(tmp_path, urine, rate) == [("HR", 0.0, 92.0), ("Urine", 24.0, 1500.0)]


def test_an_amount_that_two_files_hold_counts_once(tmp_path: Path) -> None:
    def urine(name: str, value: float) -> dict[str, Any]:
        return observation(id=name, code=coded("9187-6"), valueQuantity=quantity(value, "mL"))

    told = [urine("a", 100.0), urine("b", 50.0), urine("c", 50.0)]
    assert _of_fhir(tmp_path, *told, *told) == [("Urine", 0.0, 200.0)]


def test_elements_that_change_the_meaning_leave_nothing(tmp_path: Path) -> None:
    changed: list[dict[str, Any]] = [
        {"modifierExtension": [{"url": "x"}]},
        {"focus": [{"reference": "Patient/fetus"}]},
        {"dataAbsentReason": coded("error")},
    ]
    others = [observation(id=str(n), **change) for n, change in enumerate(changed)]
    rate = observation(valueQuantity=quantity(80.0))
    assert _of_fhir(tmp_path, *others, rate) == [("HR", 0.0, 80.0)]


def test_a_limit_is_no_measurement(tmp_path: Path) -> None:
    below = {"value": 0.01, "unit": "ug/L", "comparator": "<"}
    file = tmp_path / "one.json"
    file.write_text(json.dumps(observation(code=coded("6598-7"), valueQuantity=below)))
    records, _ = _records(file, SourceFormat.FHIR)
    assert (records.cohort.values.tolist(), records.cohort.censoring.tolist()) == ([0.01], [-1])


def test_a_verbal_part_that_nobody_could_test_makes_no_total(tmp_path: Path) -> None:
    def parts(hour: int, text: str) -> list[dict[str, Any]]:
        told = ((220739, 4.0, "To Speech"), (223900, 1.0, text), (223901, 6.0, "Obeys Commands"))
        return [
            {
                "subject_id": 1,
                "time": datetime(2026, 3, 1, hour),  # noqa: DTZ001
                "code": f"LAB//{item}//UNK",
                "numeric_value": value,
                "text_value": words,
            }
            for item, value, words in told
        ]

    rows = parts(10, "No Response-ETT") + parts(11, "No Response")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "0.parquet")
    records, _ = _records(tmp_path, SourceFormat.MEDS)
    totals = [one for one in _told(records) if one[0] == "GCS"]
    assert [value for _, _, value in totals] == [11.0]
    assert _fates(records).get("not_testable") == 1


def test_parts_add_up_by_the_names_of_the_catalogue(tmp_path: Path) -> None:
    columns = "subject_id,time,variable,value\n"
    rows = [f"1,0.5,{name},{value}" for name, value in (("GCSEye", 4), ("GCS motor", 6))]
    (tmp_path / "a.csv").write_text(columns + "\n".join([*rows, "1,0.5,GCSVerbal,5"]))
    records, _ = _records(tmp_path / "a.csv", SourceFormat.CSV)
    assert ("GCS", 0.0, 15.0) in [(name, 0.0, value) for name, _, value in _told(records)]


def test_an_age_comes_from_the_birth_in_every_format(tmp_path: Path) -> None:
    patient = {"resourceType": "Patient", "id": "1", "birthDate": "1976-03-01", "gender": "male"}
    file = tmp_path / "all.ndjson"
    file.write_text(json.dumps(patient) + "\n" + json.dumps(observation()))
    records, _ = _records(file, SourceFormat.FHIR)
    age, sex = records.cohort.statics[0][:2]
    assert age == pytest.approx(50.0, abs=0.01)
    assert CATALOGUE.statics[1].categories[int(sex)] == "male"


# Every bundle and the bulk export: rows by what became of them, and resources that are no rows.
_SYNTHEA = {
    "Observation.ndjson.gz": ({"kept": 18_683, "unknown_variable": 2_465}, {}),
    "Berneice_Little": ({"kept": 94, "unknown_variable": 15}, {"other_resource": 81}),
    "Brent_Beer": ({"kept": 89, "unknown_variable": 8}, {"other_resource": 96}),
    "Fabian_Murray": ({"kept": 73, "unknown_variable": 10}, {"other_resource": 81}),
    "George_Kutch": ({"kept": 75, "unknown_variable": 11}, {"other_resource": 59}),
    "Stewart_Stanton": ({"kept": 358, "unknown_variable": 72}, {"other_resource": 219}),
    "Truman_Wiegand": ({"kept": 540, "unknown_variable": 94}, {"other_resource": 294}),
}


@pytest.mark.parametrize("name", _SYNTHEA)
def test_synthea_is_read_to_the_last_resource(data_root: Path, name: str) -> None:
    found = [
        path for path in (data_root / "fhir-synthea-r4").rglob("*") if path.name.startswith(name)
    ]
    if not found:
        pytest.skip("no Synthea bundles; set LACUNA_DATA to the folder that holds them")
    records, ignored = _records(found[0], SourceFormat.FHIR)
    fates = _fates(records)
    expected, others = _SYNTHEA[name]
    assert ignored == others
    # A catalogue that grows may know more of them, and its ranges may move.
    assert fates["kept"] >= expected["kept"] * 0.95
    assert fates["unknown_variable"] <= expected["unknown_variable"]
    used = {"kept", "duplicate", "conflict_averaged", "unit_suspected", "implausible_value"}
    assert set(fates) <= used | {"unknown_variable"}
    assert np.isfinite(records.cohort.values).all()
