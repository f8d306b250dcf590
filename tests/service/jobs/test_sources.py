"""Every format is read by what it says; what is no table of ours is refused with what was expected."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.jobs.errors import JobInputError
from service.jobs.planning.plan import make_plan
from service.jobs.reading.rows import Rows
from service.jobs.request import InputFormat, JobRequest
from service.jobs.sources import open_source
from tests.catalogues import CHALLENGE
from tests.service.jobs.tables import Json, row, write_csv, write_ndjson, write_parquet

ROWS = [
    row("a", 0.5, "HR", 80.0, "/min"),
    row("a", 1.25, "MAP", 70.5, None),
    row("b", -3.0, "8867-4", 1e2, None),
]


def read(path: Path, input_format: str, **options: Any) -> list[Rows]:
    return list(
        open_source(path, JobRequest(format=InputFormat(input_format), **options), CHALLENGE)
    )


def joined(found: list[Rows]) -> list[Json]:
    return [one for rows in found for one in rows.batch.to_pylist()]


def refused(path: Path, input_format: str) -> str:
    with pytest.raises(JobInputError) as caught:
        read(path, input_format)
    return str(caught.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("is_zipped", [False, True])
def test_csv_has_any_usual_form(tmp_path: Path, delimiter: str, is_zipped: bool) -> None:
    plain = joined(read(write_csv(tmp_path / "plain.csv", ROWS), "csv"))
    text = "\ufeff" + (tmp_path / "plain.csv").read_text().replace(",", delimiter)
    text = text.replace("\n", "\r\n")
    path = tmp_path / ("other.csv.gz" if is_zipped else "other.csv")
    path.write_bytes(gzip.compress(text.encode()) if is_zipped else text.encode())
    assert joined(read(path, "csv")) == plain
    assert [one["value"] for one in plain] == [80.0, 70.5, 100.0]


def test_columns_may_have_any_order_and_company(tmp_path: Path) -> None:
    expected = joined(read(write_parquet(tmp_path / "a.parquet", ROWS), "parquet"))
    turned = [{**{key: one[key] for key in reversed(one)}, "note": "x"} for one in ROWS]
    assert joined(read(write_csv(tmp_path / "b.csv", turned), "csv")) == expected
    assert joined(read(write_ndjson(tmp_path / "c.ndjson", turned), "ndjson")) == expected


@pytest.mark.parametrize("subject_type", [pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_kinds_of_text_and_numbers_are_one(tmp_path: Path, subject_type: pa.DataType) -> None:
    expected = joined(read(write_parquet(tmp_path / "a.parquet", ROWS), "parquet"))
    path = write_parquet(
        tmp_path / "b.parquet", ROWS, subject_id=subject_type, time=pa.float32(), value=pa.float32()
    )
    assert joined(read(path, "parquet")) == expected


def test_single_precision_is_the_decimal_that_was_meant(tmp_path: Path) -> None:
    rows = [row("a", 0.1, "FiO2", 0.21)]
    path = write_parquet(tmp_path / "in.parquet", rows, value=pa.float32(), time=pa.float32())
    (found,) = joined(read(path, "parquet"))
    assert (found["hours"], found["value"]) == (0.1, 0.21)


def test_integers_are_subjects_of_a_table(tmp_path: Path) -> None:
    rows = [{**one, "subject_id": 7} for one in ROWS]
    parquet = write_parquet(tmp_path / "a.parquet", rows, subject_id=pa.int32())
    ndjson = write_ndjson(tmp_path / "b.ndjson", rows)
    assert {one["subject_id"] for one in joined(read(parquet, "parquet"))} == {"7"}
    assert {one["subject_id"] for one in joined(read(ndjson, "ndjson"))} == {"7"}


@pytest.mark.parametrize("missing", ["subject_id", "time", "variable", "value"])
@pytest.mark.parametrize("input_format", ["parquet", "csv", "ndjson"])
def test_a_missing_column_is_named(tmp_path: Path, missing: str, input_format: str) -> None:
    rows = [{name: one[name] for name in one if name != missing} for one in ROWS]
    path = tmp_path / "in"
    if input_format == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        {"csv": write_csv, "ndjson": write_ndjson}[input_format](path, rows)
    assert f"`{missing}` is missing" in refused(path, input_format)


@pytest.mark.parametrize("input_format", ["parquet", "csv", "ndjson", "fhir", "meds"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"{", b"[1, 2]\n", b"{} {}\n"])
def test_what_is_no_table_is_refused(tmp_path: Path, input_format: str, content: bytes) -> None:
    path = tmp_path / "in"
    path.write_bytes(content)
    request = JobRequest(format=InputFormat(input_format))
    with pytest.raises(JobInputError) as caught:
        make_plan(path, request, tmp_path / "job", CHALLENGE)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "input_format"),
    [
        ("subject_id,time,variable,value\na,1,HR,80\na,1,HR\n", "csv"),
        ('{"subject_id":"a","time":1,"variable":"HR","value":80}\n{"subject_id":"a"', "ndjson"),
        (
            '{"subject_id":"a","time":1,"variable":"HR","value":80}\n'
            '{"subject_id":"secret","time":1,"variable":"HR","value":{"secret":1}}\n',
            "ndjson",
        ),
        ("subject_id,time,time,variable,value\na,1,1,HR,80\n", "csv"),
    ],
)
def test_broken_lines_are_refused_without_their_values(
    tmp_path: Path, text: str, input_format: str
) -> None:
    path = tmp_path / "in"
    path.write_text(text)
    assert "secret" not in refused(path, input_format)


@pytest.mark.parametrize(
    ("column", "kind", "values"),
    [
        ("subject_id", pa.float64(), [1.0, 2.0, 3.0]),
        ("time", pa.duration("s"), [1, 2, 3]),
        ("value", pa.timestamp("us"), [1, 2, 3]),
        ("variable", pa.float64(), [1.0, 2.0, 3.0]),
    ],
)
def test_a_wrong_type_is_named(
    tmp_path: Path, column: str, kind: pa.DataType, values: list[Any]
) -> None:
    table = pa.Table.from_pylist(ROWS).drop_columns([column])
    table = table.append_column(column, pa.array(values, kind))
    pq.write_table(table, tmp_path / "in.parquet")
    assert f"`{column}` must hold" in refused(tmp_path / "in.parquet", "parquet")


def test_meds_has_integers_timestamps_and_loinc_codes(tmp_path: Path) -> None:
    table = pa.table(
        {
            "subject_id": pa.array([2, 1, 1, 1], pa.int64()),
            "time": pa.array([0, 3_600_000_000, None, 0], pa.timestamp("us")),
            "code": ["LOINC//8867-4", "HR", "age_years", "MEDS_BIRTH"],
            "numeric_value": pa.array([80, 81, 63, None], pa.float32()),
        }
    )
    (tmp_path / "data" / "train").mkdir(parents=True)
    pq.write_table(table, tmp_path / "data" / "train" / "0.parquet")
    (rows,) = read(tmp_path, "meds")
    assert rows.ignored == {"unknown_variable": 1}
    assert [one["variable"] for one in joined([rows])] == ["8867-4", "HR", "age_years"]
    wrong = table.set_column(0, "subject_id", pa.array(["b", "a", "a", "a"]))
    pq.write_table(wrong, tmp_path / "wrong.parquet")
    assert "integers" in refused(tmp_path / "wrong.parquet", "meds")


def observation(**changes: Any) -> Json:
    whole = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2026-03-01T10:05:00+01:00",
        "valueQuantity": {"value": 80, "unit": "beats/min", "code": "/min"},
    }
    return {name: value for name, value in (whole | changes).items() if value is not ...}


def coding(*codes: str) -> Json:
    return {"coding": [{"system": "http://loinc.org", "code": code} for code in codes]}


PRESSURES = [
    {"code": coding("8480-6"), "valueQuantity": {"value": 120, "unit": "mmHg"}},
    {"code": coding("8462-4"), "valueQuantity": {"value": 70, "unit": "mmHg"}},
    {"code": coding("0000-0"), "valueQuantity": {"value": 1}},
    {"code": coding("8478-0"), "dataAbsentReason": {"text": "unknown"}},
]
RESOURCES = [
    observation(),
    observation(effectiveDateTime=..., effectiveInstant="2026-03-01T10:05:00.5Z"),
    observation(effectiveDateTime=..., effectivePeriod={"start": "2026-03-01T09:00:00Z"}),
    observation(code=coding("0000-0", "2345-7"), valueQuantity={"value": 7, "code": "mmol/L"}),
    observation(code=coding("85354-9"), component=PRESSURES, valueQuantity=...),
    observation(status="entered-in-error"),
    observation(status=...),
    observation(code={"coding": [{"system": "urn:x", "code": "8867-4"}]}),
    observation(code={"text": "pulse"}),
    observation(valueQuantity=..., valueString="fast"),
    observation(effectiveDateTime="2026-03-01"),
    observation(effectiveDateTime=...),
    observation(subject=...),
    observation(valueQuantity={"value": 1, "code": "furlongs"}),
    {"resourceType": "Patient", "id": "1", "gender": "male"},
]


def test_fhir_reads_what_it_can_and_counts_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "in.ndjson"
    path.write_text("".join(json.dumps(one) + "\n" for one in RESOURCES))
    (rows,) = read(path, "fhir")
    assert rows.ignored == {
        "other_resource": 1,
        "status_not_final": 2,
        "no_known_code_or_quantity": 5,
        "no_time_with_offset": 2,
        "missing_subject": 1,
        "unknown_unit": 1,
    }
    found = [(one["variable"], one["value"], one["unit"]) for one in joined([rows])]
    assert sorted(found) == [
        ("2345-7", 7.0, "mmol/L"),
        ("8462-4", 70.0, "mmHg"),
        ("8480-6", 120.0, "mmHg"),
        *[("8867-4", 80.0, "/min")] * 3,
    ]
    assert {one["subject_id"] for one in joined([rows])} == {"Patient/1"}


@pytest.mark.parametrize("value", ["eighty", [1], {"a": 1}])
def test_a_field_of_another_type_than_fhir_has_is_refused(tmp_path: Path, value: Any) -> None:
    path = write_ndjson(tmp_path / "in.ndjson", [observation(valueQuantity={"value": value})])
    assert "cannot be read as NDJSON of FHIR resources" in refused(path, "fhir")
