"""Every source goes through the job door; what cannot be read at all is refused without its values.

What the rows of each format mean is said in `tests/model/records`.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.runtime.predictor import Predictor
from service.jobs.errors import JobInputError
from service.jobs.planning.chunks import read_chunk
from service.jobs.planning.plan import make_plan
from service.jobs.request import JobRequest
from tests.catalogues import CHALLENGE
from tests.service.jobs.tables import (
    Json,
    assert_same_bytes,
    fill,
    instant,
    observations,
    row,
    write_csv,
    write_ndjson,
    write_parquet,
)

ROWS = [
    row("a", 0.5, "HR", 80.0, "/min"),
    row("a", 1.25, "MAP", 70.5, None),
    row("b", -3.0, "8867-4", 1e2, None),
]
FORMATS = ["parquet", "csv", "ndjson", "fhir", "meds", "omop", "physionet2012"]
GRID = {"kind": "grid", "minutes": 30}


def read(path: Path, input_format: str, **options: Any) -> list[Json]:
    """The rows of the chunks of a plan."""
    folder = path.with_name(f"{path.name}-plan")
    request = JobRequest.model_validate({"format": input_format, **options})
    plan = make_plan(path, request, folder, CHALLENGE)
    return [one for chunk in plan.chunks for one in read_chunk(folder, chunk).table.to_pylist()]


def refused(path: Path, input_format: str, **options: Any) -> str:
    with pytest.raises(JobInputError) as caught:
        read(path, input_format, **options)
    return str(caught.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("is_zipped", [False, True])
def test_csv_has_any_usual_form(tmp_path: Path, delimiter: str, is_zipped: bool) -> None:
    plain = read(write_csv(tmp_path / "plain.csv", ROWS), "csv")
    text = "\ufeff" + (tmp_path / "plain.csv").read_text().replace(",", delimiter)
    text = text.replace("\n", "\r\n")
    path = tmp_path / ("other.csv.gz" if is_zipped else "other.csv")
    path.write_bytes(gzip.compress(text.encode()) if is_zipped else text.encode())
    assert read(path, "csv") == plain
    assert [one["value"] for one in plain] == [80.0, 70.5, 100.0]


def test_columns_may_have_any_order_and_company(tmp_path: Path) -> None:
    expected = read(write_parquet(tmp_path / "a.parquet", ROWS), "parquet")
    turned = [{**{key: one[key] for key in reversed(one)}, "note": "x"} for one in ROWS]
    assert read(write_csv(tmp_path / "b.csv", turned), "csv") == expected
    assert read(write_ndjson(tmp_path / "c.ndjson", turned), "ndjson") == expected


@pytest.mark.parametrize("missing", ["subject_id", "time", "variable", "value"])
@pytest.mark.parametrize("input_format", ["parquet", "csv", "ndjson"])
def test_a_missing_column_is_named(tmp_path: Path, missing: str, input_format: str) -> None:
    rows = [{name: one[name] for name in one if name != missing} for one in ROWS]
    path = tmp_path / "in"
    if input_format == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        {"csv": write_csv, "ndjson": write_ndjson}[input_format](path, rows)
    assert f"no column `{missing}`" in refused(path, input_format)


@pytest.mark.parametrize("input_format", FORMATS)
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"{", b"[1, 2]\n", b"{} {}\n"])
def test_what_is_no_source_is_refused(tmp_path: Path, input_format: str, content: bytes) -> None:
    path = tmp_path / "in"
    path.write_bytes(content)
    assert "Traceback" not in refused(path, input_format)


@pytest.mark.parametrize(
    ("text", "input_format"),
    [
        ('{"subject_id":"a","time":1,"variable":"HR","value":80}\n{"subject_id":"a"', "ndjson"),
        (
            '{"subject_id":"a","time":1,"variable":"HR","value":80}\n'
            '{"subject_id":"secret","time":1,"variable":"HR","value":{"secret":1}}\n',
            "ndjson",
        ),
        ("subject_id,time,time,variable,value\na,1,1,HR,80\n", "csv"),
    ],
)
def test_broken_sources_are_refused_without_their_values(
    tmp_path: Path, text: str, input_format: str
) -> None:
    path = tmp_path / "in"
    path.write_text(text)
    assert "secret" not in refused(path, input_format)


def test_a_first_line_of_values_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("Smith,2026-03-01 10:00,HR,80\nSmith,2026-03-01 11:00,HR,81\n")
    message = refused(path, "csv")
    assert "Smith" not in message
    assert "names of the columns should stand" in message


def test_revisions_count_once(predictor: Predictor, tmp_path: Path) -> None:
    def glucose(version: str, value: float, **changes: Any) -> Json:
        return {
            "resourceType": "Observation",
            "id": "o1",
            "meta": {"versionId": version},
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "2345-7"}]},
            "subject": {"reference": "https://x/Patient/1/_history/2"},
            "effectiveDateTime": instant(0.0),
            "valueQuantity": {"value": value, "code": "mg/dL"},
            **changes,
        }

    sodium = {"coding": [{"system": "http://loinc.org", "code": "2951-2"}]}
    resources = [
        glucose("2", 54, status="corrected"),
        glucose("1", 540),
        glucose("1", 190, id="o2", code=sodium),
        glucose("2", 190, id="o2", code=sodium, status="entered-in-error"),
    ]
    path = write_ndjson(tmp_path / "in.ndjson", resources)
    filled = fill(predictor, path, tmp_path / "o", format="fhir", fill={"kind": "own_times"})
    assert [(one["subject_id"], one["variable"], one["value"]) for one in filled.rows] == [
        ("1", "Glucose", 54.0)
    ]
    assert {one.reason for one in filled.account.not_used} == {"superseded", "withdrawn"}
    bundle = {"resourceType": "Bundle", "type": "collection"}
    bundle["entry"] = [{"resource": one} for one in resources]  # type: ignore[assignment]
    (tmp_path / "in.json").write_text(json.dumps(bundle))
    bundled = fill(
        predictor,
        tmp_path / "in.json",
        tmp_path / "b",
        format="fhir",
        fill={"kind": "own_times"},
    )
    assert_same_bytes(filled, bundled)


LONG = [
    row("7", 0.0, "HR", 80.0, "/min"),
    row("7", 0.0, "MAP", 70.0, "mm[Hg]"),
    row("7", 1.0, "HR", 84.0, "/min"),
    row("8", 0.5, "Temp", 37.5, "Cel"),
    row("8", 2.5, "HR", 90.0, "/min"),
]


def test_a_wide_table_is_the_long_one(predictor: Predictor, tmp_path: Path) -> None:
    long = fill(predictor, write_parquet(tmp_path / "a.parquet", LONG), tmp_path / "a", fill=GRID)
    text = "stay_id,hour,HR,MAP [mmHg],Temp\n7,0,80,70,\n7,1,84,,\n8,0.5,,,37.5\n8,2.5,90,,\n"
    (tmp_path / "wide.csv").write_text(text)
    wide = fill(predictor, tmp_path / "wide.csv", tmp_path / "b", format="csv", fill=GRID)
    assert_same_bytes(long, wide)


def test_columns_codes_and_times_are_as_the_request_says(
    predictor: Predictor, tmp_path: Path
) -> None:
    long = fill(predictor, write_parquet(tmp_path / "a.parquet", LONG), tmp_path / "a", fill=GRID)
    lines = [
        "who,when,what,valuenum",
        "7,0,pulse rate,80",
        "7,0,220052,70",
        "7,60,pulse rate,84",
        "8,30,T,99.5",
        "8,150,pulse rate,90",
    ]
    (tmp_path / "in.csv").write_text("\n".join(lines))
    options: Json = {
        "columns": {
            "subject_id": "who",
            "time": "when",
            "variable": "what",
            "value": "valuenum",
        },
        "codes": {
            "pulse rate": "HR",
            "220052": {"variable": "MAP", "unit": "mm[Hg]"},
            "T": {"variable": "Temp", "unit": "[degF]"},
        },
        "time": {"unit": "minutes"},
    }
    other = fill(predictor, tmp_path / "in.csv", tmp_path / "b", format="csv", fill=GRID, **options)
    assert_same_bytes(long, other)
    assert {one.code for one in other.account.remarks} == {"unit_converted", "unit_assumed"}


def test_local_times_become_instants_in_their_zone(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(
        "subject_id,time,variable,value\na,03/02/2026 08:30,HR,80\na,03/02/2026 10:30,HR,90\n"
    )
    filled = fill(
        predictor,
        tmp_path / "in.csv",
        tmp_path / "o",
        format="csv",
        fill={"kind": "own_times"},
        time={"format": "%d/%m/%Y %H:%M", "zone": "Europe/Berlin"},
    )
    assert [one["time"].isoformat() for one in filled.rows] == [
        "2026-02-03T07:30:00+00:00",
        "2026-02-03T09:30:00+00:00",
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"codes": {"x": "nonsense"}},
        {"time": {"zone": "Nowhere/Land"}},
        {"accepted_units": {"HR": "furlongs"}},
        {"accepted_units": {"nonsense": "mg/dL"}},
        {"columns": {"time": "charttime"}},
        {"columns": {"time": "x", "value": "x"}},
    ],
)
def test_what_is_said_about_a_source_and_means_nothing_is_refused(
    tmp_path: Path, options: Json
) -> None:
    assert refused(write_csv(tmp_path / "in.csv", ROWS), "csv", **options)


@pytest.mark.parametrize("write", [write_csv, write_ndjson, write_parquet])
def test_query_times_of_a_source_that_is_no_table_are_known_by_their_bytes(
    predictor: Predictor, tmp_path: Path, write: Callable[..., Path]
) -> None:
    header = "person_id,measurement_concept_id,measurement_datetime,value_as_number\n"
    (tmp_path / "omop").mkdir()
    (tmp_path / "omop" / "measurement.csv").write_text(
        f"{header}1,3027018,2026-03-01 10:00:00,92\n1,3027018,2026-03-01 12:00:00,95\n"
    )
    rows = [{"subject_id": "1", "time": "2026-03-01T11:00:00"}]
    types = {"time": pa.string()} if write is write_parquet else {}
    times = write(tmp_path / "times", rows, **types)
    asked: Json = {"format": "omop", "fill": {"kind": "times_table"}, "times": times}
    filled = fill(predictor, tmp_path / "omop", tmp_path / "o", **asked)
    assert [one["time"].hour for one in filled.rows] == [11]


def test_omop_and_the_files_of_the_challenge_are_filled(
    predictor: Predictor, tmp_path: Path
) -> None:
    header = "person_id,measurement_concept_id,measurement_datetime,value_as_number\n"
    (tmp_path / "omop").mkdir()
    (tmp_path / "omop" / "measurement.csv").write_text(
        f"{header}1,3027018,2026-03-01 10:00:00,92\n1,3027018,2026-03-01 12:00:00,95\n"
    )
    omop = fill(predictor, tmp_path / "omop", tmp_path / "a", format="omop")
    assert [one["value"] for one in omop.rows if one["origin"] == "observed"] == [92.0, 95.0]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "132539.txt").write_text(
        "Time,Parameter,Value\n00:00,RecordID,132539\n00:00,Age,54\n00:07,HR,73\n01:00,HR,77\n"
    )
    found = fill(predictor, tmp_path / "set", tmp_path / "b", format="physionet2012")
    assert {one["subject_id"] for one in found.rows} == {"132539"}


SYNTHEA = next(
    (
        folder / "shared/data/fhir-synthea-r4"
        for folder in Path(__file__).parents
        if (folder / "shared/data/fhir-synthea-r4").is_dir()
    ),
    None,
)


@pytest.mark.skipif(SYNTHEA is None, reason="needs the shared data")
@pytest.mark.parametrize(("below", "num_patients"), [("bundles", 6), ("", 103)])
def test_all_of_synthea_is_read_and_filled(
    predictor: Predictor, tmp_path: Path, below: str, num_patients: int
) -> None:
    assert SYNTHEA is not None
    asked: Json = {"format": "fhir", "fill": {"kind": "own_times"}}
    filled = fill(predictor, SYNTHEA / below, tmp_path / "o", **asked)
    assert len({one["subject_id"] for one in filled.rows}) == num_patients
    assert filled.quarantined == {}
    reasons = {one.reason for one in filled.account.not_used}
    assert reasons >= {"other_resource", "unknown_variable", "duplicate"}


def test_several_readings_of_one_table_have_one_account(
    predictor: Predictor, tmp_path: Path
) -> None:
    rows = observations(9, seed=3, mean_observations=12)
    source = write_parquet(tmp_path / "in.parquet", [*rows, row("s000", 1.0, "nonsense", 1.0)])
    whole, cut = (
        fill(predictor, source, tmp_path / str(size), chunk_subjects=size) for size in (100, 2)
    )
    assert whole.account.not_used == cut.account.not_used
