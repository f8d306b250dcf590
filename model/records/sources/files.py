"""The files of a source, what is passed over beside them, and the bytes that they hold."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import pyarrow as pa

from model.records.errors import SourceError
from model.records.sources.options import SourceFormat

_COMPRESSIONS: Final = ("", ".gz", ".bz2", ".xz")
ENDINGS: Final = {
    SourceFormat.CSV: (".csv", ".tsv", ".txt", ".psv", ".tab"),
    SourceFormat.PARQUET: (".parquet", ".pq"),
    SourceFormat.NDJSON: (".ndjson", ".jsonl"),
}
"""Endings of the files of a format; those of text also with the ending of a compression."""

_SPREADSHEETS: Final = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")
_SAVE_AS = "save the sheet as CSV (UTF-8) or Parquet, and give that file"
_NUM_SHOWN: Final = 5
_OPENERS: Final[Mapping[bytes, Callable[..., object]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
# What begins a file that is no text, and what to say about it.
_FOREIGN: Final = {
    b"PK\x03\x04": f"it is a spreadsheet or a zip archive; {_SAVE_AS}",
    b"\xd0\xcf\x11\xe0": f"it is a spreadsheet of old Excel; {_SAVE_AS}",
    b"PAR1": "it is a Parquet file; read it with the format `parquet`",
    b"ARROW1": "it is an Arrow file; save it as Parquet",
    b"\x89HDF": "it is an HDF5 file; save the table as Parquet",
}
_FAULTS: Final = (
    pa.ArrowException,
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    RecursionError,
    zlib.error,
    lzma.LZMAError,
)


@dataclass(frozen=True)
class Listing:
    """The files to read, in the order of their names, and those that are not read.

    Names of `passed_over` are relative to the folder and escaped, so that they can be printed.
    """

    files: tuple[Path, ...]
    passed_over: tuple[str, ...] = ()


def passed_over_line(names: tuple[str, ...]) -> str | None:
    """Return a sentence for a report on what was passed over; None where nothing was.

    Examples
    --------
    >>> passed_over_line(("._a.csv", "notes.docx"))
    'passed over: ._a.csv, notes.docx'
    """
    if not names:
        return None
    more = len(names) - _NUM_SHOWN
    return f"passed over: {', '.join(names[:_NUM_SHOWN])}" + (
        f" and {more} more" if more > 0 else ""
    )


def list_files(path: Path, endings: tuple[str, ...], *, what: str) -> Listing:
    """List one file, or the files of a folder with one of the endings.

    Names that begin with `.` or `_`, and what lies in such folders, are no data: editors, archives
    and writers that died leave them behind.

    Parameters
    ----------
    what
        What is looked for, in words, for the messages.

    Raises
    ------
    SourceError
        If there is no such file, or the folder holds none.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("a.csv", "._a.csv", "notes.docx"):
    ...     _ = (folder / name).write_text("")
    >>> listing = list_files(folder, endings_of(SourceFormat.CSV), what="CSV")
    >>> [file.name for file in listing.files], listing.passed_over
    (['a.csv'], ('._a.csv', 'notes.docx'))
    """
    try:
        if path.is_dir():
            return _of_folder(path, endings, what)
        is_there = path.exists()
    except (OSError, ValueError) as error:
        raise SourceError(
            f"it cannot be opened ({type(error).__name__})", name=shown(path)
        ) from error
    if not is_there:
        raise SourceError("there is no such file or folder", name=shown(path))
    if not path.is_file():
        # It is opened more than once, and a pipe gives its bytes once.
        raise SourceError("it is no regular file; save it as one", name=shown(path))
    if path.name.lower().endswith(_SPREADSHEETS):
        raise SourceError(f"a spreadsheet cannot be read; {_SAVE_AS}", name=shown(path))
    return Listing((path,))


def endings_of(source_format: SourceFormat) -> tuple[str, ...]:
    """Return the endings of the files of a format, in lower case.

    Examples
    --------
    >>> endings_of(SourceFormat.PARQUET)
    ('.parquet', '.pq')
    """
    plain = ENDINGS[source_format]
    if source_format is SourceFormat.PARQUET:
        return plain
    return tuple(ending + compression for compression in _COMPRESSIONS for ending in plain)


def table_format(path: Path) -> SourceFormat:
    """Return the format of a table by the endings of its file, or of the files of its folder.

    Raises
    ------
    SourceError
        If there is none, or a folder holds tables of several formats.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "vitals.tsv.gz"
    >>> path.touch()
    >>> str(table_format(path))
    'csv'
    """
    every = tuple(ending for one in ENDINGS for ending in endings_of(one))
    listing = list_files(path, every, what="CSV, Parquet or NDJSON")
    found = {
        one
        for one in ENDINGS
        for file in listing.files
        if file.name.lower().endswith(endings_of(one))
    }
    if len(found) > 1:
        formats = ", ".join(sorted(found))
        raise SourceError(
            f"the folder holds tables of several formats ({formats}); name one of them, or give a "
            "folder with one",
            name=shown(path),
        )
    return found.pop() if found else _format_of_bytes(listing.files[0])


def _format_of_bytes(file: Path) -> SourceFormat:
    """Return the format of a table whose name does not say it, such as an upload."""
    with file.open("rb") as opened:
        start = opened.read(64)
    if start.startswith(b"PAR1"):
        return SourceFormat.PARQUET
    return SourceFormat.NDJSON if start.lstrip().startswith(b"{") else SourceFormat.CSV


def shown(path: Path) -> str:
    """Return the last part of a path as it can be printed; bytes that are no UTF-8 are escaped."""
    return printable(path.name or str(path))


def printable(text: str) -> str:
    r"""Escape what cannot be printed or encoded.

    Examples
    --------
    >>> printable("a\udcff\n")
    'a\\xff\\n'
    """
    escaped = "".join(
        f"\\x{ord(one) - 0xDC00:02x}" if "\udc80" <= one <= "\udcff" else one for one in text
    )
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in escaped
    )


def open_bytes(file: Path) -> io.BufferedIOBase:
    """Open a file of text; what compresses it is told by its first bytes, not by its name.

    Raises
    ------
    SourceError
        If it is no file of text, such as a spreadsheet.
    """
    with file.open("rb") as opened:
        start = opened.read(8)
    for mark, detail in _FOREIGN.items():
        if start.startswith(mark):
            raise SourceError(detail, name=shown(file))
    for mark, opener in _OPENERS.items():
        if start.startswith(mark):
            return cast(io.BufferedIOBase, opener(file, "rb"))
    return file.open("rb")


@contextmanager
def reading(file: Path, what: str) -> Iterator[None]:
    """Turn what readers raise into a `SourceError` that repeats nothing of the file."""
    try:
        yield
    except SourceError as error:
        if error.name is not None:
            raise
        raise SourceError(error.detail, name=shown(file)) from error
    except _FAULTS as error:
        raise SourceError(
            f"it cannot be read as {what}: {_reason(error)}", name=shown(file)
        ) from error


def _reason(error: Exception) -> str:
    if "straddling" in str(error):
        return "a quoted field does not end; write a quote inside of a field twice"
    if isinstance(error, (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError)):
        return "its compressed content is damaged or incomplete"
    if isinstance(error, PermissionError):
        return "this program may not open it"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    return f"its lines, types or encoding are not those of one table ({type(error).__name__})"


def _of_folder(folder: Path, endings: tuple[str, ...], what: str) -> Listing:
    files, passed_over = [], []
    for file in sorted(folder.rglob("*")):
        if file.is_dir():
            continue
        parts = file.relative_to(folder).parts
        is_hidden = any(part.startswith((".", "_")) for part in parts)
        if not is_hidden and file.is_file() and file.name.lower().endswith(endings):
            files.append(file)
        else:
            passed_over.append(printable("/".join(parts)))
    if not files:
        advice = f"; {_SAVE_AS}" if any(_is_sheet(name) for name in passed_over) else ""
        seen = ", ".join(passed_over[:_NUM_SHOWN]) or "nothing"
        raise SourceError(
            f"the folder holds no {what} file (a name that ends in {', '.join(endings[:5])}, and "
            f"does not begin with `.` or `_`); found {seen}{advice}",
            name=shown(folder),
        )
    return Listing(tuple(files), tuple(passed_over))


def _is_sheet(name: str) -> bool:
    return name.lower().endswith(_SPREADSHEETS)
