"""The same rows, written in every way that a table can be written, are the same rows."""

import bz2
import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from model.records.sources.options import SourceFormat
from tests.model.records.sources.reading import read

SUBJECTS = st.sampled_from(["1", "007", "10000000000", "a b", "Größe", "p-1"])
NUMBERS = st.one_of(
    st.integers(-1000, 100_000).map(str),
    st.floats(-1e6, 1e6, allow_subnormal=False).map(repr),
    st.decimals(0, 1000, places=2).map(str),
)
WORDS = st.text("ab \"',;|\té\n", max_size=8).map(lambda text: f"zz{text}")
VALUES = st.one_of(NUMBERS, NUMBERS.map("<{}".format), NUMBERS.map("> {}".format), WORDS)
TIMES = st.one_of(
    st.integers(0, 400).map(lambda quarter: repr(quarter / 4)),
    st.datetimes().map(lambda moment: moment.replace(year=2026).isoformat(" ")),
    st.datetimes().map(lambda moment: moment.replace(year=2150).isoformat() + "Z"),
)
VARIABLES = st.sampled_from(["HR", "K", "Troponin T", "8867-4", "Vent", "µ"])


@dataclass(frozen=True)
class Row:
    subject: str
    time: str
    variable: str
    value: str


ROWS = st.lists(
    st.builds(Row, SUBJECTS, TIMES, VARIABLES, VALUES),
    min_size=1,
    max_size=12,
    unique_by=lambda row: (row.subject, row.time, row.variable),
)
HEADER = ("subject_id", "time", "variable", "value")


@dataclass(frozen=True)
class Written:
    """How a text table is written."""

    encoding: str
    delimiter: str
    has_comma: bool
    end: str
    quoting: int
    compress: Callable[[bytes], bytes]


DIALECTS = st.builds(
    Written,
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"]),
    st.sampled_from(",;\t|"),
    st.booleans(),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from([bytes, gzip.compress, bz2.compress]),
)


def _write(path: Path, table: list[list[str]], how: Written) -> Path:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=how.delimiter, lineterminator=how.end, quoting=how.quoting)  # type: ignore[arg-type]
    for row in table:
        cells = row
        if how.has_comma and how.delimiter != ",":
            cells = [cell if "z" in cell else cell.replace(".", ",") for cell in row]
        writer.writerow(cells)
    path.write_bytes(how.compress(text.getvalue().encode(how.encoding)))
    return path


def _long(rows: list[Row]) -> list[list[str]]:
    return [list(HEADER), *([r.subject, r.time, r.variable, r.value] for r in rows)]


def _wide(rows: list[Row]) -> list[list[str]]:
    """A column for each variable, in the order in which they come."""
    names = list(dict.fromkeys(row.variable for row in rows))
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        cells.setdefault((row.subject, row.time), {})[row.variable] = row.value
    return [
        ["time", *names, "stay_id"],
        *(
            [time, *(found.get(name, "") for name in names), subject]
            for (subject, time), found in cells.items()
        ),
    ]


@settings(max_examples=40)
@given(ROWS, DIALECTS, DIALECTS)
def test_every_way_to_write_a_table_gives_the_same_rows(
    rows: list[Row], long_dialect: Written, wide_dialect: Written
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        long, wide = _long(rows), _wide(rows)
        lines = [json.dumps(dict(zip(HEADER, row, strict=True))) for row in long[1:]]
        (folder / "a.ndjson").write_text("\n".join(lines))
        for table, file in ((long, "long.parquet"), (wide, "wide.parquet")):
            columns = [[cell or None for cell in column] for column in zip(*table[1:], strict=True)]
            pq.write_table(pa.table(dict(zip(table[0], columns, strict=True))), folder / file)
        expected = read(folder / "a.ndjson", SourceFormat.NDJSON)
        assert len(expected.sorted()) == len(rows)
        for path, source_format in (
            (folder / "long.parquet", SourceFormat.PARQUET),
            (folder / "wide.parquet", SourceFormat.PARQUET),
            (_write(folder / "long.csv", long, long_dialect), SourceFormat.CSV),
            (_write(folder / "wide.csv", wide, wide_dialect), SourceFormat.CSV),
        ):
            found = read(path, source_format)
            assert found.sorted() == expected.sorted(), path.name
            assert (found.ignored, found.remarks) == (expected.ignored, expected.remarks)


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(0, 40), st.floats(-1e6, 1e6)),
        min_size=1,
        unique_by=lambda row: row[:2],
    )
)
def test_numbers_are_the_same_to_the_last_bit_whether_typed_or_text(
    rows: list[tuple[int, int, float]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        objects = [
            {"subject_id": s, "time": t / 4, "variable": "K", "value": v} for s, t, v in rows
        ]
        (folder / "a.ndjson").write_text("\n".join(map(json.dumps, objects)))
        pq.write_table(pa.Table.from_pylist(objects), folder / "a.parquet")
        (folder / "a.csv").write_text(
            "\n".join([",".join(HEADER), *(f"{s},{t / 4},K,{v!r}" for s, t, v in rows)])
        )
        (folder / "w.csv").write_text(
            "\n".join(["hour,K,patient_id", *(f"{t / 4},{v!r},{s}" for s, t, v in rows)])
        )
        expected = read(folder / "a.ndjson", SourceFormat.NDJSON).sorted()
        for file, source_format in (
            ("a.parquet", SourceFormat.PARQUET),
            ("a.csv", SourceFormat.CSV),
            ("w.csv", SourceFormat.CSV),
        ):
            assert read(folder / file, source_format).sorted() == expected
