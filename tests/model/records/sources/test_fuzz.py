"""Whatever a file holds, a reader returns rows or raises `SourceError`, and repeats nothing of it."""

import bz2
import gzip
import io
import lzma
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.records.codes import read_code_map
from model.records.errors import SourceError
from model.records.sources.describing import describe_source
from model.records.sources.options import SourceFormat, SourceOptions
from tests.model.records.sources.reading import read

TABLES = (SourceFormat.CSV, SourceFormat.PARQUET, SourceFormat.NDJSON)
LONG = b'subject_id,time,variable,value,unit\n1,0.5,HR,80,/min\n2,1.5,"K,\n",<4.1,\xc2\xb5\n' * 3
WIDE = "stay_id;hour;HR;K [mmol/l]\n1;0,5;80;4,1\n2;1;;5,5\n".encode("utf-16")
LINES = (
    b'{"subject_id": 1, "time": 0, "variable": "HR", "value": "<1"}\n{"stay_id": 1, "hour": 2}\n'
)
MARKS = [
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xfe\xff",
    b"\x00",
    b"\r",
    b'"',
    b"\x1f\x8b",
    b"\xff",
    b"\n",
]


def _parquet() -> bytes:
    sink = io.BytesIO()
    columns = {"subject_id": ["1"], "time": [0.5], "variable": ["HR"], "value": [80.0]}
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def _try(content: bytes) -> None:
    """Read bytes as every kind of table; hypothesis sees anything but `SourceError`."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "file"
        path.write_bytes(content)
        for source_format in TABLES:
            for is_query in (False, True):
                with suppress(SourceError):
                    read(path, source_format, is_query=is_query)
            with suppress(SourceError):
                describe_source(path, SourceOptions(format=source_format)).lines()
        with suppress(SourceError):
            read_code_map(path)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300))
def test_random_bytes(content: bytes) -> None:
    _try(content)


@settings(max_examples=40)
@given(st.lists(st.sampled_from([*MARKS, b"time", b",", b"subject_id", b"HR", b"1"]), max_size=20))
def test_a_soup_of_marks(parts: list[bytes]) -> None:
    _try(b"".join(parts))


@settings(max_examples=80)
@given(
    st.sampled_from([LONG, WIDE, LINES, _parquet()]),
    st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 8), st.sampled_from([*MARKS, b""])), max_size=4
    ),
)
def test_damaged_tables(content: bytes, cuts: list[tuple[float, int, bytes]]) -> None:
    for place, size, inserted in cuts:
        at = int(place * len(content))
        content = content[:at] + inserted + content[at + size :]
    _try(content)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_file_that_ends_early_is_one_clear_error(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    rows = b"".join(b"%d,%d,HR,%d\n" % (i % 100, i, i * 7919 % 977) for i in range(100_000))
    whole = compress(b"subject_id,time,variable,value\n" + rows)
    for share in (0.999, 0.5, 0.01):
        path = tmp_path / "a.csv.gz"
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(SourceError, match=r"a\.csv\.gz: .*damaged or incomplete"):
            read(path)
        with pytest.raises(SourceError, match=r"a\.csv\.gz: "):
            read(path, SourceFormat.NDJSON)
