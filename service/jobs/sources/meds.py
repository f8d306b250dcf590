"""A MEDS data set: `data/**/*.parquet` with subject_id, time, code, numeric_value and more.

https://github.com/Medical-Event-Data-Standard/meds. Codes are names of the catalogue or LOINC codes,
alone or as `LOINC//8867-4`. MEDS has no column for the unit: without a `unit`, values are in the
catalogue's.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from service.jobs.errors import JobInputError
from service.jobs.reading.columns import Told, read_moments, read_text, read_values, to_rows
from service.jobs.reading.rows import Rows
from service.jobs.sources.tables import QUERY_COLUMNS, list_files, parquet_batches

_COLUMNS = ("subject_id", "time", "code", "numeric_value")
_LOINC = r"^LOINC//"


def read_meds(path: Path, *, is_query: bool = False) -> Iterator[Rows]:
    """Read the directory of a data set, a folder of its files, or one of them.

    Raises
    ------
    JobInputError
        If there is none, or it does not have the columns and types of MEDS.
    """
    columns = QUERY_COLUMNS if is_query else _COLUMNS
    root = path / "data" if (path / "data").is_dir() else path
    for file in list_files(root, ".parquet"):
        for batch in parquet_batches(file, columns):
            yield Rows(_rows(batch, is_query=is_query))


def _rows(batch: pa.RecordBatch, *, is_query: bool) -> pa.RecordBatch:
    if not pa.types.is_integer(batch.column("subject_id").type):
        raise JobInputError("MEDS has integers as `subject_id`; name another input format")
    if not pa.types.is_timestamp(batch.column("time").type):
        raise JobInputError("MEDS has timestamps as `time`; name another input format")
    told = Told.nothing(batch.num_rows) if is_query else _told(batch)
    subjects = batch.column("subject_id").cast(pa.int64())
    return to_rows(subjects, read_moments(batch.column("time")), told, is_query=is_query)


def _told(batch: pa.RecordBatch) -> Told:
    nothing = pa.nulls(batch.num_rows, pa.string())
    codes = read_text(batch.column("code"), name="code")
    words, units = (
        read_text(batch.column(name), name=name) if name in batch.schema.names else nothing
        for name in ("text_value", "unit")
    )
    return Told(
        pc.replace_substring_regex(codes, _LOINC, ""),
        pa.array(read_values(batch.column("numeric_value")).numbers),
        words,
        units,
    )
