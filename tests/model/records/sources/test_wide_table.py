import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from model.data.variables import Catalogue, Static
from model.records.codes import CodeMap
from model.records.errors import SourceError
from model.records.sources.describing import describe_source
from model.records.sources.options import SourceFormat, SourceOptions
from model.records.times import TimeRules
from tests.model.records.sources.reading import STATICS, read, write


def test_every_filled_cell_is_a_row(tmp_path: Path) -> None:
    text = "stay_id,hour,HR,K [mmol/L],Lactate (mmol/L)\n1,0,80,,<0.5\n1,1,,4.1,NA\n2,0,81*,hemolyzed,\n"
    found = read(write(tmp_path / "a.csv", text))
    rows = zip(
        *(found.column(one) for one in ("subject_id", "hours", "variable", "value", "unit")),
        strict=True,
    )
    assert sorted(row for row in rows if row[3] == row[3]) == [
        ("1", 0.0, "HR", 80.0, None),
        ("1", 0.0, "Lactate", 0.5, "mmol/L"),
        ("1", 1.0, "K", 4.1, "mmol/L"),
        ("2", 0.0, "HR", 81.0, None),
    ]
    assert [one for one in found.column("text") if one] == ["hemolyzed"]
    assert found.table.num_rows == 5
    assert found.remarks == {"flag_ignored": 1}


def test_the_order_of_columns_does_not_matter(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "subject_id,time,HR,K\n1,0,80,4\n2,1,81,\n")
    second = write(tmp_path / "b.csv", "K,HR,time,subject_id\n4,80,0,1\n,81,1,2\n")
    assert read(first).sorted() == read(second).sorted()


@pytest.mark.parametrize(
    ("header", "subject", "moment"),
    [
        ("patient_id,charttime,HR", "1", 2.0),
        ("icustay_id,hours,HR", "1", 2.0),
        ("Patient,Timestamp,HR", "1", 2.0),
        ("case_id,ICULOS,HR", "1", 2.0),
        ("ID,DateTime,HR", "1", 2.0),
    ],
)
def test_the_subject_and_the_time_are_found_by_name(
    tmp_path: Path, header: str, subject: str, moment: float
) -> None:
    found = read(write(tmp_path / "a.csv", f"{header}\n1,2,80\n"))
    assert (found.column("subject_id"), found.column("hours")) == ([subject], [moment])
    assert found.column("variable") == ["HR"]


def test_indices_and_other_keys_are_passed_over_and_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ",subject_id,stay_id,hour,charttime,HR\n0,1,7,2,5,80\n")
    found = read(path)
    assert (found.column("variable"), found.column("subject_id")) == (["HR"], ["1"])
    assert found.column("hours") == [5.0]
    description = describe_source(path, SourceOptions(format=SourceFormat.CSV))
    assert description.columns_passed_over == ("(no name)", "stay_id", "hour")
    assert "columns that are no variables: (no name), stay_id, hour" in description.lines()


def test_a_pandas_index_is_passed_over(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.csv", "Unnamed: 0,subject_id,hour,HR\n0,1,2,80\n"))
    assert found.column("variable") == ["HR"]


def test_a_table_without_subjects_is_one_subject_named_by_its_file(tmp_path: Path) -> None:
    write(tmp_path / "p000001.psv", "HR|Temp|ICULOS\n80|NaN|1\nNaN|37.5|2\n")
    write(tmp_path / "p000002.psv", "HR|Temp|ICULOS\n90|36|1\n")
    found = read(tmp_path)
    assert found.column("subject_id") == ["p000001"] * 2 + ["p000002"] * 2
    assert found.column("value") == [80.0, 37.5, 90.0, 36.0]


def test_a_column_that_may_be_the_subject_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "pat_nr,hour,HR\n1,2,80\n")
    with pytest.raises(SourceError, match=r"`pat_nr` may be one.*--columns subject_id=pat_nr"):
        read(path)
    assert read(path, columns={"subject_id": "pat_nr"}).column("subject_id") == ["1"]


