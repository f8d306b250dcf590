"""One record gives one table of variables, whatever it is written in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from model.records.sources.options import SourceFormat, SourceOptions
from training.catalogue.from_source import propose_from

RECORD = [
    (subject, hour, 60.0 + subject + 3 * hour, round(3.5 + 0.1 * subject + 0.07 * hour**2, 1))
    for subject in range(8)
    for hour in range(6)
]


def moment(hour: int) -> str:
    return f"2024-01-01T1{hour}:00:00Z"


def as_wide(folder: Path) -> Path:
    rows = [(subject, moment(hour), rate, k) for subject, hour, rate, k in RECORD]
    table = pd.DataFrame(rows, columns=["stay_id", "charttime", "HR [/min]", "Potassium [mmol/L]"])
    table.to_csv(folder / "a.csv", index=False)
    return folder / "a.csv"


def as_meds(folder: Path) -> Path:
    rows: list[Any] = []
    for subject, hour, rate, k in RECORD:
        rows += [(subject, moment(hour), "LOINC//8867-4///min", rate)]
        rows += [(subject, moment(hour), "LOINC//2823-3//mmol/L", k)]
    table = pd.DataFrame(rows, columns=["subject_id", "time", "code", "numeric_value"])
    table["time"] = pd.to_datetime(table["time"], utc=True).dt.tz_localize(None)
    (folder / "data").mkdir()
    table.to_parquet(folder / "data" / "0.parquet", index=False)
    return folder


def as_fhir(folder: Path) -> Path:
    lines = []
    for place, (subject, hour, rate, k) in enumerate(RECORD):
        for code, unit, value in (("8867-4", "/min", rate), ("2823-3", "mmol/L", k)):
            lines.append(
                {
                    "resourceType": "Observation",
                    "id": f"{code}-{place}",
                    "status": "final",
                    "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
                    "subject": {"reference": f"Patient/{subject}"},
                    "effectiveDateTime": moment(hour),
                    "valueQuantity": {
                        "value": value,
                        "unit": unit,
                        "system": "http://unitsofmeasure.org",
                        "code": unit,
                    },
                }
            )
    (folder / "Observation.ndjson").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return folder


def as_omop(folder: Path) -> Path:
    rows: list[Any] = []
    for subject, hour, rate, k in RECORD:
        for concept, unit, text, value in (
            (3027018, 8541, "/min", rate),
            (3023103, 8753, "mmol/L", k),
        ):
            rows.append(
                {
                    "measurement_id": len(rows) + 1,
                    "person_id": subject,
                    "measurement_concept_id": concept,
                    "measurement_date": "2024-01-01",
                    "measurement_datetime": moment(hour).replace("T", " ").rstrip("Z"),
                    "operator_concept_id": 0,
                    "value_as_number": value,
                    "value_as_concept_id": 0,
                    "unit_concept_id": unit,
                    "measurement_source_value": "x",
                    "unit_source_value": text,
                    "value_source_value": "",
                }
            )
    pd.DataFrame(rows).to_csv(folder / "measurement.csv", index=False)
    return folder


@pytest.mark.parametrize(
    ("kind", "write"),
    [
        (SourceFormat.MEDS, as_meds),
        (SourceFormat.FHIR, as_fhir),
        (SourceFormat.OMOP, as_omop),
    ],
)
def test_every_source_gives_the_same_table(
    tmp_path: Path, kind: SourceFormat, write: Callable[[Path], Path]
) -> None:
    wide = propose_from(as_wide(tmp_path), SourceOptions(format=SourceFormat.CSV)).proposal
    folder = tmp_path / kind.value
    folder.mkdir()
    found = propose_from(write(folder), SourceOptions(format=kind)).proposal
    assert [one.name for one in wide.catalogue] == ["HR", "K"]
    assert found.catalogue == wide.catalogue
    assert [entry.seen.quartiles for entry in found.entries] == [
        entry.seen.quartiles for entry in wide.entries
    ]
