"""Reader of MEDS data sets that other programs have written.

The number of a row is in `numeric_value`, or in `value` as some extracts name it. MEDS has no
column for the unit; it stands in the code, as `LAB//50971//mEq/L`. Item ids of MIMIC-IV are known
here; other vocabularies come with a code map (`training.datasets.codes`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Shaped

from model.data.catalogue import shipped_catalogue
from model.data.decimals import decimal_float64
from model.data.variables import Catalogue
from training.datasets.codes import NO_MAP, CodeMap, Target, resolve, split_unit
from training.datasets.errors import SourceFormatError
from training.datasets.glasgow import TOTAL, add_up
from training.datasets.mimic_codes import (
    BIRTH,
    CATEGORIES,
    GLASGOW_COMPONENTS,
    ITEMS,
    UNIT_SPELLINGS,
)
from training.datasets.raw_table import Labels, RawTable

_DAYS_PER_YEAR = 365.25
_AGE = "age_years"


@dataclass(frozen=True)
class _Events:
    num_files: int
    subject_ids: Shaped[np.ndarray, " row"]
    times: Shaped[np.ndarray, " row"]
    codes: Labels
    values: Float[np.ndarray, " row"]
    units: Labels


def read_external_meds(
    path: Path, *, code_map: CodeMap | None = None, catalogue: Catalogue | None = None
) -> RawTable:
    """Read a MEDS directory (`data/**/*.parquet`), another folder of Parquet files, or one file.

    Sex and kind of ICU are read from MIMIC-IV's codes. The age is that at the first row which the
    catalogue knows, from the row `MEDS_BIRTH`. The parts of the coma scale become its total.

    Raises
    ------
    SourceFormatError
        If there is no Parquet file, or a column is missing or of another type.
    """
    catalogue = shipped_catalogue() if catalogue is None else catalogue
    events = _read(path)
    targets = [_target(code, catalogue, code_map or NO_MAP) for code in events.codes.names]
    names = events.codes.rename([target.name for target in targets])
    code_units = events.codes.rename([target.unit for target in targets])
    values = _category_values(events, catalogue)
    values = _ages(events, targets, values, catalogue)
    part_of = {name: part for part, name in enumerate(GLASGOW_COMPONENTS)}
    parts = np.array([*(part_of.get(name, -1) for name in names.names), -1])[names.codes]
    totals = add_up(parts, events.subject_ids, events.times, values)
    values[totals.rows] = totals.values
    kept = parts < 0
    kept[totals.rows] = True
    names = names.rename([TOTAL if name in part_of else name for name in names.names])
    return RawTable(
        source="meds",
        num_files=events.num_files,
        subjects=np.unique(events.subject_ids),
        subject_ids=events.subject_ids[kept],
        times=events.times[kept],
        names=names.take(kept),
        values=values[kept],
        units=_first_known(events.units, code_units).take(kept),
        drops=totals.drops,
    )


def parquet_files(path: Path) -> list[Path]:
    """List the Parquet files of a MEDS directory, of another folder, or the one file.

    Raises
    ------
    SourceFormatError
        If there is none.
    """
    if path.is_file():
        return [path]
    root = path / "data" if (path / "data").is_dir() else path
    found = sorted(root.rglob("*.parquet"))
    if not found:
        raise SourceFormatError(f"{path}: expected a Parquet file or a folder of them, found none")
    return found


def _read(path: Path) -> _Events:
    files = parquet_files(path)
    table = pa.concat_tables([_read_file(file) for file in files]).unify_dictionaries()
    is_known = table.column("subject_id").is_valid()
    if table.num_rows and not is_known.combine_chunks().to_numpy(zero_copy_only=False).all():
        raise SourceFormatError(f"{path}: MEDS requires a subject_id in every row; some have none")
    return _Events(
        len(files),
        table.column("subject_id").to_numpy().astype(np.int64),
        table.column("time").to_numpy().astype("datetime64[us]"),
        Labels.encode(table.column("code")),
        table.column("value").to_numpy(),
        Labels.encode(table.column("unit")),
    )


def _read_file(path: Path) -> pa.Table:
    """Read one file as the columns subject_id, time, code, value, unit."""
    try:
        found = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise SourceFormatError(f"{path}: cannot be read as Parquet") from error
    number = "numeric_value" if "numeric_value" in found.names else "value"
    for name in ("subject_id", "time", "code", number):
        if name not in found.names:
            wanted = "numeric_value (or value)" if name == "value" else name
            raise SourceFormatError(
                f"{path}: no column {wanted!r}; expected the MEDS columns subject_id, time, code, "
                f"numeric_value, found {', '.join(found.names)}"
            )
    is_typed = pa.types.is_integer(found.field("subject_id").type)
    if not (is_typed and pa.types.is_timestamp(found.field("time").type)):
        raise SourceFormatError(f"{path}: expected subject_id as integers and time as timestamps")
    wanted_columns = ["subject_id", "time", "code", number]
    has_unit = "unit" in found.names
    columns = wanted_columns + ["unit"] * has_unit
    table = pq.read_table(path, columns=columns, read_dictionary=["code", "unit"][: 1 + has_unit])
    text = pa.dictionary(pa.int32(), pa.string())
    unit = table.column("unit") if has_unit else pa.nulls(table.num_rows, pa.string())
    arrays = {
        "subject_id": table.column("subject_id").cast(pa.int64()),
        "time": _naive_utc(table.column("time")),
        "code": table.column("code").cast(text),
        "value": _float64(table.column(number), path),
        "unit": unit.cast(text) if has_unit else unit.dictionary_encode(),
    }
    return pa.table(arrays)


def _naive_utc(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return microseconds without a zone; Arrow stores a time with a zone as UTC."""
    return times.cast(pa.timestamp("us", tz=times.type.tz), safe=False).cast(pa.timestamp("us"))


