"""The formats of records through `open_source` and the reading: one record, one meaning."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.data.catalogue import shipped_catalogue
from model.records.sources.opening import open_source
from model.records.sources.options import SourceFormat, SourceOptions
from tests.model.records.sources.fhir_cases import coded, gather, quantity

# Heart rate, sodium below a limit, a cuff's pressure: subject 7 at 10:00 and 11:00 UTC.
_VALUES = [
    ("8867-4", 3027018, "LAB//220045//bpm", 92.0, "=", "/min", 8541, 10),
    ("2951-2", 3019550, "LAB//50983//mEq/L", 120.0, "<", "mmol/L", 8753, 10),
    ("76534-7", 21492239, "LAB//220179//mmHg", 118.0, "=", "mm[Hg]", 8876, 11),
]
_OPERATORS = {"=": 4172703, "<": 4171756}


def _write_fhir(folder: Path) -> None:
    lines = []
    for number, (code, _, _, value, sign, unit, _, hour) in enumerate(_VALUES):
        comparator = {} if sign == "=" else {"comparator": sign}
        one = {
            "resourceType": "Observation",
            "id": str(number),
            "status": "final",
            "code": coded(code),
            "subject": {"reference": "Patient/7"},
            "effectiveDateTime": f"2026-03-01T{hour}:00:00Z",
            "valueQuantity": quantity(value, unit, **comparator),
        }
        lines.append(json.dumps(one))
    patient = {"resourceType": "Patient", "id": "7", "gender": "female", "birthDate": "1960-05-01"}
    (folder / "all.ndjson").write_text("\n".join([*lines, json.dumps(patient)]))


def _write_meds(folder: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "subject_id": 7,
            "time": datetime(2026, 3, 1, hour),  # noqa: DTZ001
            "code": code,
            "numeric_value": value,
            "text_value": None if sign == "=" else f"{sign}{value}",
        }
        for _, _, code, value, sign, _, _, hour in _VALUES
    ]
    born = datetime(1960, 5, 1)  # noqa: DTZ001
    nothing: dict[str, Any] = {"subject_id": 7, "numeric_value": None, "text_value": None}
    rows.append(nothing | {"time": born, "code": "MEDS_BIRTH"})
    rows.append(nothing | {"time": None, "code": "GENDER//F"})
    pq.write_table(pa.Table.from_pylist(rows), folder / "0.parquet")


def _write_omop(folder: Path) -> None:
    names = "person_id,measurement_concept_id,measurement_datetime,operator_concept_id"
    lines = [f"{names},value_as_number,unit_concept_id,measurement_date"]
    for _, concept, _, value, sign, _, unit, hour in _VALUES:
        when = f"2026-03-01 {hour}:00:00"
        lines.append(f"7,{concept},{when},{_OPERATORS[sign]},{value},{unit},2026-03-01")
    (folder / "measurement.csv").write_text("\n".join(lines))
    (folder / "person.csv").write_text(
        "person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth\n7,8532,1960,5,1\n"
    )


@pytest.mark.parametrize(
    ("source_format", "write"),
    [
        (SourceFormat.FHIR, _write_fhir),
        (SourceFormat.MEDS, _write_meds),
        (SourceFormat.OMOP, _write_omop),
    ],
)
def test_one_record_has_one_meaning(
    tmp_path: Path, source_format: SourceFormat, write: object
) -> None:
    assert callable(write)
    write(tmp_path)
    catalogue = shipped_catalogue()
    options = SourceOptions(format=source_format)
    found = gather(list(open_source(tmp_path, options, catalogue)))
    assert found.ignored == {}
    told = sorted(
        (
            catalogue[catalogue.channel(row["variable"])].name,
            row["value"],
            row["comparator"],
            row["microseconds"] // 3_600_000_000 % 24,
        )
        for row in found.rows
        if row["variable"] not in ("birth_date", "sex")
    )
    assert told == [("HR", 92.0, 0, 10), ("NISysABP", 118.0, 0, 11), ("Na", 120.0, -1, 10)]
    described = {row["variable"]: row for row in found.rows if np.isnan(row["value"])}
    assert described["sex"]["text"] == "female"
    assert described["birth_date"]["microseconds"] == (
        np.datetime64("1960-05-01", "us").astype(np.int64)
    )
    assert {row["subject_id"] for row in found.rows} == {"7"}
