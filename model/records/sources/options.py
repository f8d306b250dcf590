"""What a user says about a source: its format, its columns, its times and its codes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from model.records.codes import NO_MAP, CodeMap
from model.records.errors import SourceError
from model.records.times import DEFAULT_RULES, TimeRules

SUBJECT: Final = "subject_id"
TIME: Final = "time"
VARIABLE: Final = "variable"
VALUE: Final = "value"
OPTIONAL: Final = ("unit", "text_value", "comparator")
COLUMNS: Final = (SUBJECT, TIME, VARIABLE, VALUE, *OPTIONAL)
"""Our names of the columns of a table."""


class SourceFormat(StrEnum):
    """How a source is written."""

    CSV = "csv"
    """Text with a header and a delimiter, long or wide."""
    PARQUET = "parquet"
    NDJSON = "ndjson"
    """One object a line, long or wide."""
    FHIR = "fhir"
    MEDS = "meds"
    OMOP = "omop"
    PHYSIONET2012 = "physionet2012"

    @property
    def label(self) -> str:
        """How a sentence calls it."""
        return "Parquet" if self is SourceFormat.PARQUET else self.upper()

    @property
    def is_table(self) -> bool:
        """Whether it is a long or a wide table."""
        return self in (SourceFormat.CSV, SourceFormat.PARQUET, SourceFormat.NDJSON)


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How a source is to be read.

    `columns` gives the source's name of a column by ours (`COLUMNS`).

    Examples
    --------
    >>> SourceOptions(format=SourceFormat.CSV, columns={"time": "charttime"}).columns["time"]
    'charttime'
    """

    format: SourceFormat
    columns: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    time: TimeRules = DEFAULT_RULES
    codes: CodeMap = NO_MAP

    def __post_init__(self) -> None:
        check_columns_option(self.columns)


def parse_columns(text: str) -> Mapping[str, str]:
    """Read `time=charttime,subject_id=stay_id`, as the command line has it.

    Raises
    ------
    SourceError
        If a part is not `ours=theirs`, a name of ours is not known, or one is given twice.

    Examples
    --------
    >>> dict(parse_columns("time=charttime, subject_id=stay_id"))
    {'time': 'charttime', 'subject_id': 'stay_id'}
    """
    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        ours, mark, theirs = (piece.strip() for piece in part.partition("="))
        if not (ours and mark and theirs):
            raise SourceError(
                f"--columns: expected ours=theirs, such as time=charttime, found `{part}`"
            )
        if ours in found:
            raise SourceError(f"--columns: the column `{ours}` is given twice")
        found[ours] = theirs
    check_columns_option(found)
    return MappingProxyType(found)


def check_columns_option(columns: Mapping[str, str]) -> None:
    """Raise `SourceError` unless all names are ours and no column of the source is named twice."""
    for ours in columns:
        if ours not in COLUMNS:
            raise SourceError(
                f"--columns: there is no column `{ours}`; expected one of: {', '.join(COLUMNS)}. "
                "Write ours=theirs, such as time=charttime"
            )
    theirs = list(columns.values())
    twice = next((name for name in theirs if theirs.count(name) > 1), None)
    if twice is not None:
        raise SourceError(f"--columns: `{twice}` cannot be two columns at once")
