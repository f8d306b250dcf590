"""The dialect of a text table: encoding, delimiter, decimal mark, quotes. It is told by its start.

Excel of another country writes UTF-16, semicolons and decimal commas; old systems write
Windows-1252 and lines that end in a carriage return. What was found can be printed.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model.records.errors import SourceError
from model.records.sources.encodings import UTF_8, encoding_of, text_blocks
from model.records.sources.files import open_bytes, shown

DELIMITERS: Final = ",;\t|"
_NAMES: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
# A line before the header in which Excel says the delimiter.
_EXCEL_LINE = re.compile(r'"?sep=(?P<mark>[,;\t|])"?(?:\r\n|\r|\n)', re.IGNORECASE)
_SAMPLE_CHARACTERS: Final = 2**18
# Numbers of a column of whole numbers show no mark: how far to look for one.
_LOOK_CHARACTERS: Final = 2**23
_ENOUGH_EVIDENCE: Final = 50
_MAX_COLUMNS: Final = 20_000
_COMMA_NUMBER = re.compile(
    r"\s*(?:[<>]=?)?\s*[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+(?:[eE][+-]?\d+)?\W*[HLhl]?\W*"
)
_POINT_NUMBER = re.compile(
    r"\s*(?:[<>]=?)?\s*[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)\.\d+(?:[eE][+-]?\d+)?\W*[HLhl]?\W*"
)


@dataclass(frozen=True)
class Dialect:
    """How a text table is written. `header_end` is where its first row begins, in characters.

    Examples
    --------
    >>> str(Dialect(encoding="UTF-16-LE", delimiter=";", decimal_mark=","))
    'UTF-16-LE, semicolon, decimal comma'
    """

    encoding: str = UTF_8
    delimiter: str = ","
    decimal_mark: str = "."
    has_quotes: bool = True
    columns: tuple[str, ...] = ()
    header_end: int = 0

    def __str__(self) -> str:
        mark = ", decimal comma" if self.decimal_mark == "," else ""
        quotes = "" if self.has_quotes else ", without quoting"
        return f"{self.encoding}, {_NAMES[self.delimiter]}{mark}{quotes}"


def find_dialect(file: Path, expected: Sequence[str] = ()) -> Dialect:
    """Tell the dialect of a file with a header.

    Parameters
    ----------
    expected
        Names of columns that decide between two delimiters which both could be meant.

    Raises
    ------
    SourceError
        If the file is empty or has no header.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "excel.csv"
    >>> _ = path.write_text("stay_id;hour;K\\n1;0,5;4,1\\n", encoding="utf-16")
    >>> str(find_dialect(path))
    'UTF-16-LE, semicolon, decimal comma'
    """
    with open_bytes(file) as opened:
        encoding = encoding_of(opened.read(_SAMPLE_CHARACTERS))
    sample = _sample(file, encoding)
    if not sample.strip():
        raise SourceError("the file is empty; expected a header and rows", name=shown(file))
    said = _EXCEL_LINE.match(sample)
    start = said.end() if said else 0
    start += len(sample[start:]) - len(sample[start:].lstrip("\r\n"))
    body = sample[start:]
    delimiter = said["mark"] if said else _delimiter(body, expected)
    columns, size = _header(body, delimiter, file)
    end = start + size
    rows = sample[end:]
    has_quotes = _has_quotes(rows, delimiter, len(columns))
    mark = "."
    if delimiter != ",":
        mark = _decimal_mark(_cells(file, encoding, end, delimiter, has_quotes=has_quotes))
    return Dialect(encoding, delimiter, mark, has_quotes, columns, end)


def _sample(file: Path, encoding: str) -> str:
    found: list[str] = []
    for block in text_blocks(file, encoding):
        found.append(block)
        if sum(map(len, found)) >= _SAMPLE_CHARACTERS:
            break
    return "".join(found)


def _delimiter(body: str, expected: Sequence[str]) -> str:
    """Return the delimiter by which the header has most expected names, then most columns."""
    known = {name.lower() for name in expected}

    def merit(mark: str) -> tuple[int, int]:
        names = [name.strip().lower() for name in _first_row(body, mark)[0]]
        return len(known & set(names)), len(names)

    return max(DELIMITERS, key=merit)


def _header(body: str, delimiter: str, file: Path) -> tuple[tuple[str, ...], int]:
    names, size = _first_row(body, delimiter)
    if not names or size >= _SAMPLE_CHARACTERS or len(names) > _MAX_COLUMNS:
        raise SourceError(
            "the first line is no header; expected the names of the columns", name=shown(file)
        )
    return tuple(name.strip() for name in names), size


def _first_row(text: str, delimiter: str) -> tuple[list[str], int]:
    """Return the fields of the first row, and its size in characters with its end of line."""
    size = 0

    def counted() -> Iterator[str]:
        nonlocal size
        for line in io.StringIO(text, newline=""):
            size += len(line)
            yield line

    try:
        found = next(csv.reader(counted(), delimiter=delimiter), [])
    except csv.Error:
        return [], 0
    return found, size


def _rows(text: str, delimiter: str, *, has_quotes: bool) -> Iterator[list[str]]:
    """Parse what is there; stops without a word at what the csv module refuses."""
    quoting: Final = csv.QUOTE_MINIMAL if has_quotes else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting)
    try:
        for row in reader:
            if row:
                yield row
    except csv.Error:
        return


def _has_quotes(rows: str, delimiter: str, num_columns: int) -> bool:
    """Return whether quotes hold fields together; in some exports they are letters of a note.

    They are letters where every line has the right number of fields without them, where few fields
    stand between two of them, and where they do not end fields as they should.
    """
    if '"' not in rows:
        return True
    if len(rows) >= _SAMPLE_CHARACTERS - 1:
        rows = rows[: rows.rfind("\n") + 1] or rows
    wrapped = opened = 0
    for row in _rows(rows, delimiter, has_quotes=False):
        if len(row) != num_columns:
            return True
        for field in row:
            if field.startswith('"'):
                is_wrapped = len(field) > 1 and field.endswith('"')
                wrapped, opened = wrapped + is_wrapped, opened + (not is_wrapped)
    return opened <= wrapped or _is_well_quoted(rows, delimiter, num_columns)


def _is_well_quoted(rows: str, delimiter: str, num_columns: int) -> bool:
    reader = csv.reader(io.StringIO(rows, newline=""), delimiter=delimiter, strict=True)
    try:
        return all(len(row) == num_columns for row in reader if row)
    except csv.Error:
        return False


def _cells(
    file: Path, encoding: str, start: int, delimiter: str, *, has_quotes: bool
) -> Iterator[str]:
    """Yield the cells of the rows from the start on, until enough of the file was seen."""
    seen, rest = 0, ""
    for block in text_blocks(file, encoding):
        text = rest + block[max(0, start - seen) :]
        seen += len(block)
        lines, mark, rest = text.rpartition("\n" if "\n" in text else "\r")
        for row in _rows(lines + mark, delimiter, has_quotes=has_quotes):
            yield from row
        if seen >= _LOOK_CHARACTERS:
            return
    for row in _rows(rest, delimiter, has_quotes=has_quotes):
        yield from row


def _decimal_mark(cells: Iterator[str]) -> str:
    commas = points = 0
    for cell in cells:
        if "," not in cell and "." not in cell:
            continue
        commas += _COMMA_NUMBER.fullmatch(cell) is not None
        points += _POINT_NUMBER.fullmatch(cell) is not None
        if commas + points >= _ENOUGH_EVIDENCE:
            break
    return "," if commas > points else "."
