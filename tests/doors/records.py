"""Small records for tests, and every way to write them: what a person would tell, row by row."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from model.records.sources.options import SourceFormat
from tests.catalogues import CHALLENGE

Json = dict[str, Any]
START: Final = datetime(2026, 3, 1, 8, tzinfo=UTC)
UCUM: Final = "http://unitsofmeasure.org"
LOINC: Final = "http://loinc.org"


@dataclass(frozen=True)
class Row:
    """One row as somebody tells it. `at` is hours after `START`, or a time as it is written."""

    variable: str | None
    value: float | str | None
    unit: str | None = None
    at: float | str | None = 1.0
    comparator: str | None = None
    text: str | None = None
    subject: str = "1"

    @property
    def is_static(self) -> bool:
        """Whether it describes the subject."""
        return self.variable is not None and CHALLENGE.find_static(self.variable) is not None

    @property
    def instant(self) -> str | None:
        """The time as ISO 8601."""
        if isinstance(self.at, float):
            return (START + timedelta(hours=self.at)).isoformat()
        return self.at


def write_csv(folder: Path, rows: Sequence[Row], *, is_dated: bool = True) -> Path:
    """A long table of text."""
    return _write_text(folder / "long.csv", _long(rows, is_dated=is_dated))


def write_wide(folder: Path, rows: Sequence[Row], *, is_dated: bool = True) -> Path:
    """A wide table of text; the unit stands in the header."""
    return _write_text(folder / "wide.csv", _wide(rows, is_dated=is_dated))


def write_parquet(folder: Path, rows: Sequence[Row], *, is_dated: bool = True) -> Path:
    """A long table with columns of numbers where all are numbers."""
    return _write_columns(folder / "long.parquet", _long(rows, is_dated=is_dated))


def write_ndjson(folder: Path, rows: Sequence[Row], *, is_dated: bool = True) -> Path:
    """A long table, an object a line; what is not told is left out."""
    told = [_told(one) for one in _long(rows, is_dated=is_dated)]
    return _write_lines(folder / "long.ndjson", told)


def write_fhir(folder: Path, rows: Sequence[Row], *, is_dated: bool = True) -> Path:
    """An Observation a line."""
    assert is_dated
    return _write_lines(folder / "fhir.ndjson", resources_of(rows))


def write_bundle(folder: Path, rows: Sequence[Row], *, is_dated: bool = True) -> Path:
    """The same in a Bundle, whose patient has an address."""
    assert is_dated
    entries = [{"resource": one} for one in resources_of(rows)]
    path = folder / "bundle.json"
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    path.write_text(json.dumps(bundle), encoding="utf-8")
    return path


def write_meds(folder: Path, rows: Sequence[Row], *, is_dated: bool = True) -> Path:
    """Events with local times; a value in words is a text."""
    assert is_dated
    numbers = [one.value if isinstance(one.value, float) else None for one in rows]
    texts = [one.value if isinstance(one.value, str) else one.text for one in rows]
    times = [one.at for one in rows]
    table = {
        "subject_id": pa.array([int(one.subject) for one in rows], pa.int64()),
        "time": pa.array(
            [
                None if at is None else (START + timedelta(hours=float(at))).replace(tzinfo=None)
                for at in times
            ],
            pa.timestamp("us"),
        ),
        "code": pa.array([one.variable for one in rows], pa.string()),
        "numeric_value": pa.array(numbers, pa.float32()),
        "text_value": pa.array(texts, pa.string()),
        "unit": pa.array([one.unit for one in rows], pa.string()),
        "comparator": pa.array([one.comparator for one in rows], pa.string()),
    }
    path = folder / "meds" / "data" / "0.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(table), path)
    return folder / "meds"


_OPERATORS: Final = {"<": "4171756", "<=": "4171754", ">": "4172704", ">=": "4171755", None: "0"}


def write_omop(folder: Path, rows: Sequence[Row], *, is_dated: bool = True) -> Path:
    """The table `measurement`; variables and units by the words of the source."""
    assert is_dated
    lines = [
        {
            "measurement_id": number,
            "person_id": one.subject,
            "measurement_concept_id": 0,
            "measurement_date": None if one.instant is None else one.instant[:10],
            "measurement_datetime": _moment_of_omop(one.instant),
            "operator_concept_id": _OPERATORS[one.comparator],
            "value_as_number": one.value if isinstance(one.value, float) else None,
            "value_source_value": one.value if isinstance(one.value, str) else None,
            "measurement_source_value": one.variable,
            "unit_source_value": one.unit,
        }
        for number, one in enumerate(rows)
    ]
    (folder / "omop").mkdir()
    _write_text(folder / "omop" / "measurement.csv", lines)
    return folder / "omop"


def body_of(rows: Sequence[Row], *, is_dated: bool = True, **options: Any) -> Json:
    """A request about the subject of the rows."""
    observations = [_told(_posted(one, is_dated=is_dated)) for one in rows if not one.is_static]
    first = observations[0]["time"]
    series: Json = {
        "subject_id": rows[0].subject,
        "static": {one.variable: one.value for one in rows if one.is_static},
        "observations": observations,
        "query": {"times": [first], "variables": ["HR"]},
    }
    return {"series": [series], **options}


@dataclass(frozen=True)
class Way:
    """A way to write a record as files."""

    format: SourceFormat
    write: Callable[..., Path]


WAYS: Final[Mapping[str, Way]] = {
    "csv": Way(SourceFormat.CSV, write_csv),
    "wide": Way(SourceFormat.CSV, write_wide),
    "parquet": Way(SourceFormat.PARQUET, write_parquet),
    "ndjson": Way(SourceFormat.NDJSON, write_ndjson),
    "fhir": Way(SourceFormat.FHIR, write_fhir),
    "bundle": Way(SourceFormat.FHIR, write_bundle),
    "meds": Way(SourceFormat.MEDS, write_meds),
    "omop": Way(SourceFormat.OMOP, write_omop),
}
TABLES: Final = frozenset({"csv", "wide", "parquet", "ndjson"})


def resources_of(rows: Sequence[Row]) -> list[Json]:
    """FHIR: an Observation a row."""
    return [_observation(number, one) for number, one in enumerate(rows)]


def _observation(number: int, one: Row) -> Json:
    resource: Json = {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "subject": {"reference": f"Patient/{one.subject}"},
        "code": _concept(one.variable),
    }
    if one.instant is not None:
        resource["effectiveDateTime"] = one.instant
    if isinstance(one.value, str):
        # A number in words is a quantity of a careless source, and has its unit.
        if one.unit is None:
            resource["valueString"] = one.value
        else:
            resource["valueQuantity"] = _quantity(one)
    elif one.value is not None:
        resource["valueQuantity"] = _quantity(one)
    return resource


def _quantity(one: Row) -> Json:
    found: Json = {"value": one.value}
    if one.unit is not None:
        found |= {"unit": one.unit, "system": UCUM, "code": one.unit}
    return found if one.comparator is None else found | {"comparator": one.comparator}


def _concept(name: str | None) -> Json:
    assert name is not None
    known = CHALLENGE.find(name)
    static = CHALLENGE.find_static(name)
    code = None
    if name in CHALLENGE.channels:
        assert known is not None
        code = CHALLENGE[known].loinc
    elif static is not None and CHALLENGE.statics[static].codes:
        code = CHALLENGE.statics[static].codes[0]
    return {"text": name} if not code else {"coding": [{"system": LOINC, "code": code}]}


def _long(rows: Sequence[Row], *, is_dated: bool) -> list[Json]:
    columns: dict[str, Callable[[Row], Any]] = {
        "subject_id": lambda one: one.subject,
        "time": lambda one: one.instant if is_dated else one.at,
        "variable": lambda one: one.variable,
        "value": lambda one: one.value,
        "unit": lambda one: one.unit,
        "comparator": lambda one: one.comparator,
        "text_value": lambda one: one.text,
    }
    used = {
        name: get
        for name, get in columns.items()
        if name not in ("comparator", "text_value") or any(get(one) is not None for one in rows)
    }
    return [{name: get(one) for name, get in used.items()} for one in rows]


def _wide(rows: Sequence[Row], *, is_dated: bool) -> list[Json]:
    headers = list(dict.fromkeys(map(_header, rows)))
    return [
        {
            "subject_id": one.subject,
            "time": one.instant if is_dated else one.at,
            **{header: one.value if header == _header(one) else None for header in headers},
        }
        for one in rows
    ]


def _header(one: Row) -> str:
    return f"{one.variable} [{one.unit}]" if one.unit else str(one.variable)


def _posted(one: Row, *, is_dated: bool) -> Json:
    return {
        "time": one.instant if is_dated else one.at,
        "variable": one.variable,
        "value": one.value,
        "unit": one.unit,
        "comparator": one.comparator,
    }


def _moment_of_omop(instant: str | None) -> str | None:
    return None if instant is None or len(instant) == len("2026-03-01") else instant


def _told(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def _write_text(path: Path, lines: Sequence[Json]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(lines[0])
        for line in lines:
            writer.writerow(["" if value is None else value for value in line.values()])
    return path


def _write_columns(path: Path, lines: Sequence[Json]) -> Path:
    columns = {}
    for name in lines[0]:
        values = [line[name] for line in lines]
        if any(isinstance(value, str) for value in values):
            values = [None if value is None else str(value) for value in values]
        columns[name] = pa.array(values)
    pq.write_table(pa.table(columns), path)
    return path


def _write_lines(path: Path, lines: Sequence[Json]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