def test_a_table_without_a_time_is_refused_unless_all_are_statics(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "subject_id,sex\n1,female\n")
    with pytest.raises(
        SourceError, match=r"no column `time`; .*statics of the catalogue alone, and `sex` is none"
    ):
        read(path)
    found = read(path, catalogue=STATICS)
    assert (found.column("text"), found.column("time_kind")) == (["female"], [0])
    codes = CodeMap.of({"geschlecht": "sex"})
    path = write(tmp_path / "b.csv", "subject_id,geschlecht\n1,male\n")
    assert read(path, catalogue=STATICS, codes=codes).column("variable") == ["sex"]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="`HR` is there more than once"):
        read(write(tmp_path / "a.csv", "subject_id,time,HR,HR\n1,0,80,81\n"))
    found = read(write(tmp_path / "b.csv", "subject_id,time,T [C],T [F]\n1,0,37,98.6\n"))
    assert (found.column("variable"), found.column("unit")) == (["T", "T"], ["C", "F"])


def test_a_header_that_the_catalogue_names_keeps_its_brackets(tmp_path: Path) -> None:
    static = Static(name="size [cm]", description="", unit="cm", plausible_range=(1.0, 300.0))
    path = write(tmp_path / "a.csv", "subject_id,size [cm]\n1,180\n")
    found = read(path, catalogue=Catalogue((), (static,)))
    assert (found.column("variable"), found.column("unit")) == (["size [cm]"], ["cm"])


def test_times_in_other_units_are_no_variables_and_are_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "subject_id,minutes,HR\n1,90,80\n")
    with pytest.raises(SourceError, match="say so with --columns time=minutes --time-unit minutes"):
        read(path)
    found = read(path, columns={"time": "minutes"}, time=TimeRules(unit="minutes"))
    assert (found.column("hours"), found.column("variable")) == ([1.5], ["HR"])
    path = write(tmp_path / "b.csv", "subject_id,minutes,hour,HR\n1,90,1.5,80\n")
    assert read(path).column("variable") == ["HR"]


def test_a_code_map_may_name_a_whole_header(tmp_path: Path) -> None:
    codes = CodeMap.of({"K [mmol/L]": {"variable": "Potassium", "unit": "meq/L"}, "P": "HR"})
    found = read(write(tmp_path / "a.csv", "subject_id,time,K [mmol/L],P\n1,0,4,80\n"), codes=codes)
    assert found.column("variable") == ["Potassium", "HR"]
    assert found.column("unit") == ["meq/L", None]


def test_wide_objects_of_lines_need_not_have_all_fields(tmp_path: Path) -> None:
    lines = '{"stay_id": 1, "hour": 0, "HR": 80}\n{"stay_id": 1, "hour": 1, "K": "4.1"}\n'
    found = read(write(tmp_path / "a.ndjson", lines), SourceFormat.NDJSON)
    assert sorted(zip(found.column("variable"), found.column("value"), strict=True)) == [
        ("HR", 80.0),
        ("K", 4.1),
    ]


def test_a_wide_parquet_file_of_many_types(tmp_path: Path) -> None:
    columns = {"subject_id": [1, 2], "hour": [0, 1], "HR": [80, None], "K": [4.5, 5.5]}
    table = pa.table({**columns, "Trop": ["<0.1", None], "Vent": [True, False]})
    pq.write_table(table, tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet", SourceFormat.PARQUET)
    rows = sorted(zip(found.column("variable"), found.column("value"), strict=True))
    assert rows == [("HR", 80), ("K", 4.5), ("K", 5.5), ("Trop", 0.1), ("Vent", 0), ("Vent", 1)]


def test_a_wide_column_of_lists_is_one_clear_error(tmp_path: Path) -> None:
    table = pa.table({"subject_id": [1], "hour": [0], "HR": [80], "waveform": [[1, 2]]})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(SourceError, match="the column `waveform` must hold numbers or text"):
        read(tmp_path / "a.parquet", SourceFormat.PARQUET)


def test_a_table_of_500_stays_is_melted_by_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    size, num_variables = 55_000, 34
    columns: dict[str, object] = {
        "stay_id": np.repeat(np.arange(500), size // 500),
        "hour": np.tile(np.arange(size // 500), 500),
    }
    filled = rng.random((num_variables, size)) < 0.0674
    for number in range(num_variables):
        values = np.round(rng.normal(100, 10, size), 1)
        columns[f"v{number}"] = pa.array(values, mask=~filled[number])
    path = tmp_path / "a.csv"
    pyarrow.csv.write_csv(pa.table(columns), path)
    started = time.perf_counter()
    found = read(path)
    # A third of a second without the checks of the tests, on one core.
    assert time.perf_counter() - started < 10
    assert found.table.num_rows == filled.sum()
