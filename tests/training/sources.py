"""The same small records written as every kind of source that `import` reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from training.datasets.sources import import_source

Row = tuple[str, float, str, float]
KINDS = ("csv", "parquet", "meds", "physionet2012")
UNITS: Mapping[str, str] = {"HR": "/min", "Temp": "Cel", "K": "mmol/L"}
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


def write_source(kind: str, folder: Path, rows: Sequence[Row]) -> Path:
    """Write rows; for MEDS and PhysioNet 2012 the subjects are integers."""
    folder.mkdir(parents=True)
    frame = pd.DataFrame(rows, columns=["subject_id", "time", "variable", "value"])
    frame["unit"] = frame["variable"].map(UNITS)
    if kind == "csv":
        frame.to_csv(folder / "records.csv", index=False)
        return folder / "records.csv"
    if kind == "parquet":
        frame.to_parquet(folder / "records.parquet")
        return folder / "records.parquet"
    if kind == "meds":
        return _write_meds(folder, frame)
    for subject, lines in frame.groupby("subject_id"):
        text = "".join(
            f"{int(hour):02d}:{round(hour % 1 * 60):02d},{name},{value}\n"
            for hour, name, value in zip(
                lines["time"], lines["variable"], lines["value"], strict=True
            )
        )
        head = f"Time,Parameter,Value\n00:00,RecordID,{subject}\n"
        (folder / f"{subject}.txt").write_text(head + text)
    return folder


def _write_meds(folder: Path, frame: pd.DataFrame) -> Path:
    (folder / "data").mkdir()
    table = pd.DataFrame(
        {
            "subject_id": frame["subject_id"].astype("int64"),
            "time": pd.Timestamp("2020-01-01") + pd.to_timedelta(frame["time"], unit="h"),
            "code": frame["variable"],
            "numeric_value": frame["value"].astype("float32"),
            "unit": frame["unit"],
        }
    )
    table["time"] = table["time"].astype("datetime64[us]")
    table.to_parquet(folder / "data" / "0.parquet")
    return folder


def imported(kind: str, folder: Path, rows: Sequence[Row]) -> Path:
    """Write rows as a source of a kind below `folder`, import it, and return the data set."""
    source = write_source(kind, folder / "source", rows)
    name = {"csv": "table", "parquet": "table"}.get(kind, kind)
    import_source(name, source, folder / "dataset")
    return folder / "dataset"
