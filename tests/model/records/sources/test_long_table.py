from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.records.codes import CodeMap
from model.records.errors import SourceError
from model.records.sources.options import SourceFormat
from model.records.times import TimeRules
from tests.model.records.sources.reading import read, write

HEADER = "subject_id,time,variable,value"


def _parquet(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_limits_flags_and_words_of_a_value(tmp_path: Path) -> None:
    rows = (
        "1,0,Trop,<0.01\n1,0,Trop,> 100\n1,0,K,1.1*\n1,0,K,hemolyzed\n1,,age,> 89\n1,,sex,female\n"
    )
    found = read(write(tmp_path / "a.csv", f"{HEADER}\n{rows}"))
    assert [one if one == one else None for one in found.column("value")] == [
        0.01, 100, 1.1, None, 89, None,
    ]  # fmt: skip
    assert found.column("comparator") == [-1, 1, 0, 0, 1, 0]
    assert found.column("text") == [None, None, None, "hemolyzed", None, "female"]
    assert found.column("time_kind") == [1, 1, 1, 1, 0, 0]
    assert found.remarks == {"flag_ignored": 1}


def test_a_column_of_comparators_must_agree_with_the_value(tmp_path: Path) -> None:
    rows = [
        "1,0,K,1,<", "1,0,K,1,<=", "1,0,K,1,>", "1,0,K,1,>=", "1,0,K,1,", "1,0,K,<1,<=", "1,0,K,>1,",
        "1,0,K,<1,>", "1,0,K,1,~", "1,0,K,1,=",
    ]  # fmt: skip
    found = read(write(tmp_path / "a.csv", "\n".join([f"{HEADER},comparator", *rows])))
    assert found.column("comparator") == [-1, -1, 1, 1, 0, -1, 1, 0]
    assert found.ignored == {"modified_meaning": 2}


def test_text_beside_a_number_is_kept(tmp_path: Path) -> None:
    rows = "1,0,GCS,1,No Response-ETT\n1,1,GCS,5,\n1,2,GCS,word,beside\n1,3,GCS,3,NA\n"
    found = read(write(tmp_path / "a.csv", f"{HEADER},text_value\n{rows}"))
    assert found.column("text") == ["No Response-ETT", None, "word", None]


def test_who_a_subject_is_is_one_rule(tmp_path: Path) -> None:
    rows = (
        "a,0,HR,1\na ,0,HR,1\nNA,0,HR,1\n,0,HR,1\n10000000000.0,0,HR,1\n1e+10,0,HR,1\n007,0,HR,1\n"
    )
    found = read(write(tmp_path / "a.csv", f"{HEADER}\n{rows}"))
    assert found.column("subject_id") == ["a", "a", "10000000000", "10000000000", "007"]
    assert found.ignored == {"missing_subject": 2}


def test_columns_have_the_names_that_the_option_says(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "pat;zeit;code;wert\n1;0,5;HR;80\n")
    columns = {"subject_id": "pat", "time": "zeit", "variable": "code", "value": "wert"}
    found = read(path, columns=columns)
    assert (found.column("subject_id"), found.column("hours")) == (["1"], [0.5])


def test_the_code_map_is_applied(tmp_path: Path) -> None:
    codes = CodeMap.of({"220045": {"variable": "HR", "unit": "/min"}})
    found = read(write(tmp_path / "a.csv", f"{HEADER}\n1,0,220045,80\n"), codes=codes)
    assert (found.column("variable"), found.column("unit")) == (["HR"], ["/min"])


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "subject_id,time,variable",
            "no column `value`; expected subject_id, time, variable, value",
        ),
        ("subject_id,time,value", "no column `variable`"),
        ("subject_id,when,variable,value", "no column `time`.*found subject_id, when, variable"),
        ("who,time,variable,value", "no column `subject_id`.*--columns time=charttime"),
        ("subject_id,time,variable,value,value", "the column `value` is there more than once"),
        ("subject_id,charttime,itemid,valuenum", "no column `variable`.*--columns ours=theirs"),
        ("subject_id", "no column `time`|has no column of a variable"),
    ],
)
def test_a_missing_or_doubled_column_is_named(tmp_path: Path, header: str, message: str) -> None:
    row = ",".join("1" for _ in header.split(","))
    with pytest.raises(SourceError, match=message):
        read(write(tmp_path / "a.csv", f"{header}\n{row}\n"))


def test_a_column_that_the_option_names_must_be_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"{HEADER}\n1,0,HR,80\n")
    with pytest.raises(SourceError, match="there is no column `zeit`, as --columns time= says"):
        read(path, columns={"time": "zeit"})


def test_a_table_of_query_times(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "stay_id,charttime\n1,0.5\n2,2026-03-01T10:00:00Z\n")
    found = read(path, is_query=True)
    assert found.column("is_query") == [True, True]
    assert found.column("time_kind") == [1, 2]
    assert found.column("variable") == [None, None]
    assert read(path, SourceFormat.FHIR, is_query=True).sorted() == found.sorted()


