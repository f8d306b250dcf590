"""A data set on disk: the MEDS layout, with a unit for every row and a report of how it was made.

    data/0.parquet               subject_id, time (null: static), code, numeric_value, unit and,
                                 where there are limits, comparator (`<`, `>` or null)
    metadata/dataset.json        name, versions, anchor of relative times, sha256 of the files
    metadata/catalogue.csv       the table of its variables: what a code means, for training too
    metadata/codes.parquet       code, description, parent_codes (LOINC), unit
    metadata/import_report.json  what was read, kept and dropped, where there was an import
    metadata/subject_ids.csv     the source's identifiers, where these are no integers; see
                                 `training.datasets.subject_numbers`

MEDS 0.4: https://github.com/Medical-Event-Data-Standard/meds. Somebody else's MEDS data set is read
by `model.records.sources.meds`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Int

from model.data.catalogue_table import read_catalogue
from model.data.decimals import decimal_float64
from model.data.series import AT_OR_ABOVE, AT_OR_BELOW, Cohort, offsets_from_counts
from model.data.variables import Catalogue
from model.files import standing, written_directory
from model.records.labels import Labels
from model.records.pieces import in_pieces
from model.records.times import MICROSECONDS_PER_HOUR
from training.datasets.errors import DatasetError, NotADatasetError, OutputExistsError
from training.datasets.import_report import ImportReport
from training.datasets.metadata import (
    CATALOGUE_FILE,
    DATA_FILE,
    check_files,
    read_metadata,
    read_subject_names,
    write_metadata,
)

COLUMNS = ("subject_id", "time", "code", "numeric_value", "unit")
COMPARATOR = "comparator"
"""A column that a table may have: `<` where the true value lies at or below the number, `>` where it
lies at or above it, null where the number was measured."""
_SIDES = {"<": AT_OR_BELOW, ">": AT_OR_ABOVE}
_OWN_ENTRIES = frozenset({"data", "metadata"})
_SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("time", pa.timestamp("us")),
        pa.field("code", pa.string(), nullable=False),
        pa.field("numeric_value", pa.float32()),
        pa.field("unit", pa.string()),
    ]
)


@dataclass(frozen=True)
class Dataset:
    """Series, the variables that their channels mean, and which data they are.

    `cohort.subject_ids` are the source's own identifiers.
    """

    cohort: Cohort
    catalogue: Catalogue
    name: str
    sha256: str


def write_meds(
    directory: Path,
    table: pd.DataFrame,
    *,
    name: str,
    anchor: datetime | None,
    catalogue: Catalogue,
    report: ImportReport | None = None,
    subject_names: Sequence[tuple[int, str]] = (),
    companions: frozenset[str] = frozenset(),
) -> None:
    """Write a data set in one step: the directory is there whole or not at all.

    Parameters
    ----------
    table
        Columns `COLUMNS` and perhaps `COMPARATOR`; codes are names of the catalogue, time is NaT for
        statics. Sorted here if it is not.
    anchor
        Where relative times begin; None if the times are dates of the source.
    subject_names
        Pairs of subject_id and identifier at the source, where this is not the number itself.
    catalogue
        The data set carries it as its table of variables.
    companions
        Names that the caller keeps beside `data` and `metadata`; an older data set's are replaced
        too.

    Raises
    ------
    OutputExistsError
        If the directory holds anything but a data set of this program.
    """
    ordered = _ordered(table, catalogue)
    check_replaceable(directory, companions=companions)
    with written_directory(directory) as partial:
        _write_data(partial, ordered)
        write_metadata(
            partial,
            name=name,
            anchor=anchor,
            catalogue=catalogue,
            report=report,
            subject_names=subject_names,
        )


def read_cohort(directory: Path) -> Dataset:
    """Read a data set with its own table of variables: one series for each piece of a subject's record.

    A record is cut where nothing was observed for a week (`model.records.pieces`). Times are hours
    since the data set's anchor or, where its times are dates and in every later piece, since the
    first observation of the piece. Values are float64 in canonical units; a static that is not known is NaN.

    Raises
    ------
    NotADatasetError
        If the directory was not written by `write_meds`, or a file of it was altered since.
    DatasetError
        If it holds codes that are not in its table of variables.

    Examples
    --------
    `data` is the directory of a data set:

    >>> dataset = read_cohort(data)
    >>> "HR" in [one.name for one in dataset.catalogue]
    True
    """
    directory = standing(directory)
    metadata = read_metadata(directory)
    digest = check_files(directory, metadata)
    catalogue = read_catalogue(directory / CATALOGUE_FILE)
    table = pq.read_table(directory / DATA_FILE, read_dictionary=["code"])
    cohort = in_pieces(_cohort(table, metadata["anchor"], catalogue), catalogue)
    names = read_subject_names(directory)
    if names:
        ids = tuple(names.get(int(number), number) for number in cohort.subject_ids)
        cohort = replace(cohort, subject_ids=ids)
    return Dataset(cohort, catalogue, metadata["dataset_name"], digest)


def _ordered(table: pd.DataFrame, catalogue: Catalogue) -> pd.DataFrame:
    """Check the columns and sort by subject, statics first, then time and channel."""
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise DatasetError(f"the table has no column {missing[0]!r}; expected {', '.join(COLUMNS)}")
    described = _names(catalogue)
    codes = pd.Index(described).get_indexer(table["code"])
    if (codes < 0).any():
        raise DatasetError("the table has codes that are not in the catalogue")
    moments = table["time"].to_numpy("datetime64[us]")
    is_static = codes >= len(catalogue)
    if np.any(np.isnat(moments) != is_static):
        raise DatasetError("statics must have no time, and observations must have one")
    if COMPARATOR in table.columns and not table[COMPARATOR].dropna().isin(list(_SIDES)).all():
        raise DatasetError("a comparator must be <, > or nothing")
    # NaT is the smallest integer: statics come first.
    keys = (codes, moments.view(np.int64), table["subject_id"].to_numpy(np.int64))
    return table if _is_sorted(keys) else table.iloc[np.lexsort(keys)]


def _names(catalogue: Catalogue) -> list[str]:
    variables = [variable.name for variable in catalogue]
    return variables + [static.name for static in catalogue.statics]


def _is_sorted(keys: tuple[np.ndarray, ...]) -> bool:
    """Whether rows are in the order of `np.lexsort(keys)`."""
    in_order = np.zeros(max(len(keys[0]) - 1, 0), dtype=bool)
    for key in keys:
        in_order = (key[1:] > key[:-1]) | ((key[1:] == key[:-1]) & (in_order | (key is keys[0])))
    return bool(in_order.all())


def check_replaceable(directory: Path, *, companions: frozenset[str] = frozenset()) -> None:
    """Raise `OutputExistsError` if a data set must not be written to this directory."""
    if not directory.exists() and not directory.is_symlink():
        return
    if not directory.is_dir():
        raise OutputExistsError(f"{directory} is a file; choose another output directory")
    entries = {entry.name for entry in directory.iterdir()}
    if entries and not (entries <= _OWN_ENTRIES | companions and _is_own(directory)):
        raise OutputExistsError(
            f"{directory} holds something that is no data set of this program; "
            "choose another output directory or empty it"
        )


def _is_own(directory: Path) -> bool:
    try:
        read_metadata(directory)
    except NotADatasetError:
        return False
    return True


def _write_data(root: Path, table: pd.DataFrame) -> None:
    columns = [
        pa.array(table["subject_id"].to_numpy(np.int64)),
        pa.array(table["time"].to_numpy("datetime64[us]")),
        pa.array(table["code"]).cast(pa.string()),
        pa.array(table["numeric_value"].to_numpy(np.float32)),
        pa.array(table["unit"]).cast(pa.string()),
    ]
    schema = _SCHEMA
    if COMPARATOR in table.columns:
        columns.append(pa.array(table[COMPARATOR], from_pandas=True).cast(pa.string()))
        schema = schema.append(pa.field(COMPARATOR, pa.string()))
    (root / "data").mkdir()
    pq.write_table(
        pa.Table.from_arrays(columns, schema=schema), root / DATA_FILE, compression="zstd"
    )


def _cohort(table: pa.Table, anchor: str | None, catalogue: Catalogue) -> Cohort:
    labels = Labels.of(table.column("code"))
    described = _names(catalogue)
    positions = pd.Index(described).get_indexer(list(labels.names))
    if (positions < 0).any():
        unknown = [name for name, at in zip(labels.names, positions, strict=True) if at < 0]
        raise DatasetError(
            f"codes that are not in the catalogue: {', '.join(unknown[:10])}; "
            "import the source again"
        )
    codes = positions[labels.codes]
    subject_ids = table.column("subject_id").to_numpy()
    values = decimal_float64(table.column("numeric_value").to_numpy())
    is_static = codes >= len(catalogue)
    is_series = ~is_static
    subjects, counts = np.unique(subject_ids[is_series], return_counts=True)
    offsets = offsets_from_counts(counts)
    moments = table.column("time").to_numpy().astype("datetime64[us]").astype(np.int64)[is_series]
    origins = _origin(anchor) if anchor else np.repeat(moments[offsets[:-1]], counts)
    statics = np.full((len(subjects), len(catalogue.statics)), np.nan)
    is_static &= np.isin(subject_ids, subjects)
    owners = np.searchsorted(subjects, subject_ids[is_static])
    statics[owners, codes[is_static] - len(catalogue)] = values[is_static]
    return Cohort(
        tuple(str(subject) for subject in subjects.tolist()),
        offsets,
        (moments - origins) / MICROSECONDS_PER_HOUR,
        codes[is_series],
        values[is_series],
        statics,
        _censoring(table)[is_series],
    )


def _censoring(table: pa.Table) -> Int[np.ndarray, " row"]:
    """Return on which side of each number the true value lies; zero where it was measured."""
    sides = np.zeros(table.num_rows, dtype=np.int8)
    if COMPARATOR not in table.column_names:
        return sides
    texts = table.column(COMPARATOR)
    for text, side in _SIDES.items():
        is_meant = pc.fill_null(pc.equal(texts, text), False)
        sides[is_meant.to_numpy(zero_copy_only=False)] = side
    return sides


def _origin(anchor: str) -> np.int64:
    moment = datetime.fromisoformat(anchor)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(moment, "us").astype(np.int64)
