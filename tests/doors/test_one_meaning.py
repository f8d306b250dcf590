"""One record, one meaning: however it is written, the same observations and the same answer, bit by bit."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.data.series import Cohort
from model.records.labels import Labels
from model.records.reading import read_records
from model.records.row_columns import RowColumns
from model.records.sources.opening import open_source
from model.records.sources.options import SourceOptions
from model.runtime.predictor import Predictor
from service.inference.query import Reach
from service.inference.requests import read_request
from service.inference.schemas import ImputeRequest
from service.settings import Settings
from tests.catalogues import CHALLENGE
from tests.doors.records import START, WAYS, Row, body_of
from tests.service.jobs.tables import fill

_UNITS: Final = {
    "HR": (None, "/min", "bpm"),
    "Temp": (None, "Cel", "[degF]"),
    "Urine": ("mL", "dL"),
    "GCS": (None,),
    "Glucose": ("mg/dL", "mmol/L"),
    "TroponinT": ("ug/L", "ng/mL"),
    "MechVent": (None,),
}
_LIMITED: Final = ("Glucose", "TroponinT", "Temp")


def _numbers(name: str) -> st.SearchStrategy[float]:
    """Return values that a float32 of MEDS can carry: of few digits."""
    if name in ("GCS", "MechVent"):
        return st.integers(0, 15).map(float)
    return st.one_of(
        st.integers(0, 400).map(float),
        st.decimals(0, 150, places=2).map(float),
        st.decimals(0, 1, places=4).map(float),
    )


@st.composite
def _rows(draw: st.DrawFn) -> Row:
    """Draw an observation: a measured value or a limit."""
    name = draw(st.sampled_from(sorted(_UNITS)))
    at = draw(st.integers(0, 30 * 60).map(lambda minute: minute / 60))
    value: float | str = draw(_numbers(name))
    unit = draw(st.sampled_from(_UNITS[name]))
    if name in _LIMITED and draw(st.booleans()):
        value = draw(st.sampled_from(["<", "> ", "<=", ">= "])) + repr(value)
    return Row(name, value, unit, at, subject="7", zone=draw(st.integers(-11, 12)))


_STATICS: Final = st.lists(
    st.one_of(
        st.integers(0, 120).map(lambda age: Row("age_years", float(age), None, None, subject="7")),
        st.sampled_from(["f", "M", "female"]).map(
            lambda sex: Row("sex", sex, None, None, subject="7")
        ),
        st.just(Row("age_years", "> 89", None, None, subject="7")),
    ),
    max_size=2,
    unique_by=lambda row: row.variable,
)
RECORDS: Final = st.tuples(_STATICS, st.lists(_rows(), min_size=1, max_size=12)).map(
    lambda parts: [*parts[0], *parts[1]]
)


def of_files(way: str, folder: Path, rows: Sequence[Row]) -> Cohort:
    """Write a record as files, and read it."""
    folder.mkdir()
    source = WAYS[way].write(folder, rows)
    options = SourceOptions(format=WAYS[way].format)
    batches = [one.batch for one in open_source(source, options, CHALLENGE)]
    table = pa.Table.from_batches(batches)
    subjects = Labels.of(table.column("subject_id"))
    columns = RowColumns.of(table, subjects.codes, len(subjects.names))
    return read_records(columns, subjects.names, CHALLENGE).cohort


def of_request(rows: Sequence[Row]) -> Cohort:
    """Post a record in mind, and read it; an empty cohort where nothing of it is left."""
    # The query is of no interest here, and the first time may be one that cannot be asked for.
    read = read_request(
        ImputeRequest.model_validate_json(json.dumps(body_of(rows))),
        catalogue=CHALLENGE,
        settings=Settings(),
        reach=Reach.ANYWHERE,
    )
    return Cohort.from_series(read.good[0].pieces)


def told(cohort: Cohort) -> tuple[Any, ...]:
    """Return all of a cohort, to the last bit."""
    arrays = (cohort.offsets, cohort.times_hours, cohort.channels, cohort.values, cohort.censoring)
    statics = np.nan_to_num(cohort.statics, nan=-1)
    return (cohort.subject_ids, *(array.tolist() for array in (*arrays, statics)))


@settings(max_examples=40)
@given(RECORDS)
def test_every_way_to_write_a_record_gives_the_same_observations(rows: list[Row]) -> None:
    # A heart rate that is there in any case, so that something is left and can be asked for.
    rows = [*rows, Row("HR", 71.0, "/min", 31.0, subject="7")]
    expected = told(of_request(rows))
    with tempfile.TemporaryDirectory() as name:
        for way in WAYS:
            assert told(of_files(way, Path(name) / way, rows)) == expected, way


def _example(seed: int) -> list[Row]:
    """A record of an intensive care unit, with every kind of variable."""
    generator = np.random.default_rng(seed)
    rows = [Row("age_years", float(40 + seed), None, None, subject="7")]
    rows += [Row("sex", "M" if seed % 2 else "f", None, None, subject="7")]
    middles = {"HR": 85.0, "Temp": 37.0, "Urine": 80.0, "Glucose": 130.0, "MAP": 75.0}
    for name, middle in middles.items():
        for hour in np.sort(generator.choice(24, 5, replace=False)).tolist():
            value = round(middle * float(1 + 0.1 * generator.standard_normal()), 1)
            rows.append(Row(name, value, None, float(hour), subject="7", zone=seed))
    rows += [Row("GCS", 14.0, None, 3.0, subject="7"), Row("MechVent", 1.0, None, 4.0, subject="7")]
    rows += [Row("TroponinT", "<0.01", "ug/L", 2.0, subject="7")]
    rows += [Row("Urine", 50.0, "mL", 2.0, subject="7"), Row("Urine", 50.0, "mL", 2.0, subject="7")]
    return [*rows, Row("Glucose", 7.1, "mmol/L", 5.5, subject="7")]


HOURS: Final = (0.25, 6.75, 13.25, 27.5)
NUMBERS: Final = ("value", "standard_deviation", "q0.05", "q0.5", "q0.95")


def _asked(way: str, folder: Path) -> Path:
    """Write the table of query times, in the format of the records where that is one of tables."""
    moments = [(START + np.timedelta64(round(hour * 60), "m").item()) for hour in HOURS]
    # MEDS has clocks without an offset.
    texts = [(one.replace(tzinfo=None) if way == "meds" else one).isoformat() for one in moments]
    rows = [{"subject_id": "7", "time": text} for text in texts]
    ending = way if way in ("parquet", "ndjson") else "csv"
    path = folder / f"times.{ending}"
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif ending == "ndjson":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text("subject_id,time\n" + "".join(f"7,{text}\n" for text in texts))
    return path


# One variable: of several, a request asks in another order than a job, and float32 sums depend on it.
@pytest.mark.parametrize(("seed", "asked"), list(enumerate(["HR", "MAP", "TroponinT"])))
def test_every_door_gives_the_same_answer_to_the_last_bit(
    client: httpx.Client, predictor: Predictor, tmp_path: Path, seed: int, asked: str
) -> None:
    rows = _example(seed)
    body = body_of(rows)
    times = [(START + np.timedelta64(round(hour * 60), "m").item()).isoformat() for hour in HOURS]
    body["series"][0]["query"] = {"times": times, "variables": [asked]}
    answer = client.post("/v1/impute", json=body)
    assert answer.status_code == 200, answer.text
    variable = answer.json()["series"][0]["variables"][asked]
    quantiles = [variable["quantiles"][level] for level in ("0.05", "0.5", "0.95")]
    columns = (variable["mean"], variable["standard_deviation"], *quantiles)
    posted = list(zip(*columns, strict=True))
    found = {}
    for way in WAYS:
        folder = tmp_path / way
        folder.mkdir()
        filled = fill(
            predictor,
            WAYS[way].write(folder, rows),
            folder / "job",
            times=_asked(way, folder),
            format=WAYS[way].format,
            fill={"kind": "times_table"},
            variables=[asked],
        )
        rows_by_time = sorted(filled.rows, key=lambda one: one["time"])
        found[way] = [tuple(one[name] for name in NUMBERS) for one in rows_by_time]
    assert found == dict.fromkeys(WAYS, found["csv"])
    # An answer over HTTP has nine digits, one of a job is a float32: each is the other one rounded.
    as_posted, as_filled = np.array(posted), np.array(found["csv"], dtype=np.float32)
    rounded = 0.5 * np.spacing(as_filled) + 0.5 * 10 ** (np.floor(np.log10(as_posted)) - 8)
    assert np.all(np.abs(as_posted - as_filled) <= rounded)
