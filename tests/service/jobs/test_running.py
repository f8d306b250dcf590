"""Planning and filling: what chunks hold, which times are asked for, what is refused."""

import hashlib
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.records.rows import SCHEMA, TimeKind
from model.records.sources.options import SourceFormat
from model.runtime.predictor import Predictor
from service.errors import ServiceError
from service.inference.errors import Fault
from service.jobs.errors import ChunkAlteredError, JobInputError
from service.jobs.planning.chunks import Whole, chunk_path, cut, read_chunk
from service.jobs.planning.plan import load_plan, make_plan
from service.jobs.planning.sorting import SortedRuns
from service.jobs.request import JobRequest
from service.jobs.submitting import limited
from tests.catalogues import CHALLENGE
from tests.service.jobs.tables import (
    fill,
    observations,
    row,
    write_csv,
    write_parquet,
)

ROWS = observations(7, seed=9, mean_observations=10)


def test_an_altered_chunk_is_refused(tmp_path: Path) -> None:
    source = write_parquet(tmp_path / "in.parquet", ROWS)
    plan = make_plan(source, JobRequest(format=SourceFormat.PARQUET), tmp_path / "job", CHALLENGE)
    assert load_plan(tmp_path / "job") == plan
    (chunk,) = plan.chunks
    assert read_chunk(tmp_path / "job", chunk).table.num_rows == len(ROWS) == chunk.num_rows
    with pytest.raises(ChunkAlteredError, match="not the file that was planned"):
        read_chunk(tmp_path / "job", replace(chunk, sha256="0" * 64))
    chunk_path(tmp_path / "job", chunk.index).unlink()
    with pytest.raises(ChunkAlteredError, match="missing"):
        read_chunk(tmp_path / "job", chunk)


def test_a_result_tells_the_hash_of_its_part(predictor: Predictor, tmp_path: Path) -> None:
    source = write_parquet(tmp_path / "in.parquet", ROWS)
    filled = fill(predictor, source, tmp_path / "out")
    (result,) = filled.results
    assert result.sha256 == hashlib.sha256(filled.parts[0]).hexdigest()
    assert result.num_filled_rows == filled.table.num_rows
    assert result.num_abstained == sum(one["status"] == "abstained" for one in filled.rows)


