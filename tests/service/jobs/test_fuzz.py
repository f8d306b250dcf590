"""Whatever a table holds: every subject is answered or quarantined, and its neighbor is untouched."""

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from model.records.sources.options import SourceFormat
from model.runtime.predictor import Predictor
from service.inference.answers import Status
from service.inference.errors import Fault
from service.jobs.errors import JobInputError
from service.jobs.filling.answers import Origin
from service.jobs.planning.plan import make_plan
from service.jobs.request import JobRequest
from tests.catalogues import CHALLENGE
from tests.service.jobs.tables import Filled, Json, fill, observations, row

NAMES = st.sampled_from(
    ["HR", "MAP", "MechVent", "2345-7", "Urine", "age_years", "sex", "nonsense", "", None]
)
UNITS = st.sampled_from([None, "", "/min", "mm[Hg]", "kPa", "mmol/L", "1", "mL", "?"])
HOURS = st.one_of(
    st.floats(-50, 50),
    st.sampled_from([0.0, -0.0, 5e-324, 1e5, -1e5, 1e308, 0.1 + 0.2, 0.3, math.nan, math.inf]),
    st.none(),
)
TIMES = st.one_of(
    HOURS.map(lambda hours: None if hours is None else repr(hours)),
    st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    st.datetimes().map(str),
    st.sampled_from(["2026-03-29T02:30:00+01:00", "2026-03-29", "now", "1e3", "-", "0x10"]),
    st.text(max_size=8),
)
VALUES = st.one_of(st.floats(20, 200), st.floats(), st.none())
TEXTS = st.one_of(VALUES.map(str), st.sampled_from(["male", "<5", "1,5"]), st.text(max_size=5))
SUBJECTS = st.sampled_from(["x", "y", "é\n", '"', None])


def tables(times: Any, values: Any) -> Any:
    return st.lists(
        st.fixed_dictionaries(
            {
                "subject_id": SUBJECTS,
                "time": times,
                "variable": NAMES,
                "value": values,
                "unit": UNITS,
            }
        ),
        max_size=25,
    )


TYPED = tables(HOURS, VALUES)
TEXTUAL = tables(TIMES, TEXTS)
FILLS = st.sampled_from(
    [
        {"kind": "grid", "minutes": 60},
        {"kind": "grid", "minutes": 1440, "forecast_hours": 30},
        {"kind": "own_times"},
    ]
)
FEW = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
GOOD = [one | {"subject_id": "good"} for one in observations(1, seed=5, mean_observations=12)]
CODES = {fault.value for fault in Fault}


def write(path: Path, rows: list[Json], kind: pa.DataType) -> Path:
    types = dict.fromkeys(("subject_id", "variable", "unit"), pa.string())
    types |= {"time": kind, "value": kind}
    columns = {name: pa.array([one[name] for one in rows], types[name]) for name in types}
    pq.write_table(pa.table(columns), path)
    return path


def is_static(one: Json) -> bool:
    name = one["variable"] or ""
    return CHALLENGE.find(name) is None and CHALLENGE.find_static(name) is not None


def check(filled: Filled, rows: list[Json], alone: Filled) -> None:
    """Account for every subject, look at every number, and compare the good one's rows."""
    subjects = {one["subject_id"].strip() for one in rows if one["subject_id"]}
    answered = {one["subject_id"] for one in filled.rows}
    # Of whom there are descriptors alone, there is nothing to fill and nothing to refuse.
    told = {one["subject_id"].strip() for one in rows if one["subject_id"] and not is_static(one)}
    assert answered | set(filled.quarantined) == told | {"good"}
    assert told <= subjects
    assert not answered & set(filled.quarantined)
    assert set(filled.quarantined.values()) <= CODES
    for one in filled.rows:
        assert one["status"] in set(Status)
        assert one["origin"] in set(Origin)
        assert (one["value"] is None) == (
            one["status"] == Status.ABSTAINED and one["origin"] != Origin.OBSERVED
        )
        if one["value"] is not None:
            low, high = CHALLENGE[CHALLENGE.channel(one["variable"])].plausible_range
            slack = 1e-5 * max(abs(low), abs(high))
            assert low - slack <= one["value"] <= high + slack
    own = [one for one in filled.rows if one["subject_id"] == "good"]
    assert len(own) == len(alone.rows)
    for found, expected in zip(own, alone.rows, strict=True):
        for name, value in expected.items():
            is_number = isinstance(value, float)
            same = pytest.approx(value, rel=1e-4, abs=1e-5) if is_number else value
            assert found[name] == same, name


@pytest.mark.parametrize(("rows_of", "kind"), [(TYPED, pa.float64()), (TEXTUAL, pa.string())])
def test_every_subject_has_a_defined_end(
    predictor: Predictor, tmp_path_factory: pytest.TempPathFactory, rows_of: Any, kind: pa.DataType
) -> None:
    good = GOOD
    if kind == pa.string():
        # Many, so that what is usual in the job does not depend on the drawn rows.
        good = [
            one | {"time": one["time"] and str(one["time"]), "value": str(one["value"])}
            for one in GOOD * 3
        ]

    # Shrinking would run for minutes, and what was found is small.
    @settings(FEW, phases=[Phase.explicit, Phase.reuse, Phase.generate])
    @given(rows=rows_of, asked=FILLS)
    def run(rows: list[Json], asked: Json) -> None:
        folder = tmp_path_factory.mktemp("fuzz")
        options: dict[str, Any] = {"fill": asked}
        alone = fill(predictor, write(folder / "a", good, kind), folder / "alone", **options)
        source = write(folder / "b", rows + good, kind)
        filled = fill(predictor, source, folder / "out", chunk_subjects=2, **options)
        check(filled, rows, alone)

    run()


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(
        st.binary(max_size=60),
        st.text(max_size=60).map(str.encode),
        st.lists(
            st.sampled_from(
                [
                    b'{"subject_id":"a"',
                    b",",
                    b'"time":1',
                    b"}",
                    b"\n",
                    b"null",
                    b'"value":',
                    b"[",
                    b"1",
                ]
            )
        ).map(b"".join),
        st.lists(
            st.sampled_from([b"subject_id,time,variable,value\n", b"a,1,HR,80\n", b'"', b","])
        ).map(b"".join),
    ),
    input_format=st.sampled_from(["parquet", "csv", "ndjson", "fhir", "meds"]),
)
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, input_format: str
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "in").write_bytes(content)
    try:
        request = JobRequest(format=SourceFormat(input_format))
        plan = make_plan(folder / "in", request, folder / "job", CHALLENGE)
    except JobInputError:
        return
    assert plan.num_subjects >= 1


def test_duplicate_times_are_one_row(predictor: Predictor, tmp_path: Path) -> None:
    rows = [row("a", 1.0, "HR", value) for value in (80.0, 80.0, 90.0)] + [row("a", 2.0, "HR", 85)]
    source = write(tmp_path / "in", rows, pa.float64())
    filled = fill(predictor, source, tmp_path / "out", fill={"kind": "own_times"})
    found = [(one["time"], one["value"], one["origin"]) for one in filled.rows]
    assert found == [(1.0, 85.0, "observed"), (2.0, 85.0, "observed")]
