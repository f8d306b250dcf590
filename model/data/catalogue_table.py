"""A catalogue as a table that a person edits in a spreadsheet: one row a variable or a static.

    role          variable (also where it is empty) or static
    name, unit    as the answers show them; the unit is UCUM
    codes         `LOINC//8867-4; MIMIC//220045`. A spreadsheet reads a bare 1975-2 as a date,
                  so that the writer always names the system; the reader takes bare LOINC codes, too
    aliases       other names of tables: `heart rate; pulse`
    kind          level (also where it is empty), amount, state, ordinal
    transform     empty, `log` or `log+20`: the model sees log(value + 20)
    low, high     plausible range, inclusive; range_source says where it is from. A static with
                  categories needs none
    step          to which values are recorded
    molar_mass    g/mol;  valence  charges
    conversions   `mmol/mol=0.0915|2.15`: canonical = 0.0915 * value + 2.15
    categories    of a static: `female=f|woman; male=m|man`
    age_ranges    `0..0.08=60..250; 0.08..1=50..230`: ages in years, then the range
    typical_low, typical_median, typical_high   quartiles of recorded values

The columns may stand in any order. Columns that begin with `seen_` or `note` are for the reader's
eyes and passed over. A table that Excel has saved (UTF-8 with a byte order mark, UTF-16, a Windows
code page; `;` or tabs between cells, decimal commas) is read as well.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from model.data.variables import (
    AgeRange,
    Catalogue,
    InvalidFieldsError,
    Kind,
    Static,
    Variable,
    folded,
)
from model.errors import CatalogueError

COLUMNS = (
    *("role", "name", "description", "unit", "codes", "aliases", "kind", "transform"),
    *("low", "high", "range_source", "step", "molar_mass", "valence", "conversions"),
    *("categories", "age_ranges", "typical_low", "typical_median", "typical_high"),
)
_REQUIRED = ("name", "unit", "low", "high")
_PASSED_OVER = ("seen_", "note")
_COLUMN_OF = {
    "plausible_range": "low, high",
    "log_offset": "transform",
    "resolution": "step",
    "typical": "typical_low, typical_median, typical_high",
    "category_aliases": "categories",
}
_LOINC_CODE = re.compile(r"\d{1,7}-\d")
_TYPICAL = ("typical_low", "typical_median", "typical_high")
_NUMERIC = frozenset(
    (*_TYPICAL, "transform", "low", "high", "step", "molar_mass", "conversions", "age_ranges")
)
_Value = TypeVar("_Value")


class TableFault(NamedTuple):
    """What is wrong in a table, and where. Line 1 is the header."""

    line: int
    column: str
    expected: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.column}: {self.expected}"


class CatalogueTableError(CatalogueError):
    """Raised for a table with faults; it lists all of them."""

    def __init__(self, path: Path, faults: Sequence[TableFault]) -> None:
        self.faults = tuple(faults)
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"{path} is no catalogue that can be used:\n{lines}")


def read_catalogue(path: Path) -> Catalogue:
    """Read a table of variables and statics.

    Raises
    ------
    CatalogueTableError
        If the table has faults. All of them are listed, with line, column and what was expected.
    CatalogueError
        If the file cannot be read.
    """
    try:
        return _read(path, path.read_bytes())
    except OSError as error:
        raise CatalogueError(f"{path} cannot be read: {error.strerror}") from error


def write_catalogue(
    path: Path, catalogue: Catalogue, notes: Mapping[str, Mapping[str, str]] | None = None
) -> None:
    """Write a catalogue as a table. `read_catalogue` gives the same catalogue again.

    Parameters
    ----------
    notes
        By name of a variable or static: further cells by column, which `read_catalogue` passes over.

    Raises
    ------
    CatalogueError
        If the table cannot hold the catalogue: two variables have one code, a name contains `;`.
    """
    rows = [*map(_variable_cells, catalogue.variables), *map(_static_cells, catalogue.statics)]
    for row in rows:
        row.update((notes or {}).get(row["name"], {}))
    further = dict.fromkeys(column for row in rows for column in row if column not in COLUMNS)
    text = io.StringIO()
    writer = csv.DictWriter(text, (*COLUMNS, *further), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue()
    # Excel takes a file without the mark for the Windows code page.
    encoded = content.encode("utf-8" if content.isascii() else "utf-8-sig")
    if _read(path, encoded) != catalogue:
        raise CatalogueError(
            "a name, code or unit contains a character that separates cells or lists"
        )
    path.write_bytes(encoded)


def _read(path: Path, content: bytes) -> Catalogue:
    header, rows = _rows(path, content)
    faults = list(_header_faults(header))
    if faults:
        raise CatalogueTableError(path, faults)
    items: list[Variable | Static] = []
    owners: dict[str, int] = {}
    for line, cells in rows:
        row = _Row(line, cells)
        item = row.item()
        if item is not None:
            items.append(item)
        faults += [*row.faults, *_repeated(row, owners)]
    variables = tuple(item for item in items if isinstance(item, Variable))
    if not faults and not variables:
        faults.append(TableFault(1, "role", "expected at least one variable"))
    if faults:
        raise CatalogueTableError(path, faults)
    return Catalogue(variables, tuple(item for item in items if isinstance(item, Static)))


# ------------------------------------------------------------------------------------------- reading


@dataclass
class _Row:
    """One row: its cells by column, and the faults that were found in them."""

    line: int
    cells: Mapping[str, str]
    faults: list[TableFault] = field(default_factory=list)

    def item(self) -> Variable | Static | None:
        """Return what the row describes, or None if it has a fault."""
        role = self.text("role").casefold() or "variable"
        if role not in ("variable", "static"):
            self._fault("role", "expected variable or static")
            return None
        fields = self._common() | (self._variable() if role == "variable" else self._static())
        if self.faults:
            return None
        try:
            return Variable(**fields) if role == "variable" else Static(**fields)
        except InvalidFieldsError as error:
            for name, rule in error.faults:
                self._fault(_COLUMN_OF.get(name, name), rule)
            return None

    def text(self, column: str) -> str:
        return (self.cells.get(column) or "").strip()

    def parts(self, column: str) -> list[str]:
        return [part.strip() for part in self.text(column).split(";") if part.strip()]

    def _fault(self, column: str, expected: str) -> None:
        self.faults.append(TableFault(self.line, column, expected))

    def _common(self) -> dict[str, Any]:
        for column in ("name", "unit"):
            if not self.text(column):
                self._fault(column, "must not be empty")
        if self.text("categories") and not self.text("low") and not self.text("high"):
            bounds = (0.0, max(1.0, len(self.parts("categories")) - 1.0))
        else:
            bounds = (self._number("low", math.nan), self._number("high", math.nan))
        return {
            "name": self.text("name"),
            "description": self.text("description"),
            "unit": self.text("unit"),
            "codes": self._each(
                "codes", _code, "LOINC codes such as LOINC//8867-4, or SYSTEM//CODE"
            ),
            "aliases": tuple(self.parts("aliases")),
            "plausible_range": bounds,
            "age_ranges": self._each("age_ranges", _age_range, "AGE..AGE=LOW..HIGH"),
        }

    def _variable(self) -> dict[str, Any]:
        kinds = ", ".join(Kind)
        return {
            "range_source": self.text("range_source"),
            "kind": self._one("kind", lambda text: Kind(text.casefold()), Kind.LEVEL, kinds),
            "log_offset": self._one("transform", _log_offset, None, "nothing, log or log+NUMBER"),
            "resolution": self._one("step", _number, None, "a number"),
            "molar_mass": self._one("molar_mass", _number, None, "a number of g/mol"),
            "valence": self._one("valence", _whole, None, "a whole number"),
            "conversions": self._each(
                "conversions", _conversion, "UNIT=FACTOR or UNIT=FACTOR|OFFSET"
            ),
            "typical": self._typical(),
        }

    def _static(self) -> dict[str, Any]:
        pairs = self._each("categories", _category, "NAME or NAME=WORD|WORD")
        words = tuple(words for _, words in pairs)
        return {
            "categories": tuple(name for name, _ in pairs),
            "category_aliases": words if any(words) else (),
        }

    def _typical(self) -> tuple[float, ...] | None:
        given = [column for column in _TYPICAL if self.text(column)]
        if not given:
            return None
        return tuple(self._number(column, math.nan) for column in _TYPICAL)

    def _number(self, column: str, default: float) -> float:
        if not self.text(column):
            self._fault(column, "must not be empty")
        return self._one(column, _number, default, "a number")

    def _one(
        self, column: str, read: Callable[[str], _Value], default: _Value, expected: str
    ) -> _Value:
        text = self.text(column)
        if not text:
            return default
        try:
            return read(text)
        except ValueError:
            self._fault(column, f"expected {expected}")
            return default

    def _each(
        self, column: str, read: Callable[[str], _Value], expected: str
    ) -> tuple[_Value, ...]:
        found = []
        for part in self.parts(column):
            try:
                found.append(read(part))
            except ValueError:
                self._fault(column, f"expected {expected}")
        return tuple(found)


def _rows(path: Path, content: bytes) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the header and the rows that are not empty, each with its line and cells by column."""
    try:
        text = _decoded(content)
        delimiter = _delimiter(text)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header = [cell.strip().casefold() for cell in next(reader, [])]
        rows = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise CatalogueError(f"{path} cannot be read as a table of text: {error}") from error
    named = [(line, dict(zip(header, cells, strict=False))) for line, cells in rows]
    if delimiter != ",":
        # Where cells are separated otherwise, a comma in a number is the decimal mark.
        for _, cells in named:
            cells.update({name: cells[name].replace(",", ".") for name in _NUMERIC & cells.keys()})
    return header, named


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    if content.startswith(b"PK\x03\x04"):
        raise csv.Error("it is a spreadsheet file; save the table as CSV")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")