def test_a_table_of_times_is_answered_as_it_asks(predictor: Predictor, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", ROWS)
    asked = [("s002", 5.25), ("s002", 1.5), ("s002", 1.5), ("s005", 60.0), ("s006", 900.0)]
    asked.append(("nobody", 1.0))
    times = write_csv(
        tmp_path / "times.csv", [{"subject_id": name, "time": time} for name, time in asked]
    )
    filled = fill(
        predictor,
        source,
        tmp_path / "out",
        times=times,
        format="csv",
        fill={"kind": "times_table"},
        variables=["HR"],
        max_outside_hours=168,
    )
    found = [(one["subject_id"], one["time"]) for one in filled.rows]
    assert found == [("s002", 1.5), ("s002", 5.25), ("s005", 60.0)]
    assert filled.quarantined == {"s006": Fault.QUERY_TOO_FAR, "nobody": Fault.NO_OBSERVATIONS}
    with pytest.raises(JobInputError, match="times_table"):
        fill(predictor, source, tmp_path / "b", format="csv", fill={"kind": "times_table"})
    with pytest.raises(JobInputError, match="times_table"):
        fill(predictor, source, tmp_path / "c", format="csv", times=times)


def test_how_far_a_job_may_ask_is_part_of_the_job(predictor: Predictor, tmp_path: Path) -> None:
    source = write_parquet(tmp_path / "in.parquet", [row("a", 1.0, "HR", 80.0)])
    times = write_parquet(tmp_path / "times.parquet", [{"subject_id": "a", "time": 31.0}])
    asked: dict[str, Any] = {"fill": {"kind": "times_table"}, "times": times}
    near = fill(predictor, source, tmp_path / "near", max_outside_hours=29, **asked)
    assert near.quarantined == {"a": Fault.QUERY_TOO_FAR}
    assert fill(predictor, source, tmp_path / "far", max_outside_hours=30, **asked).rows
    grid = {"kind": "grid", "forecast_hours": 30}
    with pytest.raises(JobInputError, match="29 hours") as caught:
        fill(predictor, source, tmp_path / "grid", max_outside_hours=29, fill=grid)
    assert (caught.value.code, caught.value.path) == ("query_too_far", "fill.forecast_hours")
    with pytest.raises(JobInputError, match="at most 29"):
        limited(JobRequest(format=SourceFormat.CSV, max_outside_hours=30), max_outside_hours=29)


@pytest.mark.parametrize("variables", [["HR", "nonsense"], ["MechVent"]])
def test_variables_that_are_not_estimated_are_refused(
    predictor: Predictor, tmp_path: Path, variables: list[str]
) -> None:
    source = write_parquet(tmp_path / "in.parquet", ROWS)
    with pytest.raises(ServiceError) as caught:
        fill(predictor, source, tmp_path / "out", variables=variables)
    assert "nonsense" not in str(caught.value)


def test_the_grid_covers_the_record(predictor: Predictor, tmp_path: Path) -> None:
    rows = [row("a", 0.9, "HR", 80.0), row("a", 2.1, "HR", 81.0), row("b", -7.2, "HR", 82.0)]
    source = write_parquet(tmp_path / "in.parquet", rows)
    half = fill(predictor, source, tmp_path / "a", fill={"kind": "grid", "minutes": 30})
    assert [(one["subject_id"], one["time"]) for one in half.rows] == [
        *[("a", time) for time in (0.5, 1.0, 1.5, 2.0)],
        ("b", -7.5),
    ]
    ahead = fill(
        predictor, source, tmp_path / "b", fill={"kind": "grid", "minutes": 60, "forecast_hours": 2}
    )
    assert [(one["time"], one["origin"]) for one in ahead.rows if one["subject_id"] == "a"] == [
        (0.0, "imputed"),
        (1.0, "imputed"),
        (2.0, "imputed"),
        (3.0, "forecast"),
        (4.0, "forecast"),
    ]


def batch_of(subjects: list[str]) -> pa.RecordBatch:
    size = len(subjects)
    kinds = SCHEMA
    given: dict[str, Any] = {
        "subject_id": subjects,
        "is_query": [False] * size,
        "time_kind": [1] * size,
        "hours": np.arange(size, dtype=float),
        "microseconds": [0] * size,
    }
    return pa.RecordBatch.from_pydict(
        {name: given.get(name, [None] * size) for name in kinds.names}, schema=kinds
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.lists(st.sampled_from(["", "a", "aa", "b", "c", "é", "z"]), min_size=1, max_size=9),
        min_size=1,
        max_size=12,
    ),
    run_rows=st.integers(1, 20),
    chunk_subjects=st.integers(1, 4),
    max_open=st.integers(2, 4),
)
def test_sorting_and_cutting_keep_every_row(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    batches: list[list[str]],
    run_rows: int,
    chunk_subjects: int,
    max_open: int,
) -> None:
    folder = tmp_path_factory.mktemp("sorting")
    (folder / "chunks").mkdir()
    monkeypatch.setattr("service.jobs.planning.sorting._MAX_OPEN", max_open)
    monkeypatch.setattr("service.jobs.planning.sorting._BATCH_ROWS", 3)
    runs = SortedRuns(folder, run_rows=run_rows)
    for subjects in batches:
        runs.add(batch_of(subjects))
    chunks = list(cut(runs.merged(), folder, Whole(TimeKind.HOURS), chunk_subjects=chunk_subjects))
    found = [
        [one["subject_id"] for one in read_chunk(folder, chunk).table.to_pylist()]
        for chunk in chunks
    ]
    assert [one for subjects in found for one in subjects] == sorted(itertools.chain(*batches))
    assert [len(set(subjects)) for subjects in found] == [chunk.num_subjects for chunk in chunks]
    assert all(chunk.num_subjects == chunk_subjects for chunk in chunks[:-1])
    assert not [file for file in folder.iterdir() if file.name.startswith("run-")]
