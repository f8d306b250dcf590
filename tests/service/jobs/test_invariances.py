"""What must not change an answer: repetition, chunks, order, format, company."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from model.runtime.predictor import Predictor
from tests.service.jobs.tables import (
    EPOCH_MICROSECONDS,
    Json,
    assert_same_bytes,
    fill,
    instant,
    observations,
    row,
    write_csv,
    write_fhir,
    write_meds,
    write_ndjson,
    write_parquet,
)

ROWS = observations(12, seed=1, mean_observations=25)


def assert_same_rows(ours: list[Json], theirs: list[Json]) -> None:
    """Words and times are equal; numbers are, to float32 in another order of summation."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            if isinstance(value, float):
                assert other[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name
            else:
                assert other[name] == value, name


def point(one: Json) -> tuple[object, ...]:
    return one["subject_id"], one["time"], one["variable"]


@pytest.mark.parametrize("output_format", ["parquet", "csv", "ndjson"])
@pytest.mark.parametrize("shape", ["long", "wide"])
def test_a_repeated_job_gives_the_same_bytes(
    predictor: Predictor, tmp_path: Path, output_format: str, shape: str
) -> None:
    source = write_parquet(tmp_path / "in.parquet", ROWS)
    output = {"format": output_format, "shape": shape}
    first = fill(predictor, source, tmp_path / "a", output=output, chunk_subjects=5)
    second = fill(predictor, source, tmp_path / "b", output=output, chunk_subjects=5)
    assert first.parts == second.parts
    assert len(first.parts) == 3
    assert (first.plan, first.results) == (second.plan, second.results)


@pytest.mark.parametrize("chunk_subjects", [1, 5, 11])
def test_the_size_of_chunks_changes_no_row(
    predictor: Predictor, tmp_path: Path, chunk_subjects: int
) -> None:
    source = write_parquet(tmp_path / "in.parquet", ROWS)
    whole = fill(predictor, source, tmp_path / "whole", chunk_subjects=1000)
    cut = fill(predictor, source, tmp_path / "cut", chunk_subjects=chunk_subjects)
    assert len(cut.parts) == -(-12 // chunk_subjects)
    assert_same_rows(whole.rows, cut.rows)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_of_rows_changes_no_byte(predictor: Predictor, tmp_path: Path, seed: int) -> None:
    shuffled = [ROWS[place] for place in np.random.default_rng(seed).permutation(len(ROWS))]
    ordered = fill(predictor, write_parquet(tmp_path / "a.parquet", ROWS), tmp_path / "a")
    other = fill(predictor, write_parquet(tmp_path / "b.parquet", shuffled), tmp_path / "b")
    assert_same_bytes(ordered, other)


def test_several_files_are_one_table(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_parquet(tmp_path / "in" / "b.parquet", ROWS[::2])
    write_parquet(tmp_path / "in" / "a.parquet", ROWS[1::2])
    one = fill(predictor, write_parquet(tmp_path / "one.parquet", ROWS), tmp_path / "a")
    assert_same_bytes(one, fill(predictor, tmp_path / "in", tmp_path / "b"))


def test_csv_and_ndjson_are_the_same_as_parquet(predictor: Predictor, tmp_path: Path) -> None:
    parquet = fill(predictor, write_parquet(tmp_path / "in.parquet", ROWS), tmp_path / "a")
    csv = fill(predictor, write_csv(tmp_path / "in.csv", ROWS), tmp_path / "b", format="csv")
    ndjson = fill(
        predictor, write_ndjson(tmp_path / "in.ndjson", ROWS), tmp_path / "c", format="ndjson"
    )
    assert_same_bytes(parquet, csv, ndjson)


def test_the_sex_of_a_patient_is_a_descriptor(predictor: Predictor, tmp_path: Path) -> None:
    plain = [one for one in ROWS if one["time"] is not None]
    names = sorted({one["subject_id"] for one in ROWS})
    patients = [{"resourceType": "Patient", "id": name, "gender": "male"} for name in names]
    path = write_fhir(tmp_path / "in.ndjson", plain)
    path.write_text("".join(f"{json.dumps(one)}\n" for one in patients) + path.read_text())
    told = [one | {"time": instant(one["time"])} for one in plain]
    sexes = [row(name, None, "sex", "male") for name in names]
    csv = write_csv(tmp_path / "in.csv", [*told, *sexes])
    fhir = fill(predictor, path, tmp_path / "fhir", format="fhir")
    assert_same_bytes(fhir, fill(predictor, csv, tmp_path / "csv", format="csv"))
    assert {one["subject_id"] for one in fhir.rows} == set(names)


def test_instants_are_the_same_in_every_format(predictor: Predictor, tmp_path: Path) -> None:
    """MEDS has times without a zone, and integers as subjects, which are sorted as text."""
    plain = [one for one in ROWS if one["time"] is not None]
    told = [one | {"time": instant(one["time"])} for one in plain]
    stamped = [one | {"time": EPOCH_MICROSECONDS + round(one["time"] * 3.6e9)} for one in plain]
    zoned = write_parquet(
        tmp_path / "in.parquet", stamped, time=pa.timestamp("us", tz="Asia/Tokyo")
    )
    parquet = fill(predictor, zoned, tmp_path / "a")
    csv = fill(predictor, write_csv(tmp_path / "in.csv", told), tmp_path / "b", format="csv")
    fhir = fill(
        predictor, write_fhir(tmp_path / "fhir.ndjson", plain), tmp_path / "c", format="fhir"
    )
    meds = fill(predictor, write_meds(tmp_path / "meds", plain), tmp_path / "d", format="meds")
    assert_same_bytes(parquet, csv, fhir)
    assert str(parquet.table.schema.field("time").type) == "timestamp[us, tz=UTC]"
    assert str(meds.table.schema.field("time").type) == "timestamp[us]"
    numbered = [
        one | {"subject_id": int(one["subject_id"][1:]), "time": one["time"].replace(tzinfo=None)}
        for one in parquet.rows
    ]
    assert_same_rows(sorted(numbered, key=point), sorted(meds.rows, key=point))


def test_a_shift_to_dates_changes_no_number(predictor: Predictor, tmp_path: Path) -> None:
    dated = [one | {"time": None if one["time"] is None else instant(one["time"])} for one in ROWS]
    hours = fill(predictor, write_csv(tmp_path / "a.csv", ROWS), tmp_path / "a", format="csv")
    dates = fill(predictor, write_csv(tmp_path / "b.csv", dated), tmp_path / "b", format="csv")
    timeless = [[one | {"time": 0} for one in filled.rows] for filled in (hours, dates)]
    assert_same_rows(*timeless)


def test_wide_rows_hold_the_same_as_long_rows(predictor: Predictor, tmp_path: Path) -> None:
    source = write_parquet(tmp_path / "in.parquet", ROWS)
    long = fill(predictor, source, tmp_path / "a").rows
    wide = fill(predictor, source, tmp_path / "b", output={"shape": "wide"}).rows
    by_point = {(one["subject_id"], one["time"]): one for one in wide}
    assert len(by_point) == len(wide)
    for one in long:
        point = by_point[one["subject_id"], one["time"]]
        assert point[one["variable"]] == one["value"]
        for name in ("standard_deviation", "q0.05", "q0.95", "origin", "status"):
            assert point[f"{one['variable']}_{name}"] == one[name]
    filled = sum(one[f"{name}_status"] is not None for one in wide for name in ("HR", "MAP"))
    assert filled == sum(one["variable"] in ("HR", "MAP") for one in long)
