"""OMOP CDM: persons, measurements and observations, as CSV and Parquet."""

import math
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.variables import Catalogue
from model.records.codes import CodeMap, Target
from model.records.errors import SourceError
from model.records.rows import TimeKind
from model.records.sources.omop import read_omop
from model.records.sources.options import SourceFormat, SourceOptions
from tests.model.records.sources.fhir_cases import NO_CATALOGUE, Read, gather

DAY = 86_400_000_000


def _measurement(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "measurement_id": 1,
        "person_id": 7,
        "measurement_concept_id": 3027018,
        "measurement_date": "1970-01-02",
        "measurement_datetime": "1970-01-02 10:00:00",
        "operator_concept_id": 0,
        "value_as_number": 92.0,
        "value_as_concept_id": 0,
        "unit_concept_id": 8541,
        "measurement_source_value": "220045",
        "unit_source_value": "bpm",
        "value_source_value": "",
    }
    return row | changes


def _csv(rows: list[dict[str, Any]], *, delimiter: str = ",", upper: bool = False) -> str:
    names = list(rows[0])
    lines = [delimiter.join(name.upper() if upper else name for name in names)]
    lines += [delimiter.join("" if row[n] is None else str(row[n]) for n in names) for row in rows]
    return "\n".join(lines) + "\n"


def _read(folder: Path, catalogue: Catalogue = NO_CATALOGUE, codes: CodeMap | None = None) -> Read:
    options = SourceOptions(format=SourceFormat.OMOP)
    if codes is not None:
        options = SourceOptions(format=SourceFormat.OMOP, codes=codes)
    return gather(list(read_omop(folder, options, catalogue)))


def _of(folder: Path, *rows: dict[str, Any]) -> Read:
    (folder / "measurement.csv").write_text(_csv(list(rows)))
    return _read(folder)


def test_a_measurement_is_a_row(tmp_path: Path) -> None:
    row = _of(tmp_path, _measurement()).only
    assert (row["subject_id"], row["variable"], row["value"], row["unit"]) == (
        "7",
        "8867-4",
        92.0,
        "/min",
    )
    assert (row["time_kind"], row["microseconds"]) == (TimeKind.LOCAL, DAY + 36_000_000_000)


def test_every_way_to_write_the_tables_gives_the_same_rows(tmp_path: Path) -> None:
    rows = [_measurement(measurement_id=n, value_as_number=n + 0.5) for n in range(5)]
    folders = [tmp_path / name for name in "abcde"]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "measurement.csv").write_text(_csv(rows))
    (folders[1] / "MEASUREMENT.tsv").write_text(_csv(rows, delimiter="\t", upper=True))
    typed = [
        row
        | {
            "measurement_date": date(1970, 1, 2),
            "measurement_datetime": datetime(1970, 1, 2, 10),  # noqa: DTZ001
        }
        for row in rows
    ]
    pq.write_table(pa.Table.from_pylist(typed), folders[2] / "measurement.parquet")
    (folders[3] / "measurement").mkdir()
    pq.write_table(pa.Table.from_pylist(typed[:2]), folders[3] / "measurement" / "part-0.parquet")
    pq.write_table(pa.Table.from_pylist(typed[2:]), folders[3] / "measurement" / "part-1.parquet")
    (folders[4] / "measurement_000000000001.csv").write_text(_csv(rows[:2]))
    (folders[4] / "measurement_000000000002.csv").write_text(_csv(rows[2:]))
    first, *others = [_read(folder).rows for folder in folders]
    assert len(first) == 5
    assert all(one == first for one in others)


@pytest.mark.parametrize(
    ("concept", "comparator"),
    [(4171756, -1), (4171754, -1), (4172703, 0), (4172704, 1), (4171755, 1), (0, 0), (None, 0)],
)
def test_an_operator_says_the_side(tmp_path: Path, concept: int | None, comparator: int) -> None:
    assert _of(tmp_path, _measurement(operator_concept_id=concept)).only["comparator"] == comparator


def test_an_unknown_operator_is_counted(tmp_path: Path) -> None:
    found = _of(tmp_path, _measurement(operator_concept_id=99), _measurement())
    assert (len(found.rows), found.ignored) == (1, {"modified_meaning": 1})


@pytest.mark.parametrize(
    ("number", "source", "answer", "value", "comparator", "text"),
    [
        (0.01, "<0.01", 0, 0.01, -1, None),
        (None, "<0.01", 0, 0.01, -1, None),
        (None, "5.5", 0, 5.5, 0, None),
        (None, "hemolyzed", 0, math.nan, 0, "hemolyzed"),
        (None, "", 45884084, math.nan, 0, "OMOP//45884084"),
        (5.0, "5.0 mmol/L", 45884084, 5.0, 0, None),
        (None, "", 0, math.nan, 0, None),
    ],
)
def test_the_source_says_what_no_number_says(
    tmp_path: Path,
    number: float | None,
    source: str,
    answer: int,
    value: float,
    comparator: int,
    text: str | None,
) -> None:
    changes = {"value_source_value": source, "value_as_concept_id": answer}
    row = _of(tmp_path, _measurement(value_as_number=number, **changes)).only
    assert row["value"] == pytest.approx(value, nan_ok=True)
    assert (row["comparator"], row["text"]) == (comparator, text)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"measurement_concept_id": 3016723}, "2160-0"),
        ({"measurement_concept_id": 21490853}, "76215-3"),
        ({"measurement_concept_id": 40762499}, "59408-5"),
        ({"measurement_concept_id": 99}, "OMOP//99"),
        ({"measurement_concept_id": 0}, "220045"),
        ({"measurement_concept_id": 0, "measurement_source_value": ""}, None),
    ],
)
def test_a_concept_has_a_name(tmp_path: Path, changes: dict[str, Any], name: str | None) -> None:
    assert _of(tmp_path, _measurement(**changes)).only["variable"] == name