def test_parquet_columns_of_any_type(tmp_path: Path) -> None:
    times = [datetime(2026, 3, 1, 10), None]  # noqa: DTZ001  a local time
    found = read(
        _parquet(
            tmp_path / "a.parquet",
            subject_id=pa.array([1.0, 10000000000.0]),
            time=pa.array(times, pa.timestamp("ns")),
            variable=pa.array(["HR", "K"]).dictionary_encode(),
            value=pa.array([0.21, 4], pa.float32()),
            unit=pa.array(["/min", None], pa.large_string()),
        ),
        SourceFormat.PARQUET,
    )
    assert found.column("subject_id") == ["1", "10000000000"]
    assert found.column("value") == [0.21, 4.0]
    assert found.column("time_kind") == [3, 0]
    assert found.column("unit") == ["/min", None]


def test_parquet_decimals_dates_and_bytes(tmp_path: Path) -> None:
    path = _parquet(
        tmp_path / "a.parquet",
        subject_id=pa.array([b"a", b"\xff"], pa.binary()),
        time=pa.array([date(2026, 3, 1), None]),
        variable=pa.array([220045, 1]),
        value=pa.array([Decimal("4.10"), None]),
    )
    found = read(path, SourceFormat.PARQUET)
    assert found.column("variable") == ["220045", "1"]
    assert found.column("time_kind") == [5, 0]
    assert found.column("value")[0] == 4.1


@pytest.mark.parametrize("name", ["subject_id", "time", "variable", "value", "unit", "text_value"])
@pytest.mark.parametrize("kind", ["list", "struct"])
def test_columns_of_lists_are_one_clear_error(tmp_path: Path, name: str, kind: str) -> None:
    columns: dict[str, object] = {"subject_id": ["1"], "time": [0.0], "variable": ["a"]}
    columns |= {"value": [1.0], name: [[1]] if kind == "list" else [{"a": 1}]}
    with pytest.raises(SourceError, match=rf"a\.parquet: the column `{name}` must hold"):
        read(_parquet(tmp_path / "a.parquet", **columns), SourceFormat.PARQUET)


def test_files_of_a_folder_may_have_different_types(tmp_path: Path) -> None:
    _parquet(tmp_path / "a.parquet", subject_id=[1], time=[0.5], variable=["a"], value=[1])
    _parquet(tmp_path / "b.parquet", subject_id=["2"], time=["1.5"], variable=["a"], value=["<2"])
    found = read(tmp_path, SourceFormat.PARQUET)
    assert (found.column("subject_id"), found.column("hours")) == (["1", "2"], [0.5, 1.5])


def test_a_parquet_file_with_a_doubled_column_is_one_clear_error(tmp_path: Path) -> None:
    table = pa.Table.from_arrays(
        [pa.array(["1"])] * 5, names=["subject_id", "time", "variable", "value", "value"]
    )
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(SourceError, match="`value` is there more than once"):
        read(tmp_path / "a.parquet", SourceFormat.PARQUET)


def test_objects_of_lines(tmp_path: Path) -> None:
    lines = [
        '{"subject_id": 1, "time": 0.5, "variable": "HR", "value": 80}',
        "",
        '{"value": "<0.01", "variable": "Trop", "time": "2026-03-01T10:00:00Z", "subject_id": "2"}',
        '{"subject_id": null, "time": 1, "variable": "HR", "value": true}',
    ]
    found = read(write(tmp_path / "a.ndjson", "\r\n".join(lines)), SourceFormat.NDJSON)
    assert found.column("subject_id") == ["1", "2"]
    assert found.column("value") == [80.0, 0.01]
    assert found.ignored == {"missing_subject": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", "line 2: expected an object"),
        ("{", "line 2: expected one object of JSON"),
        ('{"subject_id": NaN}', "line 2: expected one object"),
        ("[" * 100_000, "line 2: expected one object"),
        ("1" * 5000, "line 2: expected one object"),
        (
            '{"subject_id": 1, "time": 0, "variable": "a", "value": [1]}',
            "the field `value` must be",
        ),
    ],
)
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: str, message: str) -> None:
    good = '{"subject_id": 1, "time": 0.5, "variable": "HR", "value": 80}'
    with pytest.raises(SourceError, match=message):
        read(write(tmp_path / "a.jsonl", f"{good}\n{line}\n"), SourceFormat.NDJSON)


def test_huge_whole_numbers_and_half_characters_of_json(tmp_path: Path) -> None:
    line = '{"subject_id": 1000000000000000000000000, "time": 0, "variable": "\\ud83d", "value": 1}'
    found = read(write(tmp_path / "a.ndjson", line), SourceFormat.NDJSON)
    assert found.column("subject_id") == ["1000000000000000000000000"]
    assert found.column("variable") == ["?"]


def test_times_by_the_rules_of_the_user(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"{HEADER}\n1,90,HR,80\n")
    assert read(path, time=TimeRules(unit="minutes")).column("hours") == [1.5]
    path = write(tmp_path / "b.csv", f"{HEADER}\n1,03/02/2024 10:00,HR,80\n")
    assert read(path).column("time_kind") == [4]
    found = read(path, time=TimeRules(time_format="%d/%m/%Y %H:%M"))
    assert found.column("microseconds") == [1_706_954_400_000_000]


def test_no_message_repeats_a_value(tmp_path: Path) -> None:
    secret = "Meier-4711"
    for number, rows in enumerate((f"{secret}\n", f'"{secret}\n', f"1,2,3,4,{secret}\n")):
        path = write(tmp_path / f"{number}.csv", f"{HEADER}\n{rows}")
        with pytest.raises(SourceError) as caught:
            read(path)
        assert secret not in str(caught.value)
