"""The same small records written as every kind of source that `import` reads."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from model.records.sources.options import SourceFormat, SourceOptions
from training.datasets.importing import ImportOptions, import_source

Row = tuple[str, float, str, float]
FORMATS: Mapping[str, SourceFormat] = {
    "csv": SourceFormat.CSV,
    "wide": SourceFormat.CSV,
    "parquet": SourceFormat.PARQUET,
    "ndjson": SourceFormat.NDJSON,
    "fhir": SourceFormat.FHIR,
    "bundle": SourceFormat.FHIR,
    "omop": SourceFormat.OMOP,
    "meds": SourceFormat.MEDS,
    "physionet2012": SourceFormat.PHYSIONET2012,
}
OF_TEXT = ("csv", "wide", "parquet", "ndjson", "fhir", "bundle")
"""Kinds whose subjects may be text."""
UNITS: Mapping[str, str] = {"HR": "/min", "Temp": "Cel", "K": "mmol/L"}
_LOINC: Mapping[str, str] = {"HR": "8867-4", "Temp": "8310-5", "K": "2823-3"}
_DAY = pd.Timestamp("2020-01-01")
_MIDDLES = {"HR": 85.0, "Temp": 37.0, "K": 4.2}


def records(subjects: Sequence[str], *, seed: int = 0, num_times: int = 8) -> list[Row]:
    """Rows of subjects; those of one subject depend on its name and the seed alone."""
    rows = []
    for subject in subjects:
        generator = np.random.default_rng([seed, *subject.encode()])
        for name, middle in _MIDDLES.items():
            hours = np.sort(generator.choice(45 * 4, num_times, replace=False)) / 4
            values = middle * (1 + 0.05 * generator.standard_normal(num_times))
            pairs = zip(hours.tolist(), np.round(values, 1).tolist(), strict=True)
            rows += [(subject, hour, name, value) for hour, value in pairs]
    return rows


def imported(kind: str, folder: Path, rows: Sequence[Row]) -> Path:
    """Write rows as a source of a kind below `folder`, import it, and return the data set."""
    source = write_source(kind, folder / "source", rows)
    options = ImportOptions(source=SourceOptions(format=FORMATS[kind]))
    import_source(source, folder / "dataset", options)
    return folder / "dataset"


def write_source(kind: str, folder: Path, rows: Sequence[Row]) -> Path:
    """Write rows. Subjects of kinds that are not in `OF_TEXT` are integers."""
    folder.mkdir(parents=True)
    frame = pd.DataFrame(rows, columns=["subject_id", "time", "variable", "value"])
    frame["unit"] = frame["variable"].map(UNITS)
    match kind:
        case "csv":
            frame.to_csv(folder / "records.csv", index=False)
        case "wide":
            wide = frame.pivot_table(
                index=["subject_id", "time"], columns="variable", values="value", sort=False
            )
            wide.reset_index().to_csv(folder / "records.csv", index=False)
        case "parquet":
            frame.to_parquet(folder / "records.parquet")
        case "ndjson":
            frame.to_json(folder / "records.ndjson", orient="records", lines=True)
        case "fhir":
            lines = map(json.dumps, _observations(rows))
            (folder / "Observation.ndjson").write_text("".join(f"{line}\n" for line in lines))
        case "bundle":
            entries = [{"resource": resource} for resource in _observations(rows)]
            bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
            (folder / "bundle.json").write_text(json.dumps(bundle))
        case "omop":
            _write_omop(folder, frame)
        case "meds":
            _write_meds(folder, frame)
        case "physionet2012":
            _write_challenge(folder, frame)
    return folder


def _instants(hours: "pd.Series[float]") -> "pd.Series[pd.Timestamp]":
    instants = _DAY + pd.to_timedelta(hours, unit="h")
    return instants.astype("datetime64[us]")


def _observations(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [
        {
            "resourceType": "Observation",
            "id": f"o{number}",
            "status": "final",
            "subject": {"reference": f"Patient/{subject}"},
            "effectiveDateTime": f"{_DAY + pd.Timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}",
            "code": {"coding": [{"system": "http://loinc.org", "code": _LOINC[name]}]},
            "valueQuantity": {
                "value": value,
                "code": UNITS[name],
                "system": "http://unitsofmeasure.org",
            },
        }
        for number, (subject, hour, name, value) in enumerate(rows)
    ]


def _write_omop(folder: Path, frame: pd.DataFrame) -> None:
    table = pd.DataFrame(
        {
            "measurement_id": np.arange(len(frame)),
            "person_id": frame["subject_id"],
            "measurement_concept_id": 0,
            "measurement_date": _instants(frame["time"]).dt.date,
            "measurement_datetime": _instants(frame["time"]).dt.strftime("%Y-%m-%d %H:%M:%S"),
            "value_as_number": frame["value"],
            "measurement_source_value": frame["variable"],
            "unit_source_value": frame["unit"],
        }
    )
    table.to_csv(folder / "measurement.csv", index=False)


def _write_meds(folder: Path, frame: pd.DataFrame) -> None:
    (folder / "data").mkdir()
    table = pd.DataFrame(
        {
            "subject_id": frame["subject_id"].astype("int64"),
            "time": _instants(frame["time"]),
            "code": frame["variable"],
            "numeric_value": frame["value"].astype("float32"),
            "unit": frame["unit"],
        }
    )
    table.to_parquet(folder / "data" / "0.parquet")


def _write_challenge(folder: Path, frame: pd.DataFrame) -> None:
    for subject, lines in frame.groupby("subject_id"):
        columns = zip(lines["time"], lines["variable"], lines["value"], strict=True)
        text = "".join(
            f"{int(hour):02d}:{round(hour % 1 * 60):02d},{name},{value}\n"
            for hour, name, value in columns
        )
        head = f"Time,Parameter,Value\n00:00,RecordID,{subject}\n"
        (folder / f"{subject}.txt").write_text(head + text)