def test_the_table_of_concepts_and_a_code_map_name_the_rest(tmp_path: Path) -> None:
    (tmp_path / "CONCEPT.csv").write_text(
        "concept_id\tconcept_name\tvocabulary_id\tconcept_code\n"
        "99\tSomething\tLOINC\t1-8\n98\tunit\tUCUM\tmg/dL\n97\tother\tSNOMED\t123\n"
    )
    rows = [
        _measurement(measurement_concept_id=99, unit_concept_id=98, unit_source_value=""),
        _measurement(measurement_concept_id=97, unit_concept_id=97, unit_source_value=""),
    ]
    (tmp_path / "measurement.csv").write_text(_csv(rows))
    found = _read(tmp_path, codes=CodeMap({"OMOP//97": Target("mine")}))
    assert [(row["variable"], row["unit"]) for row in found.rows] == [
        ("1-8", "mg/dL"),
        ("mine", "OMOP//97"),
    ]


@pytest.mark.parametrize(
    ("changes", "kind", "microseconds"),
    [
        ({"measurement_datetime": ""}, TimeKind.DATE, DAY),
        (
            {"measurement_datetime": "", "measurement_date": "1970-01-02 00:00:00"},
            TimeKind.DATE,
            DAY,
        ),
        ({"measurement_datetime": "", "measurement_date": ""}, TimeKind.MISSING, 0),
        ({"measurement_datetime": "noon"}, TimeKind.INVALID, 0),
        ({"measurement_datetime": "1970-01-02T00:00:00Z"}, TimeKind.INSTANT, DAY),
    ],
)
def test_a_day_is_no_time(
    tmp_path: Path, changes: dict[str, Any], kind: TimeKind, microseconds: int
) -> None:
    row = _of(tmp_path, _measurement(**changes)).only
    assert (row["time_kind"], row["microseconds"]) == (kind, microseconds)


def test_persons_are_births_and_sexes(tmp_path: Path) -> None:
    (tmp_path / "person.csv").write_text(
        "person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,gender_source_value\n"
        "1,8507,1970,1,2,\n2,8532,1970,,,\n3,0,,,,F\n4,0,,,,\n5,8521,1970,2,30,\n"
    )
    (tmp_path / "measurement.csv").write_text(_csv([_measurement()]))
    found = _read(tmp_path)
    births = {
        r["subject_id"]: r["microseconds"] // DAY
        for r in found.rows
        if r["variable"] == "birth_date"
    }
    sexes = {r["subject_id"]: r["text"] for r in found.rows if r["variable"] == "sex"}
    assert births == {"1": 1, "2": 181}
    assert sexes == {"1": "male", "2": "female", "3": "female"}
    assert found.ignored == {
        "person_without_statics": 1,
        "sex_not_used": 1,
        "invalid_birth_date": 1,
    }


def test_observations_are_read_and_drugs_are_counted(tmp_path: Path) -> None:
    (tmp_path / "measurement.csv").write_text(_csv([_measurement()]))
    (tmp_path / "observation.csv").write_text(
        "person_id,observation_concept_id,observation_date,observation_datetime,value_as_number,"
        "value_as_string,value_as_concept_id,unit_concept_id,observation_source_value\n"
        "7,3009094,1970-01-02,1970-01-02 10:00,1,No Response-ETT,0,0,verbal\n"
        "7,4000000,1970-01-02,1970-01-02 10:00,,,0,0,smoker\n"
    )
    (tmp_path / "drug_exposure.csv").write_text("person_id,drug_concept_id\n7,1\n7,2\n")
    (tmp_path / "drug_era.csv").write_text("not,read\n")
    found = _read(tmp_path)
    assert [(row["variable"], row["value"]) for row in found.rows] == [
        ("8867-4", 92.0),
        ("9270-0", 1.0),
    ]
    assert found.ignored == {"drug_exposure_not_used": 2, "event_without_value": 1}


def test_a_folder_without_measurements_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "person.csv").write_text("person_id\n1\n")
    with pytest.raises(SourceError, match="measurement"):
        _read(tmp_path)


@pytest.mark.parametrize("column", ["person_id", "measurement_concept_id"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    row = _measurement()
    del row[column]
    with pytest.raises(SourceError, match=column):
        _of(tmp_path, row)


@pytest.mark.parametrize("column", ["person_id", "measurement_concept_id", "value_as_number"])
def test_a_column_of_lists_is_one_clear_error(tmp_path: Path, column: str) -> None:
    row = _measurement() | {column: [1, 2]}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "measurement.parquet")
    with pytest.raises(SourceError):
        _read(tmp_path)


_cells = st.sampled_from(
    [
        "",
        "0",
        "1",
        "7.0",
        "1e10",
        "-1",
        "x",
        "<5",
        "NA",
        "3027018",
        "1970-01-02",
        "\x1f",
        "ä",
        "99999999999999999999",
    ]
)


@given(
    rows=st.lists(
        st.dictionaries(st.sampled_from(list(_measurement())), _cells), min_size=1, max_size=4
    )
)
def test_no_cell_stops_the_reader(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    found = _of(tmp_path_factory.mktemp("fuzz"), *(_measurement(**row) for row in rows))
    assert len(found.rows) + sum(found.ignored.values()) == len(rows)
