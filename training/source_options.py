"""What the commands ask about a source: its kind, its columns, its times and its codes."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from model.records.sources.options import SourceOptions


class Source(StrEnum):
    """Kinds of data that can be read."""

    PHYSIONET2012 = "physionet2012"
    MEDS = "meds"
    FHIR = "fhir"
    OMOP = "omop"
    TABLE = "table"
    """CSV, Parquet or NDJSON, long or wide."""


Codes = Annotated[
    Path | None,
    typer.Option(help="CSV with columns code, variable, unit: what names of the source mean."),
]
Columns = Annotated[
    str,
    typer.Option(help="The source's names of the columns: time=charttime,subject_id=stay_id,..."),
]
TimeFormat = Annotated[
    str | None,
    typer.Option(help="Of times as text, as in Python: %d/%m/%Y %H:%M (default: ISO 8601)."),
]
TimeUnit = Annotated[
    str, typer.Option(help="Of times that are numbers: seconds, minutes, hours or days.")
]
TimeZone = Annotated[
    str | None, typer.Option(help="Of times without an offset, such as Europe/Berlin.")
]


def source_options(
    kind: Source,
    source: Path,
    codes: Path | None,
    columns: str,
    time_format: str | None,
    time_unit: str,
    time_zone: str | None,
) -> "SourceOptions":
    """Put what a user says together.

    Raises
    ------
    SourceError
        If it contradicts itself, or the code map cannot be read.
    """
    # A command imports what it needs when it runs, so that --help is quick.
    from model.records.codes import NO_MAP, read_code_map
    from model.records.sources.files import table_format
    from model.records.sources.options import (
        SourceFormat,
        SourceOptions,
        parse_columns,
    )
    from model.records.times import TimeRules

    return SourceOptions(
        format=table_format(source) if kind is Source.TABLE else SourceFormat(kind.value),
        columns=parse_columns(columns),
        time=TimeRules(time_format=time_format, unit=time_unit, zone=time_zone),
        codes=NO_MAP if codes is None else read_code_map(codes),
    )
