"""Long tables: every layout gives the same data set, and what is wrong is named."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from tests.catalogues import CHALLENGE
from training.datasets.codes import CodeMap, Target
from training.datasets.errors import DatasetError, EmptySourceError, SourceFormatError
from training.datasets.importing import Imported, import_table
from training.datasets.meds import read_cohort
from training.datasets.sources import KINDS, import_source
from training.datasets.subject_numbers import subject_numbers
from training.datasets.table import TableColumns, TimeFormat, read_table

TEXT = """subject_id,time,variable,value,unit
1,0.5,HR,80,/min
1,2,Temp,98.6,[degF]
1,,sex,female,
1,,age_years,63,a
12,0.25,LOINC//2823-3,4.1,mmol/L
"""


def imported(path: Path, **options: object) -> Imported:
    return import_table(read_table(path, **options), catalogue=CHALLENGE)  # type: ignore[arg-type]


def csv_file(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "subject_id": [1, 1, 1, 1, 12],
            "time": [0.5, 2.0, None, None, 0.25],
            "variable": ["HR", "Temp", "sex", "age_years", "LOINC//2823-3"],
            "value": [80, 98.6, 0, 63, 4.1],
            "unit": ["/min", "[degF]", None, "a", "mmol/L"],
        }
    )


@pytest.fixture
def expected(tmp_path: Path) -> pd.DataFrame:
    return imported(csv_file(tmp_path, TEXT, "expected.csv")).table


def test_a_table_is_read(expected: pd.DataFrame) -> None:
    assert expected["subject_id"].tolist() == [1, 1, 1, 1, 12]
    assert expected["code"].tolist() == ["age_years", "sex", "HR", "Temp", "K"]
    assert expected["numeric_value"].tolist() == pytest.approx([63, 0, 80, 37, 4.1])
    assert expected["time"].iloc[2] == pd.Timestamp("2000-01-01 00:30")


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_the_delimiter_means_nothing(tmp_path: Path, expected: pd.DataFrame, mark: str) -> None:
    path = csv_file(tmp_path, TEXT.replace(",", mark))
    pd.testing.assert_frame_equal(imported(path).table, expected)


def test_gzip_a_byte_order_mark_and_line_ends_mean_nothing(
    tmp_path: Path, expected: pd.DataFrame
) -> None:
    packed = tmp_path / "table.csv.gz"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode()))
    pd.testing.assert_frame_equal(imported(packed).table, expected)


def test_parquet_and_csv_are_the_same(tmp_path: Path, expected: pd.DataFrame) -> None:
    frame().to_parquet(tmp_path / "table.parquet")
    pd.testing.assert_frame_equal(imported(tmp_path / "table.parquet").table, expected)
    parts = tmp_path / "parts"
    parts.mkdir()
    frame().iloc[3:].to_parquet(parts / "0.parquet")
    frame().iloc[:3].to_parquet(parts / "1.parquet")
    pd.testing.assert_frame_equal(imported(parts).table, expected)


def test_columns_may_have_other_names_and_order(tmp_path: Path, expected: pd.DataFrame) -> None:
    names = {"subject_id": "patient", "time": "hours", "variable": "test", "value": "result"}
    table = frame().rename(columns=names)[["result", "hours", "unit", "test", "patient"]]
    table.assign(extra="x, y").to_csv(tmp_path / "table.csv", index=False)
    columns = TableColumns(subject_id="patient", time="hours", variable="test", value="result")
    pd.testing.assert_frame_equal(imported(tmp_path / "table.csv", columns=columns).table, expected)


def test_a_missing_column_is_named_with_those_found(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "subject_id,when,variable,value\n1,0,HR,80\n")
    with pytest.raises(SourceFormatError, match="no column 'time'; found subject_id, when, "):
        read_table(path)
    frame().drop(columns="value").to_parquet(tmp_path / "table.parquet")
    with pytest.raises(SourceFormatError, match="no column 'value'; found subject_id, time"):
        read_table(tmp_path / "table.parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found none"),
        ("subject_id,time,variable,value,value\n1,0,HR,80,1\n", "'value' is there more than once"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceFormatError, match=message):
        read_table(csv_file(tmp_path, text))


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceFormatError, match="must end in"):
        read_table(csv_file(tmp_path, TEXT, "table.xlsx"))


def test_without_a_unit_column_values_are_canonical(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "subject_id,time,variable,value\n1,0,HR,80\n1,1,HR,81\n")
    report = imported(path).report
    assert report.rows_without_unit == report.kept_observations == 2


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2031-05-06T07:08:09", "2031-05-06 07:08:09"),
        ("2031-05-06 07:08", "2031-05-06 07:08"),
        ("2031-05-06", "2031-05-06"),
        ("2031-05-06T07:08:09.123456Z", "2031-05-06 07:08:09.123456"),
        ("2031-05-06T07:08:09+02:00", "2031-05-06 05:08:09"),
    ],
)
def test_dates_are_read_as_iso_8601(tmp_path: Path, text: str, moment: str) -> None:
    path = csv_file(tmp_path, f"subject_id,time,variable,value\n1,{text},HR,80\n")
    raw = read_table(path)
    assert not raw.is_relative
    assert import_table(raw, catalogue=CHALLENGE).table["time"].tolist() == [pd.Timestamp(moment)]


def test_typed_dates_and_text_dates_are_the_same(tmp_path: Path) -> None:
    table = frame().assign(time=pd.to_datetime("2031-05-06 07:08"))
    table.to_parquet(tmp_path / "typed.parquet")
    table.astype({"time": "str"}).to_csv(tmp_path / "text.csv", index=False)
    one, two = imported(tmp_path / "typed.parquet"), imported(tmp_path / "text.csv")
    pd.testing.assert_frame_equal(one.table, two.table)


def test_the_format_of_times_can_be_said(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "subject_id,time,variable,value\n1,20310506,HR,80\n")
    assert imported(path).report.dropped_for("invalid_time") == 1
    dated = imported(path, time_format=TimeFormat.ISO).table
    assert dated["time"].tolist() == [pd.Timestamp("2031-05-06")]
    frame().to_parquet(tmp_path / "table.parquet")
    with pytest.raises(SourceFormatError, match="not ISO 8601"):
        read_table(tmp_path / "table.parquet", time_format=TimeFormat.ISO)


def test_what_cannot_be_read_is_counted_by_reason(tmp_path: Path) -> None:
    bad = ["1,x,HR,80,", "1,0,HR,high,", "1,0,HR,,", ",0,HR,80,", "1,0,,80,", "1,0,Pulse,80,"]
    bad += ["1,0,HR,80", "1,0,HR,80,/min,more", "1,,HR,80,", "1,0,HR,inf,", "1,2031-01-01,HR,80,"]
    report = imported(csv_file(tmp_path, TEXT + "\n".join(bad) + "\n")).report
    assert report.is_balanced
    assert report.rows_read == 5 + len(bad)
    assert report.kept_observations == 3
    found = {drop.reason: report.dropped_for(drop.reason) for drop in report.drops}
    assert found == {
        "invalid_time": 3,
        "invalid_value": 3,
        "malformed_row": 2,
        "missing_subject": 1,
        "unknown_variable": 2,
    }


def test_subjects_that_are_no_integers_keep_their_identifiers(tmp_path: Path) -> None:
    rows = [f"{name},0,HR,{rate}" for name, rate in (("p9", 90), ("p10", 100), ("p1", 10 + 1))]
    text = "\n".join(["subject_id,time,variable,value", *rows, "p10,1,HR,101"]) + "\n"
    report = import_source("table", csv_file(tmp_path, text), tmp_path / "out")
    numbers = dict(zip(("p1", "p10", "p9"), subject_numbers(("p1", "p10", "p9")), strict=True))
    assert report.subjects_without_observations == (numbers["p1"],)  # a rate of 11
    mapping = pd.read_csv(tmp_path / "out" / "metadata" / "subject_ids.csv")
    assert dict(zip(mapping["source_id"], mapping["subject_id"], strict=True)) == numbers
    cohort = read_cohort(tmp_path / "out").cohort
    found = {series.subject_id: series.values.tolist() for series in cohort}
    assert found == {"p10": [100.0, 101.0], "p9": [90.0]}


def test_identifiers_that_only_look_like_one_number_stay_apart(tmp_path: Path) -> None:
    text = "subject_id,time,variable,value\n007,0,HR,70\n7,0,HR,80\n"
    assert imported(csv_file(tmp_path, text)).report.subjects_kept == 2


def test_integer_subjects_need_no_mapping(tmp_path: Path) -> None:
    import_source("table", csv_file(tmp_path, TEXT), tmp_path / "out")
    assert not (tmp_path / "out" / "metadata" / "subject_ids.csv").exists()
    assert read_cohort(tmp_path / "out").cohort.subject_ids == ("1", "12")


@pytest.mark.parametrize(("text", "index"), [("F", 0), ("male", 1), ("Female", 0), ("1", 1)])
def test_a_category_may_be_a_word(tmp_path: Path, text: str, index: int) -> None:
    table = f"subject_id,time,variable,value\n1,0,HR,80\n1,,gender,{text}\n"
    code_map = CodeMap({"gender": Target("sex")})
    raw = read_table(csv_file(tmp_path, table), code_map=code_map)
    result = import_table(raw, catalogue=CHALLENGE, code_map=code_map)
    assert result.table["numeric_value"].tolist() == [index, 80]


def test_a_table_without_any_observation_is_refused_with_the_reasons(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "subject_id,time,variable,value\n1,0,Pulse,80\n")
    with pytest.raises(EmptySourceError, match="unknown_variable") as caught:
        import_source("table", path, tmp_path / "out")
    assert "Pulse" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_import_never_repeats_a_value(tmp_path: Path) -> None:
    bad = "1,0,HR,987654,\n1,1,Temp,-123456,\n"
    report = import_source("table", csv_file(tmp_path, TEXT + bad), tmp_path / "out")
    written = (tmp_path / "out" / "metadata" / "import_report.json").read_text()
    for text in ("\n".join(report.lines()), written):
        assert "987654" not in text
        assert "123456" not in text


def test_a_code_map_file_serves_the_command_line(tmp_path: Path) -> None:
    code_map = csv_file(tmp_path, "code,variable,unit\nPulse,HR,\nT,Temp,[degF]\n", "map.csv")
    text = "subject_id,time,variable,value\n1,0,Pulse,80\n1,0,T,98.6\n"
    path = csv_file(tmp_path, text)
    report = import_source("table", path, tmp_path / "out", code_map=code_map, name="mine")
    assert report.kept_observations == 2
    dataset = read_cohort(tmp_path / "out")
    assert dataset.name == "mine"
    assert dataset.cohort.values.tolist() == pytest.approx([80, 37])


def test_the_kinds_and_the_source_are_checked(tmp_path: Path) -> None:
    path = csv_file(tmp_path, TEXT)
    with pytest.raises(DatasetError, match=", ".join(KINDS)):
        import_source("excel", path, tmp_path / "out")
    with pytest.raises(SourceFormatError, match="no such file"):
        import_source("table", tmp_path / "gone.csv", tmp_path / "out")
