"""A MEDS data set: `data/**/*.parquet`, one event a row. Somebody else's, or one of this project.

    subject_id, time      the time may be empty: then the row describes the subject
    code                  a name or code of the catalogue, also as `LOINC//8867-4`; an item of MIMIC-IV
                          (`LAB//50971//mEq/L`); `GENDER//F`; `MEDS_BIRTH`
    numeric_value         the number; some extracts name it `value`
    text_value            words beside the number (`No Response-ETT`), or the value itself (`<0.01`)
    unit, comparator      of our own data sets, where MEDS has no column; else the unit stands at the
                          end of the code

https://github.com/Medical-Event-Data-Standard/meds. Events that are no measurement and have no value,
such as an admission, are counted as `event_without_value`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool

from model.data.variables import Catalogue
from model.records.choosing import Chooser
from model.records.comparators import FLAG_IGNORED, MEASURED, Values, read_values
from model.records.errors import SourceError
from model.records.labels import Labels
from model.records.persons import BIRTH_DATE
from model.records.rows import RowBatch, TimeKind, row_batch
from model.records.sources.files import endings_of, list_files, reading, shown
from model.records.sources.long_table import read_text
from model.records.sources.mimic_codes import BIRTH, CATEGORIES, ITEMS, UNIT_SPELLINGS
from model.records.sources.not_rows import EVENT_WITHOUT_VALUE, MODIFIED_MEANING
from model.records.sources.options import (
    SUBJECT,
    TIME,
    VALUE,
    VARIABLE,
    SourceFormat,
    SourceOptions,
)
from model.records.sources.sides import with_sides
from model.records.sources.tables import Table, open_table
from model.records.subjects import read_subjects
from model.records.times import read_times
from model.records.unit_texts import is_no_unit, split_code

_NUMBERS: Final = ("numeric_value", "value")
_LOINC: Final = re.compile(r"^LOINC//?")


def read_meds(path: Path, options: SourceOptions, catalogue: Catalogue) -> Iterator[RowBatch]:
    """Read the directory of a data set, another folder of Parquet files, or one file.

    Parameters
    ----------
    catalogue
        Chooses between the name and the code of an item of MIMIC-IV.

    Raises
    ------
    SourceError
        If there is no Parquet file, or a column is missing or of another kind.

    Examples
    --------
    >>> import tempfile
    >>> from datetime import datetime
    >>> import pyarrow.parquet as pq
    >>> path = Path(tempfile.mkdtemp()) / "0.parquet"
    >>> event = {"subject_id": 1, "time": datetime(2026, 3, 1, 10), "code": "LAB//220045//bpm"}
    >>> pq.write_table(pa.Table.from_pylist([event | {"numeric_value": 92.0}]), path)
    >>> [read] = read_meds(path, SourceOptions(format=SourceFormat.MEDS), Catalogue((), ()))
    >>> read.batch.select(["variable", "value", "unit"]).to_pylist()
    [{'variable': 'HR', 'value': 92.0, 'unit': '/min'}]
    """
    root = path / "data" if (path / "data").is_dir() else path
    names = _Names(Chooser(catalogue, options.codes))
    as_table = SourceOptions(format=SourceFormat.PARQUET)
    for file in list_files(root, endings_of(SourceFormat.PARQUET), what="MEDS").files:
        with reading(file, "MEDS"):
            for table in open_table(file, as_table):
                positions = _positions(table, options)
                for piece in table.stream(list(positions.values())):
                    columns = dict(zip(positions, piece.batch.columns, strict=True))
                    yield _rows(columns, options, names)


@dataclass(frozen=True)
class _Meaning:
    """What a code says: a variable, a unit, a category; and whether its rows are measurements."""

    variable: str
    unit: str | None = None
    category: str | None = None
    is_known: bool = True


@dataclass(frozen=True)
class _Names:
    """What the codes of a data set mean; each is looked up once."""

    chooser: Chooser
    _found: dict[str, _Meaning] = field(default_factory=dict)

    def of(self, code: str) -> _Meaning:
        if code not in self._found:
            self._found[code] = self._look_up(code)
        return self._found[code]

    def _look_up(self, code: str) -> _Meaning:
        mapped = self.chooser.codes.find(code)
        if mapped is not None:
            return _Meaning(mapped.variable, mapped.unit)
        if code == BIRTH:
            return _Meaning(BIRTH_DATE)
        if code in CATEGORIES:
            static, category = CATEGORIES[code]
            return _Meaning(static, None, category)
        head, tail = split_code(code)
        item = ITEMS.get(head) or ITEMS.get(code)
        if item is not None:
            name, unit = self.chooser.choose(item.names)
            said = None if head not in ITEMS or is_no_unit(tail) else UNIT_SPELLINGS.get(tail, tail)
            return _Meaning(name, said or unit or item.unit)
        bare = _LOINC.sub("", code)
        if self.chooser.knows(bare):
            return _Meaning(bare)
        head, tail = split_code(bare)
        if self.chooser.knows(head):
            return _Meaning(head, None if is_no_unit(tail) else tail)
        return _Meaning(bare, is_known=False)


def _positions(table: Table, options: SourceOptions) -> dict[str, int]:
    """Return where our columns stand in a file."""
    number = next((name for name in _NUMBERS if name in table.columns), _NUMBERS[0])
    standard = {SUBJECT: SUBJECT, TIME: TIME, VARIABLE: "code", VALUE: number}
    wanted = {ours: options.columns.get(ours, theirs) for ours, theirs in standard.items()}
    missing = [theirs for theirs in wanted.values() if theirs not in table.columns]
    if missing:
        raise SourceError(
            f"no column `{missing[0]}`; expected the MEDS columns subject_id, time, code, "
            f"numeric_value, found {', '.join(table.columns)}",
            name=shown(table.file),
        )
    for ours in ("unit", "text_value", "comparator"):
        theirs = options.columns.get(ours, ours)
        if theirs in table.columns:
            wanted[ours] = theirs
    return {ours: table.columns.index(theirs) for ours, theirs in wanted.items()}


def _rows(columns: Mapping[str, pa.Array], options: SourceOptions, names: _Names) -> RowBatch:
    codes = Labels.of(read_text(columns[VARIABLE], name="code"))
    meanings = [names.of(code) for code in codes.names]
    size = len(codes)
    values = _values(columns)
    units = read_text(columns.get("unit"), name="unit", size=size)
    signs = read_text(columns.get("comparator"), name="comparator", size=size)
    comparators, is_unreadable = with_sides(values.comparators, signs)
    times = read_times(columns[TIME], options.time)
    is_birth = _each(codes, [one.variable == BIRTH_DATE for one in meanings])
    # A birth is a day.
    dated = is_birth & np.isin(times.kinds, (TimeKind.LOCAL, TimeKind.INSTANT))
    kinds = np.where(dated, TimeKind.DATE, times.kinds).astype(np.uint8)
    categories = _texts(codes, [one.category for one in meanings])
    found = times.columns() | {
        "subject_id": read_subjects(columns[SUBJECT]),
        "time_kind": pa.array(kinds),
        "variable": _texts(codes, [one.variable for one in meanings]),
        "value": pa.array(values.numbers),
        "comparator": pa.array(comparators),
        "text": pc.coalesce(categories, values.texts),
        "unit": pc.coalesce(units, _texts(codes, [one.unit for one in meanings])),
    }
    has_value = ~np.isnan(values.numbers) | pc.is_valid(found["text"]).to_numpy(
        zero_copy_only=False
    )
    is_known = _each(codes, [one.is_known for one in meanings])
    is_row = (has_value | is_known) & ~is_unreadable
    ignored = Counter(
        {
            EVENT_WITHOUT_VALUE: int(np.sum(~has_value & ~is_known & ~is_unreadable)),
            MODIFIED_MEANING: int(is_unreadable.sum()),
        }
    )
    kept = {name: column.filter(pa.array(is_row)) for name, column in found.items()}
    remarks = Counter(times.remarks) + Counter({FLAG_IGNORED: values.num_flags})
    return row_batch(kept, ignored=ignored, remarks=remarks)


def _values(columns: Mapping[str, pa.Array]) -> Values:
    """Return the numbers, and the words that stand beside or instead of them.

    A limit in the text makes a limit of the bare number beside it.
    """
    values = read_values(columns[VALUE], name="numeric_value")
    if "text_value" not in columns:
        return values
    beside = read_values(read_text(columns["text_value"], name="text_value"), name="text_value")
    numbers = np.where(np.isnan(values.numbers), beside.numbers, values.numbers)
    is_limit = beside.comparators != MEASURED
    comparators = np.where(is_limit, beside.comparators, values.comparators).astype(np.int8)
    num_flags = values.num_flags + beside.num_flags
    return Values(numbers, comparators, pc.coalesce(values.texts, beside.texts), num_flags)


def _each(codes: Labels, found: Sequence[bool]) -> Bool[np.ndarray, " row"]:
    return np.array([*found, False], dtype=bool)[codes.codes]


def _texts(codes: Labels, found: Sequence[str | None]) -> pa.Array:
    return pa.array(found, pa.string()).take(pa.array(codes.codes, mask=codes.codes < 0))
