"""Choosing the reader of a format, and leaving out what nobody asked for."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.data.units import conversion
from model.data.variables import Catalogue
from model.errors import UnitError, UnknownVariableError
from service.inference.errors import Fault
from service.jobs.reading.rows import Rows
from service.jobs.request import InputFormat, JobRequest
from service.jobs.sources.fhir import read_fhir
from service.jobs.sources.meds import read_meds
from service.jobs.sources.tables import read_csv, read_ndjson, read_parquet

_READERS = {
    InputFormat.PARQUET: read_parquet,
    InputFormat.CSV: read_csv,
    InputFormat.NDJSON: read_ndjson,
    InputFormat.MEDS: read_meds,
}
_NO_OWNER = "missing_subject"
# What no job uses, and what a job leaves out that was asked to ignore what it cannot use.
_NEVER_USED = frozenset({Fault.VARIABLE_NOT_TRAINED})
_UNUSABLE = _NEVER_USED | {Fault.UNKNOWN_VARIABLE, Fault.UNKNOWN_UNIT}


def open_source(
    path: Path, request: JobRequest, catalogue: Catalogue, *, is_query: bool = False
) -> Iterator[Rows]:
    """Stream the rows of a file, or of a folder of files; `is_query` for a table of times.

    Raises
    ------
    JobInputError
        If it cannot be read, or has no such columns.
    """
    for rows in _read(path, request.format, catalogue, is_query=is_query):
        batch, ignored = rows.batch, Counter(rows.ignored)
        owned = pc.is_valid(batch.column("subject_id"))
        batch = batch.filter(owned)
        ignored[_NO_OWNER] += len(owned) - batch.num_rows
        if not is_query:
            faults = _UNUSABLE if request.ignores_unusable_rows else _NEVER_USED
            batch = _without(faults, batch, catalogue, ignored)
        yield Rows(batch, +ignored)


def _read(
    path: Path, input_format: InputFormat, catalogue: Catalogue, *, is_query: bool
) -> Iterator[Rows]:
    if input_format is not InputFormat.FHIR:
        return _READERS[input_format](path, is_query=is_query)
    # No resource asks for times: a table does.
    return read_csv(path, is_query=True) if is_query else read_fhir(path, catalogue)


def _without(
    dropped: frozenset[Fault], batch: pa.RecordBatch, catalogue: Catalogue, ignored: Counter[str]
) -> pa.RecordBatch:
    """Drop the rows whose variable or unit has one of these faults, each pair judged once."""
    names = pc.fill_null(batch.column("variable"), "").dictionary_encode()
    units = pc.fill_null(batch.column("unit"), "").dictionary_encode()
    num_units = max(1, len(units.dictionary))
    pairs = names.indices.to_numpy().astype(np.int64) * num_units + units.indices.to_numpy()
    distinct, owners = np.unique(pairs, return_inverse=True)
    name_of, unit_of = names.dictionary.to_pylist(), units.dictionary.to_pylist()
    faults = [
        _fault(catalogue, name_of[at // num_units], unit_of[at % num_units]) for at in distinct
    ]
    faults = [fault if fault in dropped else None for fault in faults]
    counts = np.bincount(owners, minlength=len(distinct))
    for fault, count in zip(faults, counts, strict=True):
        if fault is not None:
            ignored[fault] += int(count)
    is_usable = np.array([fault is None for fault in faults], dtype=bool)
    return batch.filter(pa.array(is_usable[owners]))


def _fault(catalogue: Catalogue, name: str, unit: str) -> Fault | None:
    if name in catalogue.static_positions:
        return None
    if find_untrained(catalogue, name) is not None:
        return Fault.VARIABLE_NOT_TRAINED
    try:
        conversion(catalogue[catalogue.channel(name)], unit or None)
    except UnknownVariableError:
        return Fault.UNKNOWN_VARIABLE
    except UnitError:
        return Fault.UNKNOWN_UNIT
    return None
