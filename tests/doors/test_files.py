"""Files at both doors that read them: rows that nobody wrote, and what stops a reader."""

import bz2
import gzip
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.records.codes import CodeMap
from model.records.errors import SourceError
from model.records.sources.options import SourceFormat, SourceOptions
from service.jobs.errors import JobInputError
from service.jobs.planning.plan import make_plan
from service.jobs.request import JobRequest
from tests.catalogues import CHALLENGE
from tests.doors.doors import Outcome, through_import, through_job
from training.datasets.errors import OutputInsideSourceError
from training.datasets.importing import ImportOptions, import_source

HEADER: Final = "subject_id,time,variable,value\n"
GOOD: Final = HEADER + "1,0,HR,80\n1,1,HR,90\n"
TWO: Final = ("HR = 80", "HR = 90")
EXCEL: Final = (
    "subject_id;charttime;variable;value\n1;03.02.2024 10:00;HR;80,5\n1;03.02.2024 11:00;HR;90\n"
)


@dataclass(frozen=True)
class Files:
    """How files are written, and what is used of them at both doors."""

    kind: str
    write: Callable[[Path], object]
    used: tuple[str, ...] = TWO
    name: str = ""
    way: str = "csv"
    options: dict[str, Any] | None = None
    reasons: dict[str, int] | None = None


def text(name: str, content: str, encoding: str = "utf-8") -> Callable[[Path], object]:
    """Write one file of text."""
    return lambda folder: (folder / name).write_bytes(content.encode(encoding))


def _beside(*names: str) -> Callable[[Path], object]:
    """Write the good table as `a.csv`, and a heart rate of 130 under names of no data."""

    def write(folder: Path) -> None:
        text("a.csv", GOOD)(folder)
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(HEADER + "1,0,HR,130\n")

    return write


def _more(folder: Path) -> None:
    """Write three rows in three files with different endings."""
    text("a.csv", HEADER + "1,0,HR,80\n")(folder)
    text("b.tsv", HEADER.replace(",", "\t") + "1\t1\tHR\t90\n")(folder)
    (folder / "c.csv.bz2").write_bytes(bz2.compress((HEADER + "1,2,HR,100\n").encode()))


def _lists(folder: Path) -> None:
    """Write a table with a column of lists that nobody asked for."""
    table = {
        "subject_id": ["1", "1"],
        "time": [0.0, 1.0],
        "variable": ["HR", "HR"],
        "value": [80.0, 90.0],
        "notes": pa.array([["a"], ["b", "c"]]),
    }
    pq.write_table(pa.table(table), folder / "a.parquet")


CASES: Final = [
    Files("hidden names", _beside("._a.csv", ".ipynb_checkpoints/a.csv", "_temporary/a.csv")),
    Files("several endings", _more, (*TWO, "HR = 100")),
    Files("CR alone", text("a.csv", GOOD.replace("\n", "\r"))),
    Files("CR and LF", text("a.csv", GOOD.replace("\n", "\r\n"))),
    Files("UTF-16 of Excel", text("a.csv", GOOD.replace(",", "\t"), "utf-16")),
    Files("a mark of the byte order", text("a.csv", GOOD, "utf-8-sig")),
    Files("Excel of another country", text("a.csv", EXCEL), ("HR = 80.5", "HR = 90")),
    Files(
        "decimal commas in UTF-16",
        text("a.csv", EXCEL, "utf-16"),
        ("HR = 80.5", "HR = 90"),
    ),
    Files("compressed", lambda folder: (folder / "a.csv.gz").write_bytes(gzip.compress(GOOD.encode()))),
    Files("a column of lists", _lists, way="parquet"),
    Files("a name that is no text", text(os.fsdecode(b"a\xff.csv"), GOOD)),
    Files(
        "an own name of the time",
        text("a.csv", "who,when,what,result\n1,0,HR,80\n1,60,HR,90\n"),
        options={
            "columns": {"subject_id": "who", "time": "when", "variable": "what", "value": "result"}
        },
    ),
    Files(
        "own codes",
        text("a.csv", HEADER + "1,0,pulse at wrist,80\n1,1,T9,99.5\n"),
        ("HR = 80", "Temp = 37.5"),
        options={
            "codes": CodeMap.of({"pulse at wrist": "HR", "T9": {"variable": "Temp", "unit": "[degF]"}})
        },
    ),
    Files(
        "own codes in headers",
        text("a.csv", "stay_id,hour,pulse at wrist,T9\n1,0,80,\n1,1,,99.5\n"),
        ("HR = 80", "Temp = 37.5"),
        options={
            "codes": CodeMap.of({"pulse at wrist": "HR", "T9": {"variable": "Temp", "unit": "[degF]"}})
        },
    ),
    Files(
        "a row of too many fields",
        text("a.csv", GOOD + "1,2,HR,70,oops,1\n"),
        reasons={"malformed_row": 1},
    ),
    Files(
        "rows of nobody",
        text("a.csv", GOOD + ",2,HR,70\nNA,3,HR,71\nnull,4,HR,72\n"),
        reasons={"missing_subject": 3},
    ),
]  # fmt: skip