def _delimiter(text: str) -> str:
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)


def _header_faults(header: Sequence[str]) -> Iterator[TableFault]:
    known = ", ".join(COLUMNS)
    for column in _REQUIRED:
        if column not in header:
            yield TableFault(1, column, "this column is missing")
    for column in dict.fromkeys(header):
        if column and column not in COLUMNS and not column.startswith(_PASSED_OVER):
            yield TableFault(1, column, f"expected seen_..., note... or one of: {known}")
        if column and header.count(column) > 1:
            yield TableFault(1, column, "this column stands there twice")


def _repeated(row: _Row, owners: dict[str, int]) -> Iterator[TableFault]:
    """Find names and codes that an earlier row has; `owners` keeps the line of each."""
    role = row.text("role").casefold() or "variable"
    keys = [("name", row.text("name"), "name")]
    keys += [("codes", code.removeprefix("LOINC//"), role) for code in row.parts("codes")]
    keys += [("aliases", folded(alias), role) for alias in row.parts("aliases")]
    for column, text, scope in keys:
        earlier = owners.setdefault(f"{column} {scope} {text}", row.line)
        if text and earlier != row.line:
            yield TableFault(row.line, column, f"line {earlier} has the same")


# ------------------------------------------------------------------------------------------- cells


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _whole(text: str) -> int:
    value = _number(text)
    if value != int(value):
        raise ValueError
    return int(value)


