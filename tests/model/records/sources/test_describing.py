from pathlib import Path

import pytest

from model.records.errors import SourceError
from model.records.sources.describing import describe_source, shape_of
from model.records.sources.options import SourceFormat, SourceOptions
from tests.model.records.sources.reading import write

CSV = SourceOptions(format=SourceFormat.CSV)


def test_a_long_table_of_excel(tmp_path: Path) -> None:
    write(
        tmp_path / "a.csv",
        "subject_id;time;variable;value\n1;1/2/24 9:00;K;4,1\n1;1;K;odd9\n",
        "utf-16",
    )
    write(tmp_path / "_b.csv", "")
    write(tmp_path / "c.parquet", "")
    found = describe_source(tmp_path, CSV)
    assert found.lines() == [
        "csv: 1 file, a long table (UTF-16-LE, semicolon, decimal comma)",
        "subject_id is the column subject_id, time is the column time, value is the column value",
        "passed over: _b.csv, c.parquet",
        "a time that was not understood looks like 9/9/99 9:99",
        "a value that is no number looks like aaa9",
    ]  # fmt: skip


def test_a_date_without_a_time_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "subject_id,time,HR\n1,2024-01-02,80\n")
    assert describe_source(path, CSV).time_shape == "9999-99-99"


def test_shapes_name_nobody() -> None:
    assert shape_of("Größe\u0003 12") == r"aaaaa\x03 99"
    assert shape_of("x" * 100) == "a" * 32 + "..."


def test_what_cannot_be_read_is_an_error_here_too(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        describe_source(tmp_path, CSV)


def test_other_formats_have_nothing_to_describe() -> None:
    options = SourceOptions(format=SourceFormat.FHIR)
    assert describe_source(Path("none"), options).lines() == []