@pytest.mark.parametrize("files", CASES, ids=lambda files: files.kind)
def test_files_are_read_alike_at_both_doors(files: Files, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    try:
        files.write(source)
    except OSError:
        pytest.skip("this file system has names of text alone")
    options = files.options or {}
    expected = Outcome(tuple(sorted(files.used)), files.reasons or {})
    for number, door in enumerate((through_import, through_job)):
        assert door(files.way, source, tmp_path / str(number), **options) == expected


def test_what_is_passed_over_is_named(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    _beside("._a.csv", "_temporary/a.csv")(source)
    (source / "notes.docx").write_text("")
    options = ImportOptions(source=SourceOptions(format=SourceFormat.CSV), catalogue=CHALLENGE)
    report = import_source(source, tmp_path / "out", options)
    assert "passed over: ._a.csv, _temporary/a.csv, notes.docx" in "\n".join(report.lines())


@pytest.mark.parametrize("noise", ["a line\nand another", 'said ""no""\nand went'])
def test_quoted_ends_of_line_beyond_a_block_invent_no_row(tmp_path: Path, noise: str) -> None:
    size = 30_000
    lines = [f'{row % 9},{row / 10},HR,{60 + row % 40},"{noise} {row}"' for row in range(size)]
    source = tmp_path / "a.csv"
    source.write_text("subject_id,time,variable,value,note\n" + "\n".join(lines) + "\n")
    assert source.stat().st_size > 2**20
    options = ImportOptions(source=SourceOptions(format=SourceFormat.CSV), catalogue=CHALLENGE)
    report = import_source(source, tmp_path / "out", options)
    assert (report.rows_read, report.dropped) == (size, 0)
    plan = make_plan(source, JobRequest(format=SourceFormat.CSV), tmp_path / "job", CHALLENGE)
    assert (plan.num_rows, plan.ignored) == (size, {})


REFUSED: Final = {
    "a.xlsx": (b"PK\x03\x04" + bytes(100), "save the sheet as CSV"),
    "sheet.csv": (b"PK\x03\x04" + bytes(100), "save the sheet as CSV"),
    "parquet.csv": (b"PAR1" + bytes(100), "format `parquet`"),
    "empty.csv": (b"", ""),
    "other.csv": (b"a,b\n1,2\n", "--columns ours=theirs"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_says_what_to_do_at_both_doors(tmp_path: Path, name: str) -> None:
    content, advice = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    messages = []
    for number, door in enumerate((through_import, through_job)):
        with pytest.raises((SourceError, JobInputError)) as caught:
            door("csv", tmp_path / name, tmp_path / str(number))
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert advice in messages[0]


def test_an_import_refuses_an_output_inside_its_input_as_a_job_does(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    text("a.csv", GOOD)(source)
    (tmp_path / "link").symlink_to(source)
    options = ImportOptions(source=SourceOptions(format=SourceFormat.CSV))
    for out in (source / "out", source, tmp_path / "link" / "out"):
        with pytest.raises(OutputInsideSourceError, match="OUT lies inside"):
            import_source(source, out, options)
    assert [path.name for path in source.iterdir()] == ["a.csv"]


SUBJECTS: Final = {
    "whole floats": (["10000000000.0", "1e10", "10000000000"], ["10000000000"]),
    "blanks": (["a", "a ", " a"], ["a"]),
    "nobody": (["7", "NA", "NaN", "null", "None", "n/a", ""], ["7"]),
    "a leading zero": (["007", "7"], ["007", "7"]),
}


@pytest.mark.parametrize("kind", SUBJECTS)
@pytest.mark.parametrize("way", ["csv", "ndjson", "parquet"])
def test_who_a_subject_is_has_one_rule(tmp_path: Path, kind: str, way: str) -> None:
    written, expected = SUBJECTS[kind]
    rows = [
        {"subject_id": one, "time": hour, "variable": "HR", "value": 80 + hour}
        for hour, one in enumerate(written)
    ]
    source = tmp_path / f"in.{way}"
    if way == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), source)
    elif way == "ndjson":
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [",".join(map(str, row.values())) for row in rows]
        source.write_text(HEADER + "\n".join(lines) + "\n")
    report = import_source(
        source, tmp_path / "out", ImportOptions(source=SourceOptions(format=SourceFormat(way)))
    )
    plan = make_plan(source, JobRequest(format=SourceFormat(way)), tmp_path / "job", CHALLENGE)
    assert (report.subjects_read, plan.num_subjects) == (len(expected), len(expected))


def test_a_column_of_floats_names_whole_subjects(tmp_path: Path) -> None:
    table = {
        "subject_id": [10000000000.0, None],
        "time": [0.0, 0.0],
        "variable": ["HR", "HR"],
        "value": [80.0, 81.0],
    }
    pq.write_table(pa.table(table), tmp_path / "in.parquet")
    expected = Outcome(("HR = 80",), {"missing_subject": 1})
    for number, door in enumerate((through_import, through_job)):
        found = door("parquet", tmp_path / "in.parquet", tmp_path / str(number))
        assert found == expected
