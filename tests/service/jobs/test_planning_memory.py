"""What planning holds in memory does not grow with the input."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.data.variables import Catalogue
from model.records.sources.opening import open_source
from model.records.sources.options import SourceFormat, SourceOptions
from service.jobs.planning.sorting import SortedRuns

_MAPS = Path("/proc/self/maps")
_RUN_ROWS = 4_096
# Of ten times the input; what is rounded up differs a little.
_MAX_RATIO = 1.25


def peak_bytes(batches: Iterable[object]) -> int:
    """The most that Arrow has allocated while something is gone through."""
    before = pa.total_allocated_bytes()
    return max(pa.total_allocated_bytes() - before for _ in batches)


def rows_of(path: Path, source_format: SourceFormat) -> Iterable[object]:
    return open_source(path, SourceOptions(format=source_format), Catalogue((), ()))


def write_groups(path: Path, num_groups: int) -> Path:
    rng = np.random.default_rng(0)
    size = 20_000
    schema = pa.schema(
        [
            ("subject_id", pa.string()),
            ("time", pa.float64()),
            ("variable", pa.string()),
            ("value", pa.float64()),
        ]
    )
    with pq.ParquetWriter(path, schema) as writer:
        for _ in range(num_groups):
            subjects = pa.array(rng.integers(10_000, size=size)).cast(pa.string())
            hours, values = rng.random(size), rng.random(size)
            variables = pa.repeat(pa.scalar("HR"), size)
            writer.write_table(pa.table([subjects, hours, variables, values], schema=schema))
    return path


def runs_of(folder: Path, num_runs: int) -> SortedRuns:
    """Runs that each hold subjects of the whole range."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    runs = SortedRuns(folder, run_rows=_RUN_ROWS)
    for _ in range(num_runs):
        subjects = pa.array(rng.integers(10_000, size=_RUN_ROWS))
        values = pa.array(rng.random(_RUN_ROWS))
        runs.add(pa.record_batch({"subject_id": subjects, "value": values}))
    return runs


def test_reading_a_longer_parquet_file_holds_no_more(tmp_path: Path) -> None:
    short, long = (
        peak_bytes(rows_of(write_groups(tmp_path / f"{size}", size), SourceFormat.PARQUET))
        for size in (3, 30)
    )
    assert long <= _MAX_RATIO * short


def test_reading_a_csv_file_holds_a_part_of_it(tmp_path: Path) -> None:
    lines = b"".join(b"s%07d,%d.25,HR,80.5\n" % (number, number % 48) for number in range(50_000))
    path = tmp_path / "long.csv"
    with path.open("wb") as file:
        file.write(b"subject_id,time,variable,value\n")
        file.writelines([lines] * 60)
    assert peak_bytes(rows_of(path, SourceFormat.CSV)) < path.stat().st_size


def test_merging_more_runs_holds_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.jobs.planning.sorting._MAX_OPEN", 4)
    monkeypatch.setattr("service.jobs.planning.sorting._BATCH_ROWS", 256)
    few, many = (peak_bytes(runs_of(tmp_path / f"{size}", size).merged()) for size in (4, 40))
    assert many <= _MAX_RATIO * few


@pytest.mark.skipif(not _MAPS.exists(), reason="says what is mapped on Linux only")
def test_runs_are_not_mapped(tmp_path: Path) -> None:
    merging = runs_of(tmp_path / "runs", 3).merged()
    next(merging)
    assert "run-" not in _MAPS.read_text(encoding="utf-8")
