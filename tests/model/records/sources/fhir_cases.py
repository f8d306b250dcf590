"""FHIR resources for the tests, and what the reader makes of them."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.data.variables import Catalogue
from model.records.sources.fhir import read_fhir
from model.records.sources.options import SourceFormat, SourceOptions

NO_CATALOGUE = Catalogue((), ())
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"


@dataclass(frozen=True)
class Read:
    """All rows of a source, and what was counted."""

    rows: list[dict[str, Any]]
    ignored: dict[str, int]
    remarks: dict[str, int]

    @property
    def values(self) -> list[tuple[str, float]]:
        return [(row["variable"], row["value"]) for row in self.rows]

    @property
    def only(self) -> dict[str, Any]:
        [row] = self.rows
        return row


def coded(code: str, system: str | None = LOINC) -> dict[str, Any]:
    coding = {"code": code} if system is None else {"system": system, "code": code}
    return {"coding": [coding]}


def quantity(value: float, unit: str = "/min", **others: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit, **others}


def observation(**changes: Any) -> dict[str, Any]:
    """Return a heart rate of 92; a change to None leaves the field out."""
    fields: dict[str, Any] = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": coded("8867-4"),
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2026-03-01T10:00:00+01:00",
        "valueQuantity": quantity(92),
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


def read(
    folder: Path,
    *resources: Any,
    options: SourceOptions | None = None,
    catalogue: Catalogue = NO_CATALOGUE,
) -> Read:
    """Write the resources as NDJSON and read them."""
    file = folder / "resources.ndjson"
    file.write_text("\n".join(json.dumps(one) for one in resources))
    return read_file(file, options=options, catalogue=catalogue)


def read_file(
    path: Path, *, options: SourceOptions | None = None, catalogue: Catalogue = NO_CATALOGUE
) -> Read:
    return gather(
        list(read_fhir(path, options or SourceOptions(format=SourceFormat.FHIR), catalogue))
    )


def gather(batches: Sequence[Any]) -> Read:
    """Put the batches of any reader together."""
    ignored: Counter[str] = Counter()
    remarks: Counter[str] = Counter()
    rows = []
    for one in batches:
        rows.extend(one.batch.to_pylist())
        ignored.update(one.ignored)
        remarks.update(one.remarks)
    return Read(rows, dict(ignored), dict(remarks))
