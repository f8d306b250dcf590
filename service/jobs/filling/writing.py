"""Tables to files, the same bytes for the same tables."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from service.jobs.request import OutputFormat


class TableWriter(Protocol):
    """Writes tables of one schema into one file."""

    def write(self, table: pa.Table) -> None:
        """Append a table."""
        ...


@contextmanager
def open_writer(
    path: Path, output_format: OutputFormat, schema: pa.Schema
) -> Iterator[TableWriter]:
    """Open a file for tables of a schema; it is whole after the block."""
    if output_format is OutputFormat.PARQUET:
        with _parquet(path, schema) as parquet:
            yield _ParquetTables(parquet)
    elif output_format is OutputFormat.CSV:
        with pyarrow.csv.CSVWriter(path, _plain(schema)) as csv:
            yield _CsvTables(csv, _plain(schema))
    else:
        with path.open("wb") as file:
            yield _Lines(file)


def _parquet(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    floats = [one.name for one in schema if pa.types.is_float32(one.type)]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[one.name for one in schema if one.name not in floats],
        use_byte_stream_split=floats,
        # Readers see text, not our dictionaries.
        store_schema=False,
    )


@final
class _ParquetTables:
    """A row group for each table."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))


@final
class _CsvTables:
    """A header, then rows; nothing stands where there is no value."""

    def __init__(self, writer: pyarrow.csv.CSVWriter, schema: pa.Schema) -> None:
        self._writer = writer
        self._schema = schema

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table.cast(self._schema))


@final
class _Lines:
    """An object a line, with every column in each; put together column by column."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, table: pa.Table) -> None:
        if not table.num_rows:
            return
        parts: list[pa.Array | str] = []
        for place, name in enumerate(table.column_names):
            parts.append(("{" if place == 0 else ",") + json.dumps(name) + ":")
            parts.append(_as_json(table.column(name).combine_chunks()))
        lines = pc.binary_join_element_wise(*parts, "}\n", "")
        # The text of all rows is one piece of memory.
        _, offsets, text = lines.buffers()
        ends = np.frombuffer(offsets, dtype=np.int32)
        self._file.write(memoryview(text)[ends[0] : ends[len(lines)]])


def _plain(schema: pa.Schema) -> pa.Schema:
    """Return the schema with text instead of dictionaries."""
    kinds = [one.type for one in schema]
    kinds = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in kinds]
    return pa.schema(list(zip(schema.names, kinds, strict=True)))


def _as_json(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        words = pa.array([json.dumps(word) for word in column.dictionary.to_pylist()])
        text = words.take(column.indices)
    elif pa.types.is_string(kind):
        encoded = column.dictionary_encode()
        return _as_json(encoded)
    elif pa.types.is_timestamp(kind):
        zone = "" if kind.tz is None else "Z"
        text = pc.binary_join_element_wise(
            '"', pc.strftime(column.cast(pa.timestamp("us")), "%Y-%m-%dT%H:%M:%S"), f'{zone}"', ""
        )
    else:
        text = column.cast(pa.string())
    return pc.fill_null(text, "null")