def _log_offset(text: str) -> float | None:
    word, _, offset = text.casefold().partition("log")
    if word:
        raise ValueError
    return _number(offset) if offset else 0.0


def _code(text: str) -> str:
    bare = text.removeprefix("LOINC//")
    # A spreadsheet may have turned 1975-2 into a date: then the form is another one.
    if (bare != text or "//" not in bare) and not is_loinc(bare):
        raise ValueError
    return bare


def is_loinc(code: str) -> bool:
    """Whether this is a number of LOINC's form and its check digit (Luhn, modulo 10) is right."""
    if not _LOINC_CODE.fullmatch(code):
        return False
    digits = [int(digit) for digit in code.replace("-", "")]
    doubled = [2 * digit for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(digit - 9 * (digit > 9) for digit in doubled)) % 10 == 0


def _conversion(text: str) -> tuple[str, float, float]:
    unit, _, numbers = text.rpartition("=")
    factor, _, offset = numbers.partition("|")
    if not unit.strip():
        raise ValueError
    return unit.strip(), _number(factor), _number(offset or "0")


def _age_range(text: str) -> AgeRange:
    ages, _, bounds = text.partition("=")
    numbers = [_number(part.strip()) for pair in (ages, bounds) for part in pair.split("..")]
    if len(numbers) != 4:
        raise ValueError
    return AgeRange(*numbers)


def _category(text: str) -> tuple[str, tuple[str, ...]]:
    name, _, words = text.partition("=")
    if not name.strip():
        raise ValueError
    return name.strip(), tuple(word.strip() for word in words.split("|") if word.strip())


# ------------------------------------------------------------------------------------------- writing


def _text(value: float | None) -> str:
    return "" if value is None else repr(float(value)).removesuffix(".0")


def _common_cells(item: Variable | Static, role: str) -> dict[str, str]:
    low, high = item.plausible_range
    codes = [code if "//" in code else f"LOINC//{code}" for code in item.codes]
    bands = [
        f"{_text(band.low_years)}..{_text(band.high_years)}={_text(band.low)}..{_text(band.high)}"
        for band in item.age_ranges
    ]
    return {
        "role": role,
        "name": item.name,
        "description": item.description,
        "unit": item.unit,
        "codes": "; ".join(codes),
        "aliases": "; ".join(item.aliases),
        "low": _text(low),
        "high": _text(high),
        "age_ranges": "; ".join(bands),
    }


def _variable_cells(variable: Variable) -> dict[str, str]:
    conversions = [
        f"{unit}={_text(factor)}" + (f"|{_text(offset)}" if offset else "")
        for unit, factor, offset in variable.conversions
    ]
    offset = variable.log_offset
    typical = variable.typical or (None, None, None)
    return _common_cells(variable, "variable") | {
        "kind": variable.kind.value,
        "transform": "" if offset is None else f"log+{_text(offset)}" if offset else "log",
        "range_source": variable.range_source,
        "step": _text(variable.resolution),
        "molar_mass": _text(variable.molar_mass),
        "valence": "" if variable.valence is None else str(variable.valence),
        "conversions": "; ".join(conversions),
        **dict(zip(_TYPICAL, map(_text, typical), strict=True)),
    }


def _static_cells(static: Static) -> dict[str, str]:
    words = static.category_aliases or ((),) * len(static.categories)
    categories = [
        f"{name}={'|'.join(others)}" if others else name
        for name, others in zip(static.categories, words, strict=True)
    ]
    return _common_cells(static, "static") | {"categories": "; ".join(categories)}
