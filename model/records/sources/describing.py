"""What a source looks like, for a report: never what it says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from model.records.comparators import plain, read_values
from model.records.rows import TimeKind
from model.records.sources.files import (
    endings_of,
    list_files,
    passed_over_line,
    printable,
    reading,
)
from model.records.sources.layouts import LongLayout, WideLayout, layout_of
from model.records.sources.options import SUBJECT, TIME, VALUE, SourceFormat, SourceOptions
from model.records.sources.tables import Table, open_table
from model.records.times import read_times

_MAX_ROWS: Final = 500_000
_MAX_SHAPE: Final = 32
_NOT_USED: Final = (TimeKind.INVALID, TimeKind.DATE)


@dataclass(frozen=True)
class SourceDescription:
    """What a report prints about a source.

    `layout` is "long" or "wide", and empty for a source that is no table. `columns` gives the
    source's name of the subject and the time. `time_shape` and `value_shape` are the shape of the
    first text that was not understood: every digit is a 9 and every letter an a.
    """

    format: SourceFormat
    num_files: int = 0
    layout: str = ""
    dialects: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    columns_passed_over: tuple[str, ...] = ()
    time_shape: str | None = None
    value_shape: str | None = None

    def lines(self) -> list[str]:
        """Return sentences for a report."""
        if not self.num_files:
            return []
        files = f"{self.num_files} file" + ("s" if self.num_files != 1 else "")
        kind = f", a {self.layout} table" if self.layout else ""
        dialect = f" ({'; '.join(self.dialects)})" if self.dialects else ""
        found = [f"{self.format}: {files}{kind}{dialect}"]
        names = [f"{ours} is the column {theirs}" for ours, theirs in self.columns.items()]
        if names:
            found.append(", ".join(names))
        passed_over = passed_over_line(self.passed_over)
        if passed_over:
            found.append(passed_over)
        if self.columns_passed_over:
            found.append(f"columns that are no variables: {', '.join(self.columns_passed_over)}")
        if self.time_shape:
            found.append(f"a time that was not understood looks like {self.time_shape}")
        if self.value_shape:
            found.append(f"a value that is no number looks like {self.value_shape}")
        return found


def describe_source(path: Path, options: SourceOptions) -> SourceDescription:
    """Say how a source is written, from its first rows.

    Raises
    ------
    SourceError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.csv"
    >>> _ = path.write_text("stay_id;charttime;K\\n1;03/02/2024 10:00;4,1\\n", "utf-16")
    >>> for line in describe_source(path, SourceOptions(format=SourceFormat.CSV)).lines():
    ...     print(line)
    csv: 1 file, a wide table (UTF-16-LE, semicolon, decimal comma)
    subject_id is the column stay_id, time is the column charttime
    a time that was not understood looks like 99/99/9999 99:99
    """
    if not options.format.is_table:
        return SourceDescription(options.format)
    listing = list_files(path, endings_of(options.format), what=options.format.label)
    seen = _Seen()
    for file in listing.files:
        with reading(file, options.format.label):
            for table in open_table(file, options):
                seen.look(table, options)
                if seen.num_rows >= _MAX_ROWS:
                    break
        if seen.num_rows >= _MAX_ROWS:
            break
    return SourceDescription(
        format=options.format,
        num_files=len(listing.files),
        layout="/".join(seen.layouts),
        dialects=tuple(seen.dialects),
        passed_over=listing.passed_over,
        columns=MappingProxyType(seen.columns),
        columns_passed_over=tuple(seen.passed_over),
        time_shape=seen.time_shape,
        value_shape=seen.value_shape,
    )


def shape_of(text: str) -> str:
    """Return the shape of a text: digits become 9 and letters a, so that nobody is named.

    Examples
    --------
    >>> shape_of("3-Feb-2024 10:00")
    '9-aaa-9999 99:99'
    """
    shape = re.sub(r"\d", "9", re.sub(r"[^\W\d_]", "a", text.strip()))
    return printable(shape if len(shape) <= _MAX_SHAPE else shape[:_MAX_SHAPE] + "...")


@dataclass
class _Seen:
    """What was seen so far; dictionaries stand for sets that keep their order."""

    layouts: dict[str, None] = field(default_factory=dict)
    dialects: dict[str, None] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    passed_over: dict[str, None] = field(default_factory=dict)
    time_shape: str | None = None
    value_shape: str | None = None
    num_rows: int = 0

    def look(self, table: Table, options: SourceOptions) -> None:
        # A table of statics needs no time; whether it is one, the catalogue says later.
        layout = layout_of(table.columns, options, is_static=lambda _: True)
        is_long = isinstance(layout, LongLayout)
        self.layouts["long" if is_long else "wide"] = None
        self.dialects[table.dialect] = None
        for ours, place in _keys(layout).items():
            self.columns.setdefault(ours, printable(table.columns[place]))
        if isinstance(layout, WideLayout):
            self.passed_over |= dict.fromkeys(map(printable, layout.passed_over))
        for piece in table.stream(layout.wanted):
            self.num_rows += piece.batch.num_rows
            self._look_at(piece.batch, layout, table, options)
            if self.num_rows >= _MAX_ROWS:
                return

    def _look_at(
        self,
        batch: pa.RecordBatch,
        layout: LongLayout | WideLayout,
        table: Table,
        options: SourceOptions,
    ) -> None:
        keys = _keys(layout)
        places = {place: at for at, place in enumerate(layout.wanted)}
        if self.time_shape is None and TIME in keys:
            column = plain(batch.column(places[keys[TIME]]))
            kinds = read_times(column, options.time).kinds
            if pa.types.is_string(column.type):
                self.time_shape = _first(column, pa.array([kind in _NOT_USED for kind in kinds]))
        values = [keys[VALUE]] if VALUE in keys else getattr(layout, "variables", ())
        for place in values:
            if self.value_shape is not None:
                return
            found = read_values(
                batch.column(places[place]), decimal_mark=table.decimal_mark, name="value"
            )
            self.value_shape = _first(found.texts, pc.is_valid(found.texts))


def _keys(layout: LongLayout | WideLayout) -> dict[str, int]:
    """Return the columns by our names; of a wide table the subject and the time."""
    if isinstance(layout, LongLayout):
        return {name: layout.positions[name] for name in (SUBJECT, TIME, VALUE)}
    places = {SUBJECT: layout.subject, TIME: layout.time}
    return {name: place for name, place in places.items() if place is not None}


def _first(texts: pa.Array, chosen: pa.Array) -> str | None:
    found = texts.filter(chosen)
    return shape_of(found[0].as_py()) if len(found) else None
