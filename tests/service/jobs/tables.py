"""Tables of several subjects for tests, in every input format, and jobs over them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from model.runtime.predictor import Predictor
from service.jobs.account import Account
from service.jobs.filling.filling import fill_chunk
from service.jobs.ledger.records import Part
from service.jobs.planning.plan import Plan, make_plan
from service.jobs.request import JobRequest
from tests.catalogues import CHALLENGE
from tests.series import random_cohort

Json = dict[str, Any]
EPOCH_MICROSECONDS = int(np.datetime64("2026-03-01T07:00:00", "us").astype(np.int64))


@dataclass(frozen=True)
class Filled:
    """What became of the chunks of a plan; the parts are in the folder."""

    folder: Path
    plan: Plan
    results: tuple[Part, ...]

    @property
    def parts(self) -> list[bytes]:
        """The bytes of the output, in order."""
        return [file.read_bytes() for file in sorted((self.folder / "parts").iterdir())]

    @property
    def table(self) -> pa.Table:
        """The rows of all Parquet parts, in order."""
        return pa.concat_tables(
            pq.read_table(file) for file in sorted((self.folder / "parts").iterdir())
        )

    @property
    def rows(self) -> list[Json]:
        """The same as dictionaries."""
        found: list[Json] = self.table.to_pylist()
        return found

    @property
    def account(self) -> Account:
        """What became of the rows."""
        planning = Account.of_planning(self.plan.ignored, self.plan.remarks)
        return Account.total([planning, *(one.account for one in self.results)])

    @property
    def quarantined(self) -> dict[Any, str]:
        """Code by subject."""
        lines = "".join(
            file.read_text() for file in sorted((self.folder / "quarantine").iterdir())
        ).splitlines()
        return {line["subject_id"]: line["code"] for line in map(json.loads, lines)}


def fill(
    predictor: Predictor,
    path: Path,
    folder: Path,
    *,
    times: Path | None = None,
    **request: Any,
) -> Filled:
    """Plan a file and fill its chunks in turn; the format is Parquet unless another is named."""
    asked = JobRequest.model_validate({"format": "parquet", **request})
    plan = make_plan(path, asked, folder, predictor.artifact.catalogue, times=times)
    parts, quarantine = folder / "parts", folder / "quarantine"
    for made in (parts, quarantine):
        made.mkdir()
    results = [
        fill_chunk(
            predictor,
            asked,
            folder,
            chunk,
            parts / f"{chunk.index:06d}.{asked.output.format}",
            quarantine / f"{chunk.index:06d}.ndjson",
        )
        for chunk in plan.chunks
    ]
    return Filled(folder, plan, tuple(results))


def observations(num_subjects: int, seed: int = 0, **changes: Any) -> list[Json]:
    """Rows in hours, sorted by subject, with the statics first and values of few digits."""
    cohort = random_cohort(num_subjects, np.random.default_rng(seed), **changes)
    found: list[Json] = []
    for number, series in enumerate(cohort):
        subject = f"s{number:03d}"
        for static, value in zip(CHALLENGE.statics, series.statics, strict=True):
            if not np.isnan(value) and not static.categories:
                found.append(row(subject, None, static.name, round(float(value), 1), None))
        for time, channel, value in zip(
            series.times_hours, series.channels, series.values, strict=True
        ):
            variable = CHALLENGE[int(channel)]
            rounded = float(f"{value:.4g}")
            found.append(row(subject, round(float(time), 4), variable.name, rounded, variable.unit))
    return found


def row(subject: str, time: Any, variable: str, value: Any, unit: str | None = None) -> Json:
    """One row of a table."""
    return {"subject_id": subject, "time": time, "variable": variable, "value": value, "unit": unit}


def instant(hours: float) -> str:
    """An ISO 8601 time in another zone than UTC."""
    moment = np.datetime64(EPOCH_MICROSECONDS + round(hours * 3.6e9) + 3_600_000_000, "us")
    return f"{moment}+01:00"


def write_parquet(path: Path, rows: Sequence[Json], **types: pa.DataType) -> Path:
    """Write rows; `types` are those of columns that are not plain."""
    kinds = {
        "subject_id": pa.string(),
        "time": pa.float64(),
        "variable": pa.string(),
        "value": pa.float64(),
        "unit": pa.string(),
        **types,
    }
    columns = {
        name: pa.array([one[name] for one in rows], kind)
        for name, kind in kinds.items()
        if not rows or name in rows[0]
    }
    pq.write_table(pa.table(columns), path)
    return path


def write_csv(path: Path, rows: Sequence[Json]) -> Path:
    """Write rows; what is None is empty."""
    names = list(rows[0])
    lines = [",".join(names)]
    lines += [
        ",".join("" if one[name] is None else str(one[name]) for name in names) for one in rows
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_ndjson(path: Path, rows: Sequence[Json]) -> Path:
    """Write rows, one object a line."""
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


def write_meds(path: Path, rows: Sequence[Json]) -> Path:
    """Write rows with instants as a MEDS data set; subjects are the digits of their names."""
    (path / "data").mkdir(parents=True)
    numbers = [int("".join(filter(str.isdigit, one["subject_id"]))) for one in rows]
    times = [
        None if one["time"] is None else EPOCH_MICROSECONDS + round(one["time"] * 3.6e9)
        for one in rows
    ]
    table = pa.table(
        {
            "subject_id": pa.array(numbers, pa.int64()),
            "time": pa.array(times, pa.int64()).cast(pa.timestamp("us")),
            "code": [one["variable"] for one in rows],
            "numeric_value": pa.array([one["value"] for one in rows], pa.float32()),
            "unit": pa.array([one["unit"] for one in rows], pa.string()),
        }
    )
    pq.write_table(table, path / "data" / "0.parquet")
    return path


def write_fhir(path: Path, rows: Sequence[Json]) -> Path:
    """Write rows as Observations; statics are not observations and are left out."""
    channels = CHALLENGE.channels
    resources = [
        {
            "resourceType": "Observation",
            "id": f"o{number}",
            "status": "final",
            "code": {
                "coding": [
                    {"system": "urn:local", "code": "x"},
                    {
                        "system": "http://loinc.org",
                        "code": CHALLENGE[channels[one["variable"]]].loinc,
                    },
                ]
            },
            "subject": {"reference": f"Patient/{one['subject_id']}"},
            "effectiveDateTime": instant(one["time"]),
            "valueQuantity": {"value": one["value"], "unit": one["unit"], "code": one["unit"]},
        }
        for number, one in enumerate(rows)
        if one["variable"] in channels
    ]
    path.write_text("".join(json.dumps(one) + "\n" for one in resources), encoding="utf-8")
    return path


def assert_same_bytes(first: Filled, *others: Filled) -> None:
    """Compare files; where they differ, say in which columns."""
    for other in others:
        names = first.table.column_names
        differing = [
            name for name in names if not first.table.column(name).equals(other.table.column(name))
        ]
        assert first.parts == other.parts, f"other bytes; columns with other values: {differing}"
