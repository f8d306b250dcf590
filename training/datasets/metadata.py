"""The files under `metadata/` of a data set: what they say, and the check that they are ours."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from model import files
from model.data.catalogue_table import write_catalogue
from model.data.variables import Catalogue, Static, Variable
from training.datasets.errors import NotADatasetError
from training.datasets.import_report import ImportReport

MEDS_VERSION = "0.4"
ETL_NAME = "lacuna"
DATA_FILE = Path("data", "0.parquet")
DATASET_FILE = Path("metadata", "dataset.json")
CATALOGUE_FILE = Path("metadata", "catalogue.csv")
SUBJECTS_FILE = Path("metadata", "subject_ids.csv")
_REPORT_FILE = Path("metadata", "import_report.json")
_AGAIN = "import or simulate the data set again"


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


def check_files(directory: Path, metadata: Mapping[str, Any]) -> str:
    """Compare the files of a data set with their digests; return one digest of all of them.

    Raises
    ------
    NotADatasetError
        If a file is missing or was altered, or an older version of this program wrote the data set.
    """
    listed = metadata.get("files")
    if not isinstance(listed, dict) or not {str(DATA_FILE), str(CATALOGUE_FILE)} <= set(listed):
        raise NotADatasetError(
            f"{directory} was written by an older version of this program, without its table of "
            f"variables; {_AGAIN}"
        )
    for name, expected in listed.items():
        if sha256_of(directory / name) != expected:
            raise NotADatasetError(
                f"{directory / name} is not the file that {DATASET_FILE} describes (its sha256 "
                f"differs); {_AGAIN}, with another --out"
            )
    return files.sha256_of_hashes(sorted(listed.items()))


def write_metadata(
    root: Path,
    *,
    name: str,
    anchor: datetime | None,
    catalogue: Catalogue,
    report: ImportReport | None,
    subject_names: Sequence[tuple[int, str]] = (),
) -> None:
    """Describe the data that already stand under `root`."""
    (root / "metadata").mkdir()
    write_catalogue(root / CATALOGUE_FILE, catalogue)
    listed = [DATA_FILE, CATALOGUE_FILE]
    if subject_names:
        _write_subject_names(root, subject_names)
        listed.append(SUBJECTS_FILE)
    dataset = {
        "dataset_name": name,
        "etl_name": ETL_NAME,
        "etl_version": _own_version(),
        "meds_version": MEDS_VERSION,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "other_extension_columns": ["unit", "comparator"],
        "anchor": None if anchor is None else anchor.isoformat(),
        "sha256": sha256_of(root / DATA_FILE),
        "files": {str(file): sha256_of(root / file) for file in listed},
    }
    _write_json(root / DATASET_FILE, dataset)
    if report is not None:
        _write_json(root / _REPORT_FILE, report.to_json())
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


def _write_subject_names(root: Path, subject_names: Sequence[tuple[int, str]]) -> None:
    """Write which number stands for which identifier of the source."""
    ids, names = zip(*subject_names, strict=True)
    table = pa.table({"subject_id": pa.array(ids, pa.int64()), "source_id": pa.array(names)})
    pyarrow.csv.write_csv(table, root / SUBJECTS_FILE)


def read_subject_names(directory: Path) -> Mapping[int, str]:
    """Return the source's identifier of every subject where it is not the number itself."""
    path = directory / SUBJECTS_FILE
    if not path.exists():
        return {}
    # What a source writes NA or null is an identifier here, and no missing text.
    options = pyarrow.csv.ConvertOptions(
        column_types={"subject_id": pa.int64(), "source_id": pa.string()},
        strings_can_be_null=False,
    )
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
    table = pyarrow.csv.read_csv(path, parse_options=parsing, convert_options=options)
    columns = (table.column(name).to_pylist() for name in ("subject_id", "source_id"))
    return dict(zip(*columns, strict=True))


def read_absent_subjects(directory: Path) -> tuple[str, ...]:
    """Return the source's identifiers of the subjects that the import left without a series."""
    path = files.standing(directory) / _REPORT_FILE
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        return tuple(map(str, report["subjects_without_observations"]))
    except (OSError, ValueError, KeyError, TypeError):
        return ()


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
