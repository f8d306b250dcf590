"""Imports for tests: rows in, the report and the table on disk out."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from model.data.variables import Catalogue
from model.records.sources.options import SourceFormat, SourceOptions
from tests.catalogues import CHALLENGE
from training.datasets.import_report import ImportReport
from training.datasets.importing import ImportOptions, import_source

Row = tuple[Any, ...]
"""subject, time, variable, value, unit; None for nothing."""


@dataclass(frozen=True)
class Imported:
    """What an import says, and what it has written."""

    report: ImportReport
    directory: Path

    @property
    def table(self) -> pd.DataFrame:
        """The data set's rows."""
        return pd.read_parquet(self.directory / "data" / "0.parquet")

    @property
    def reasons(self) -> Mapping[str, int]:
        """Rows that are not in the data set, by reason."""
        return {one.reason: self.report.dropped_for(one.reason) for one in self.report.drops}


def import_from(
    source: Path, out: Path, source_format: SourceFormat, catalogue: Catalogue = CHALLENGE
) -> Imported:
    """Import a source."""
    options = ImportOptions(source=SourceOptions(format=source_format), catalogue=catalogue)
    return Imported(import_source(source, out, options), out)


def import_rows(rows: Sequence[Row], folder: Path, name: str = "rows") -> Imported:
    """Import rows that are written as a long table."""
    source = folder / f"{name}.csv"
    with source.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("subject_id", "time", "variable", "value", "unit"))
        for row in rows:
            filled = (*row, *([None] * (5 - len(row))))
            writer.writerow(["" if one is None else one for one in filled])
    return import_from(source, folder / name, SourceFormat.CSV)
