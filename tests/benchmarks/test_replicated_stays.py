"""The repeated stays are as many as asked for, and each is one of the data set."""

from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq

from tests.benchmarks.replicated_stays import StayPool
from tests.service.jobs.tables import observations, write_meds

ROWS = [one for one in observations(4, seed=3) if one["time"] is not None]
Courses = dict[int, tuple[tuple[object, ...], ...]]


def courses(path: Path) -> Courses:
    """The rows of every subject, in their order."""
    found = defaultdict(list)
    for one in pq.read_table(path).to_pylist():
        found[one.pop("subject_id")].append(tuple(one.values()))
    return {subject: tuple(rows) for subject, rows in found.items()}


def test_every_stay_comes_again_under_ids_of_its_own(tmp_path: Path) -> None:
    data = write_meds(tmp_path / "in", ROWS)
    told: list[int] = []
    pool = StayPool.read(data, rows_per_stay=None)
    written = pool.write(tmp_path / "out.parquet", 10, told.append)
    made = courses(tmp_path / "out.parquet")
    assert sorted(made) == list(range(10))
    assert told == [4, 8, 10]
    assert written.num_rows == sum(map(len, made.values()))
    known = {frozenset(rows) for rows in courses(data / "data" / "0.parquet").values()}
    assert {frozenset(rows) for rows in made.values()} == known


def test_rows_lie_in_the_order_of_arrival_and_stays_may_be_thinned(tmp_path: Path) -> None:
    data = write_meds(tmp_path / "in", ROWS)
    pool = StayPool.read(data, rows_per_stay=3)
    pool.write(tmp_path / "out.parquet", 4, lambda _done: None)
    times = pq.read_table(tmp_path / "out.parquet").column("time").to_pylist()
    assert times == sorted(times)
    assert {len(rows) for rows in courses(tmp_path / "out.parquet").values()} == {3}