def _float64(column: pa.ChunkedArray, path: Path) -> pa.Array:
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise SourceFormatError(f"{path}: expected the number of a row as a number, not as text")
    return pa.array(decimal_float64(column.to_numpy()))


def _target(code: str, catalogue: Catalogue, code_map: CodeMap) -> Target:
    """Name what a code means. An unknown one keeps its own name, so that the report can list it."""
    mapped = code_map.find(code)
    if mapped is not None:
        return mapped
    if code == BIRTH:
        return Target(_AGE, "a")
    if code in CATEGORIES:
        return Target(CATEGORIES[code][0], "1")
    head, tail = split_unit(code)
    item = ITEMS.get(head) or ITEMS.get(code)
    if item is None:
        return resolve(code, catalogue) or Target(code)
    if head not in ITEMS or tail in ("", "UNK"):
        return item
    return Target(item.name, UNIT_SPELLINGS.get(tail, tail))


def _category_values(events: _Events, catalogue: Catalogue) -> Float[np.ndarray, " row"]:
    """Return the values, with the index of the category in rows whose code says it."""
    indices = np.full(len(events.codes.names) + 1, np.nan)
    for position, code in enumerate(events.codes.names):
        static, category = CATEGORIES.get(code, ("", ""))
        if static in catalogue.static_positions:
            described = catalogue.statics[catalogue.static_positions[static]]
            indices[position] = described.categories.index(category)
    said = indices[events.codes.codes]
    return np.where(np.isnan(said), events.values, said)


def _ages(
    events: _Events,
    targets: Sequence[Target],
    values: Float[np.ndarray, " row"],
    catalogue: Catalogue,
) -> Float[np.ndarray, " row"]:
    """Put the age in years at the subject's first known observation into its row of birth."""
    births = [code == BIRTH for code in events.codes.names]
    is_birth = np.array([*births, False])[events.codes.codes]
    if not is_birth.any():
        return values
    known = [t.name in catalogue.channels or t.name in GLASGOW_COMPONENTS for t in targets]
    is_known = np.array([*known, False])[events.codes.codes]
    is_known &= np.isfinite(values) & ~np.isnat(events.times)
    subjects, owners = np.unique(events.subject_ids, return_inverse=True)
    moments = events.times.astype(np.int64)
    never = np.iinfo(np.int64).max
    first = np.full(len(subjects), never)
    np.minimum.at(first, owners[is_known], moments[is_known])
    rows = np.flatnonzero(is_birth & (first[owners] < never) & ~np.isnat(events.times))
    days = (first[owners[rows]] - moments[rows]) / (24 * 3.6e9)
    ages = np.where(is_birth, np.nan, values)
    ages[rows] = days / _DAYS_PER_YEAR
    return ages


def _first_known(units: Labels, others: Labels) -> Labels:
    """Take the unit of the row, else the one that its code says."""
    if not units.names:
        return others
    shift = len(units.names)
    codes = np.where(
        units.codes >= 0, units.codes, np.where(others.codes >= 0, others.codes + shift, -1)
    )
    return Labels(codes, (*units.names, *others.names))
