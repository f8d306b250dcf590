"""What the tests of readers share: a source is written, read, and its rows are put in one order."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from model.data.variables import Catalogue, Static
from model.records.codes import NO_MAP, CodeMap
from model.records.rows import SCHEMA
from model.records.sources.opening import open_source
from model.records.sources.options import SourceFormat, SourceOptions
from model.records.times import DEFAULT_RULES, TimeRules

SEX = Static(
    name="sex", description="", unit="1", plausible_range=(0.0, 1.0), categories=("female", "male")
)
STATICS = Catalogue((), (SEX,))
NOTHING = Catalogue((), ())


@dataclass(frozen=True)
class Read:
    """All rows of a source, and what was counted."""

    table: pa.Table
    ignored: Mapping[str, int]
    remarks: Mapping[str, int]

    def sorted(self) -> list[tuple[Any, ...]]:
        """Return the rows in an order that does not depend on the source; NaN as None."""
        rows = [
            tuple(None if one != one else one for one in row.values())
            for row in self.table.to_pylist()
        ]
        return sorted(rows, key=repr)

    def column(self, name: str) -> list[Any]:
        """Return a column as a list."""
        found: list[Any] = self.table.column(name).to_pylist()
        return found


def read(
    path: Path,
    source_format: SourceFormat = SourceFormat.CSV,
    *,
    columns: Mapping[str, str] | None = None,
    time: TimeRules = DEFAULT_RULES,
    codes: CodeMap = NO_MAP,
    catalogue: Catalogue = NOTHING,
    is_query: bool = False,
) -> Read:
    options = SourceOptions(format=source_format, columns=columns or {}, time=time, codes=codes)
    ignored: Counter[str] = Counter()
    remarks: Counter[str] = Counter()
    batches = []
    for rows in open_source(path, options, catalogue, is_query=is_query):
        batches.append(rows.batch)
        ignored.update(rows.ignored)
        remarks.update(rows.remarks)
    return Read(pa.Table.from_batches(batches, SCHEMA), dict(ignored), dict(remarks))


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path
