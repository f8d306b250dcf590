"""A user's code map: what the names and codes of a source mean, and in which unit they come.

A code map is a CSV file with the columns `code,variable,unit`, or a mapping in a request. `code` is
a name or code of the source or, as in MEDS, its part before `//unit`. `variable` is a name or code
of the catalogue. `unit` is the unit of the values where the row itself names none.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from model.records.comparators import is_missing
from model.records.errors import SourceError
from model.records.unit_texts import is_no_unit, looks_like_unit, split_code, split_suffix

_COLUMNS: Final = ("code", "variable", "unit")


@dataclass(frozen=True)
class Target:
    """A variable or static by name, and the unit of the values where the map or the code says it.

    `line` is that of the map's file; 0 where there is none.
    """

    variable: str
    unit: str | None = None
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class CodeMap:
    """Targets by code, or by the part of a code before its unit.

    Examples
    --------
    >>> codes = CodeMap.of({"220045": "HR", "LAB//50931": {"variable": "Glucose", "unit": "mg/dL"}})
    >>> codes.find("220045"), codes.find("LAB//50931//mmol/L").unit
    (Target(variable='HR', unit=None, line=0), 'mmol/L')
    """

    entries: Mapping[str, Target]

    @classmethod
    def of(cls, content: Mapping[str, object]) -> "CodeMap":
        """Read a mapping from a code to a variable, or to `{"variable": ..., "unit": ...}`.

        Raises
        ------
        SourceError
            If an entry is something else.
        """
        entries = {}
        for code, target in content.items():
            found = {"variable": target} if isinstance(target, str) else target
            is_entry = isinstance(found, Mapping) and set(found) <= {"variable", "unit"}
            if not (is_entry and code.strip()):
                raise SourceError(_expected(code))
            assert isinstance(found, Mapping)
            variable, unit = found.get("variable"), found.get("unit")
            if not (isinstance(variable, str) and variable.strip()):
                raise SourceError(_expected(code))
            if not (unit is None or isinstance(unit, str)):
                raise SourceError(_expected(code))
            entries[code.strip()] = Target(variable.strip(), (unit or "").strip() or None)
        return cls(MappingProxyType(entries))

    def find(self, code: str) -> Target | None:
        """Return what a code means; its unit is the one that the code ends in, or else the map's.

        An end that is no known unit is passed on where the map names none, so that it is reported
        and not guessed.
        """
        head, tail = split_code(code)
        # A number at the end is the id of an item, and not the unit 1.
        has_unit = len(tail) > 0 and not tail.isdigit() and looks_like_unit(tail)
        exact = self.entries.get(code)
        if exact is not None:
            return Target(exact.variable, tail if has_unit else exact.unit, exact.line)
        prefixed = self.entries.get(head) if tail else None
        if prefixed is None:
            return None
        if has_unit:
            return Target(prefixed.variable, tail, prefixed.line)
        if prefixed.unit is not None or is_no_unit(tail):
            return prefixed
        return Target(prefixed.variable, tail, prefixed.line)

    def check(self, knows: Callable[[str], bool]) -> None:
        """Raise `SourceError` for the first target that the catalogue does not know."""
        for code, target in self.entries.items():
            if not knows(target.variable):
                where = f"line {target.line}, column `variable`" if target.line else f"`{code}`"
                raise SourceError(
                    f"the code map, {where}: the catalogue has no variable or static "
                    f"`{target.variable}`; write a name or code of the catalogue"
                )


NO_MAP: Final = CodeMap(MappingProxyType({}))


def read_code_map(path: Path) -> CodeMap:
    """Read a code map from a CSV file (comma or semicolon).

    Raises
    ------
    SourceError
        If a column is missing, a cell is empty, or a code stands twice; with line and column.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "codes.csv"
    >>> _ = path.write_text("code,variable,unit\\n220045,HR,/min\\n")
    >>> read_code_map(path).find("220045")
    Target(variable='HR', unit='/min', line=2)
    """
    entries: dict[str, Target] = {}
    for line, code, target in _entries(path):
        if code in entries:
            raise SourceError(
                f"line {line}, column `code`: the code `{code}` stands there already in line "
                f"{entries[code].line}; keep one of them",
                name=_name(path),
            )
        entries[code] = target
    return CodeMap(MappingProxyType(entries))


def knows_nothing(_: str) -> bool:
    """Return False: the answer of no catalogue.

    Examples
    --------
    >>> knows_nothing("HR")
    False
    """
    return False


def apply_codes(
    batch: pa.RecordBatch, codes: CodeMap, knows: Callable[[str], bool] = knows_nothing
) -> pa.RecordBatch:
    """Rename the variables of rows and supply their units where the rows name none.

    A variable that neither the map nor the catalogue names is split where it ends in `//unit`, as
    MEDS writes it, and where it ends in `_unit` and the catalogue knows what stands before.

    Parameters
    ----------
    knows
        Whether a name or code is in the catalogue.

    Examples
    --------
    >>> from model.records.rows import row_batch
    >>> rows = row_batch({"subject_id": pa.array(["1"]), "variable": pa.array(["220045"])}).batch
    >>> apply_codes(rows, CodeMap.of({"220045": "HR"})).column("variable").to_pylist()
    ['HR']
    """
    names = pc.dictionary_encode(batch.column("variable"))
    distinct = names.dictionary.to_pylist()
    targets = [_target(name, codes, knows) for name in distinct]
    if all(
        target.variable == name and not target.unit
        for name, target in zip(distinct, targets, strict=True)
    ):
        return batch
    variables = pa.array([one.variable for one in targets], pa.string()).take(names.indices)
    supplied = pa.array([one.unit for one in targets], pa.string()).take(names.indices)
    written = batch.column("unit")
    has_none = pa.array(is_missing(written))
    units = pc.if_else(has_none, supplied, written)
    schema = batch.schema
    batch = batch.set_column(
        schema.get_field_index("variable"), schema.field("variable"), variables
    )
    return batch.set_column(schema.get_field_index("unit"), schema.field("unit"), units)


def _target(name: str, codes: CodeMap, knows: Callable[[str], bool]) -> Target:
    mapped = codes.find(name)
    if mapped is not None:
        return mapped
    if knows(name):
        return Target(name)
    before, unit = split_suffix(name)
    if unit is not None and knows(before):
        return Target(before, unit)
    head, tail = split_code(name)
    # A single letter may be a category, such as that of GENDER//F.
    is_unit = len(tail) > 1 and not tail.isdigit() and looks_like_unit(tail)
    if head and (is_unit or tail == "%"):
        return Target(head, tail)
    return Target(head) if head and tail and is_no_unit(tail) else Target(name)


def _entries(path: Path) -> Iterator[tuple[int, str, Target]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            delimiter = ";" if header.count(";") > header.count(",") else ","
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            _check_header([name.strip() for name in reader.fieldnames or ()], path)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            for row in reader:
                yield _entry(row, reader.line_num, path)
    except (OSError, ValueError, csv.Error) as error:
        raise SourceError(
            f"the code map cannot be read as a CSV file in UTF-8 ({type(error).__name__})",
            name=_name(path),
        ) from error


def _check_header(found: list[str], path: Path) -> None:
    for wanted in ("code", "variable"):
        if found.count(wanted) != 1:
            was = "is missing" if wanted not in found else "stands there more than once"
            raise SourceError(
                f"line 1: the code map needs the columns {','.join(_COLUMNS)}; `{wanted}` {was}, "
                f"found {','.join(found) or 'an empty file'}",
                name=_name(path),
            )


def _entry(row: Mapping[str | None, object], line: int, path: Path) -> tuple[int, str, Target]:
    if None in row:
        raise SourceError(f"line {line}: it has more fields than the header", name=_name(path))
    code, variable, unit = (str(row.get(name) or "").strip() for name in _COLUMNS)
    for column, text in (("code", code), ("variable", variable)):
        if not text:
            raise SourceError(
                f"line {line}, column `{column}`: it is empty; write a {column} or delete the line",
                name=_name(path),
            )
    return line, code, Target(variable, unit or None, line)


def _expected(code: str) -> str:
    return (
        f"the code map, `{code}`: expected the name of a variable, or an object with `variable` "
        "and, if needed, `unit`, both text"
    )


def _name(path: Path) -> str:
    return path.name.encode("utf-8", errors="backslashreplace").decode()
