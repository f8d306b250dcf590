"""The files under `metadata/` of a data set: what they say, and the check that they are ours."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from model import files
from model.data.variables import Catalogue, Static, Variable
from training.datasets.errors import NotADatasetError
from training.datasets.import_report import ImportReport

MEDS_VERSION = "0.4"
ETL_NAME = "lacuna"
DATA_FILE = Path("data", "0.parquet")
DATASET_FILE = Path("metadata", "dataset.json")


def read_metadata(directory: Path) -> dict[str, Any]:
    """Return `dataset.json` of a data set that this program has written.

    Raises
    ------
    NotADatasetError
        If there is none.
    """
    path = directory / DATASET_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["etl_name"] == ETL_NAME and {"sha256", "anchor", "dataset_name"} <= set(content):
            return dict(content)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError):
        pass
    raise NotADatasetError(
        f"{directory} is no data set of this program (expected {DATASET_FILE} with etl_name "
        f"{ETL_NAME!r}); make one with `python -m training import KIND SRC --out DIR`"
    )


def write_metadata(
    root: Path,
    *,
    name: str,
    anchor: datetime | None,
    catalogue: Catalogue,
    report: ImportReport | None,
) -> None:
    """Describe the data that already stand under `root`."""
    (root / "metadata").mkdir()
    dataset = {
        "dataset_name": name,
        "etl_name": ETL_NAME,
        "etl_version": _own_version(),
        "meds_version": MEDS_VERSION,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "other_extension_columns": ["unit"],
        "anchor": None if anchor is None else anchor.isoformat(),
        "sha256": sha256_of(root / DATA_FILE),
    }
    _write_json(root / DATASET_FILE, dataset)
    if report is not None:
        _write_json(root / "metadata" / "import_report.json", report.to_json())
    described: list[Variable | Static] = [*catalogue.variables, *catalogue.statics]
    parents = [
        [code if "//" in code else f"LOINC//{code}" for code in item.codes] for item in described
    ]
    codes = {
        "code": pa.array([item.name for item in described], pa.string()),
        "description": pa.array([item.description for item in described], pa.string()),
        "parent_codes": pa.array(parents, pa.list_(pa.string())),
        "unit": pa.array([item.unit for item in described], pa.string()),
    }
    pq.write_table(pa.table(codes), root / "metadata" / "codes.parquet")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_subject_names(root: Path, subject_names: Sequence[tuple[int, str]]) -> None:
    """Write which number stands for which identifier of the source."""
    ids, names = zip(*subject_names, strict=True)
    table = pa.table({"subject_id": pa.array(ids, pa.int64()), "source_id": pa.array(names)})
    pyarrow.csv.write_csv(table, root / "metadata" / "subject_ids.csv")


def sha256_of(path: Path) -> str:
    """Return the digest of a file of a data set."""
    try:
        return files.sha256_of(path)
    except OSError as error:
        raise NotADatasetError(f"{path} cannot be read: {error.strerror}") from error


def _own_version() -> str:
    try:
        return version("lacuna")
    except PackageNotFoundError:
        return "0+unknown"  # run from a source tree that is not installed
