# ruff: noqa: E501  a table has a line for each case
"""What only FHIR can say, at both doors that read it: revisions, meaning, periods, panels, patients."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from model.data.catalogue import shipped_catalogue
from model.data.variables import Catalogue
from tests.catalogues import CHALLENGE
from tests.doors.doors import Outcome, through_import, through_job
from tests.doors.records import LOINC, UCUM, Json

DAY: Final = "2026-03-01T08:00:00Z"
SHIPPED: Final = shipped_catalogue()


def observed(code: str, value: float, unit: str | None = None, /, **changes: Any) -> Json:
    """An Observation of patient 1; a change to None leaves the field out."""
    quantity: Json = {"value": value}
    if unit is not None:
        quantity |= {"unit": unit, "system": UCUM, "code": unit}
    fields: Json = {
        "resourceType": "Observation",
        "id": f"o{code}-{value}",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": DAY,
        "valueQuantity": quantity,
    }
    return {name: one for name, one in (fields | changes).items() if one is not None}


def coded(*codes: str) -> Json:
    return {"coding": [{"system": LOINC, "code": code} for code in codes]}


def panel(*parts: tuple[str, float]) -> Json:
    """Return a blood pressure as US Core has it."""
    components = [
        {"code": coded(code), "valueQuantity": {"value": value, "code": "mm[Hg]", "system": UCUM}}
        for code, value in parts
    ]
    return observed("85354-9", 0, valueQuantity=None, component=components)


RATE: Final = observed("8867-4", 80.0, "/min", id="rate")


@dataclass(frozen=True)
class Case:
    """Resources beside a good heart rate, and what becomes of them."""

    kind: str
    resources: tuple[Json, ...]
    used: tuple[str, ...] = ()
    reasons: dict[str, int] = field(default_factory=dict)
    suspected: frozenset[str] = frozenset()
    statics: dict[str, float] = field(default_factory=dict)
    catalogue: Catalogue = CHALLENGE


def _glucose(value: float, version: str, **changes: Any) -> Json:
    return observed("2345-7", value, "mg/dL", id="g", meta={"versionId": version}, **changes)


def _sodium(status: str, version: str) -> Json:
    return observed("2951-2", 190.0, "mmol/L", id="s", status=status, meta={"versionId": version})


CASES: Final = [
    Case(
        "a correction",
        (_glucose(540.0, "1"), _glucose(54.0, "2", status="corrected")),
        ("Glucose = 54",),
        {"superseded": 1},
    ),
    Case(
        "a correction that comes first",
        (_glucose(54.0, "10"), _glucose(540.0, "9")),
        ("Glucose = 54",),
        {"superseded": 1},
    ),
    Case("entered in error", (_sodium("final", "1"), _sodium("entered-in-error", "2")), (), {"withdrawn": 2}),
    Case(
        "a limit",
        (observed("6598-7", 0, valueQuantity={"value": 0.01, "comparator": "<", "unit": "ug/L"}),),
        ("TroponinT <= 0.01",),
    ),
    Case("a limit in text", (observed("6598-7", 0, valueQuantity=None, valueString="<0.01"),), ("TroponinT <= 0.01",)),
    Case("a modifier", (observed("2823-3", 4.0, "mmol/L", modifierExtension=[{"url": "x"}]),), (), {"modified_meaning": 1}),
    Case("of a fetus", (observed("8867-4", 150.0, "/min", focus=[{"reference": "Patient/f"}]),), (), {"other_focus": 1}),
    Case("no data beside a value", (observed("2823-3", 4.0, "mmol/L", dataAbsentReason=coded("error")),), (), {"missing_value": 1}),
    Case("a comparator of nobody", (observed("2823-3", 0, valueQuantity={"value": 4.0, "comparator": "ad", "unit": "mmol/L"}),), (), {"modified_meaning": 1}),
    Case(
        "a unit in words beside UCUM",
        (observed("8310-5", 0, valueQuantity={"value": 98.6, "unit": "degrees F", "code": "[degF]", "system": UCUM}),),
        ("Temp = 37",),
    ),
    Case("no unit", (observed("2345-7", 14.2),), ("Glucose = 14.2",), {}, frozenset({"unit_suspected"})),
    Case("issued alone", (observed("2823-3", 4.0, "mmol/L", effectiveDateTime=None, issued=DAY),), (), {"issued_only": 1}),
    Case("a day", (observed("2823-3", 4.0, "mmol/L", effectiveDateTime="2026-03-01"),), (), {"date_without_time": 1}),
    Case("no offset", (observed("2823-3", 4.0, "mmol/L", effectiveDateTime="2026-03-01T08:00:00"), observed("8867-4", 81.0, "/min", effectiveDateTime="2026-03-01T09:00:00Z")), ("HR = 81",), {"time_without_offset": 1}),
    Case(
        "a period that is not over",
        (observed("9187-6", 1500.0, "mL", effectiveDateTime=None, effectivePeriod={"start": DAY}),),
        (),
        {"period_without_end": 1},
    ),
    Case("a group", (observed("2823-3", 4.0, "mmol/L", subject={"reference": "Group/1"}),), (), {"subject_not_a_patient": 1}),
    Case("another resource", ({"resourceType": "Encounter", "id": "e"},), (), {"other_resource": 1}),
    Case("a panel is a cuff's", (panel(("8480-6", 120.0), ("8462-4", 80.0)),), ("NIDiasABP = 80", "NISysABP = 120")),
    Case("invasive pressures", (panel(("76215-3", 121.0), ("76213-8", 81.0), ("76214-6", 95.0)),), ("DiasABP = 81", "MAP = 95", "SysABP = 121")),
    Case("pulse oximetry", (observed("59408-5", 97.0, "%"),), ("SpO2 = 97",), catalogue=SHIPPED),
    Case("pulse oximetry is no arterial saturation", (observed("59408-5", 97.0, "%"),), (), {"unknown_variable": 1}),
    Case("pulse oximetry of US Core", (observed("59408-5", 97.0, "%", code=coded("2708-6", "59408-5")),), ("SpO2 = 97",), catalogue=SHIPPED),
    Case("the same without pulse oximetry", (observed("59408-5", 97.0, "%", code=coded("59408-5", "2708-6")),), (), {"unknown_variable": 1}),
    Case("arterial saturation", (observed("2708-6", 97.0, "%"),), ("SaO2 = 97",)),
    Case(
        "a patient",
        ({"resourceType": "Patient", "id": "1", "birthDate": "1976-03-01", "gender": "male"},),
        (),
        {},
        statics={"age_years": 50.0, "sex": 1.0},
    ),
]  # fmt: skip


def _write(folder: Path, way: str, resources: list[Json]) -> Path:
    folder.mkdir(parents=True)
    if way == "fhir":
        path = folder / "in.ndjson"
        path.write_text("".join(json.dumps(one) + "\n" for one in resources))
        return path
    path = folder / "in.json"
    entries = [{"resource": one} for one in resources]
    path.write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    return path


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.kind)
def test_fhir_means_the_same_at_both_doors(one: Case, tmp_path: Path) -> None:
    used = tuple(sorted(("HR = 80", *one.used)))
    expected = Outcome(used, one.reasons, one.suspected, one.statics)
    for way in ("fhir", "bundle"):
        source = _write(tmp_path / way, way, [RATE, *one.resources])
        for number, door in enumerate((through_import, through_job)):
            found = door(way, source, tmp_path / way / str(number), one.catalogue)
            statics = {name: round(value, 1) for name, value in found.statics.items()}
            assert Outcome(found.used, found.reasons, found.suspected, statics) == expected


def test_an_amount_is_known_when_its_period_ends(tmp_path: Path) -> None:
    period = {"start": DAY, "end": "2026-03-02T08:00:00Z"}
    urine = observed("9187-6", 1500.0, "mL", effectiveDateTime=None, effectivePeriod=period)
    source = _write(tmp_path / "in", "fhir", [RATE, urine])
    for number, door in enumerate((through_import, through_job)):
        found = door("fhir", source, tmp_path / str(number))
        assert found.used == ("HR = 80", "Urine = 1500")
        assert found.last_hour == 24.0


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/1",
        "https://host/fhir/Patient/1",
        "Patient/1/_history/3",
        "urn:uuid:1",
        " Patient/1",
    ],
)
def test_a_reference_names_its_patient_in_every_spelling(tmp_path: Path, reference: str) -> None:
    other = observed("2823-3", 4.0, "mmol/L", subject={"reference": reference})
    source = _write(tmp_path / "in", "fhir", [RATE, other])
    for number, door in enumerate((through_import, through_job)):
        assert door("fhir", source, tmp_path / str(number)) == Outcome(("HR = 80", "K = 4"))
