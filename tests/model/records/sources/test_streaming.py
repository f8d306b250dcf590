import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.records.sources.opening import open_source
from model.records.sources.options import SourceFormat, SourceOptions
from tests.model.records.sources.reading import NOTHING

# In a process of its own, because the largest size of a process never falls.
MEASURE = """
import resource, sys
from pathlib import Path
from model.data.variables import Catalogue
from model.records.sources.opening import open_source
from model.records.sources.options import SourceFormat, SourceOptions
options = SourceOptions(format=SourceFormat(sys.argv[2]))
rows = sum(one.batch.num_rows for one in open_source(Path(sys.argv[1]), options, Catalogue((), ())))
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def _write(path: Path, source_format: SourceFormat, num_rows: int) -> None:
    if source_format is SourceFormat.PARQUET:
        table = pa.table(
            {
                "subject_id": [f"subject {row // 50}" for row in range(20_000)],
                "time": [float(row % 50) for row in range(20_000)],
                "variable": ["HR"] * 20_000,
                "value": [float(row) for row in range(20_000)],
            }
        )
        with pq.ParquetWriter(path, table.schema) as writer:
            for _ in range(num_rows // 20_000):
                writer.write_table(table)
        return
    is_csv = source_format is SourceFormat.CSV
    with path.open("w") as opened:
        if is_csv:
            opened.write("subject_id;time;variable;value;note\n")
        line = '%d;%d,5;HR;%d,25;"a note\nof two lines"\n'
        if not is_csv:
            line = '{"subject_id": %d, "time": %d.5, "variable": "HR", "value": %d.25}\n'
        for row in range(num_rows):
            opened.write(line % (row // 50, row % 50, row % 977))


@pytest.mark.parametrize(
    "source_format", [SourceFormat.CSV, SourceFormat.NDJSON, SourceFormat.PARQUET]
)
def test_memory_does_not_grow_with_the_input(tmp_path: Path, source_format: SourceFormat) -> None:
    sizes = []
    for num_rows in (100_000, 600_000):
        path = tmp_path / "table"
        _write(path, source_format, num_rows)
        found = subprocess.run(
            [sys.executable, "-c", MEASURE, str(path), source_format],
            check=True,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[4],
        )
        rows, size = map(int, found.stdout.split())
        assert rows == num_rows
        sizes.append(size)
    assert sizes[1] - sizes[0] < 40, sizes


@pytest.mark.parametrize("source_format", [SourceFormat.CSV, SourceFormat.NDJSON])
def test_a_reader_that_is_left_early_ends_quietly(
    tmp_path: Path, source_format: SourceFormat
) -> None:
    path = tmp_path / "table"
    _write(path, source_format, 200_000)
    batches = open_source(path, SourceOptions(format=source_format), NOTHING)
    assert next(batches).batch.num_rows > 0
    batches.close()  # type: ignore[attr-defined]
