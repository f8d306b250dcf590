"""NDJSON: the objects of a file, some megabytes of lines at once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

from model.records.errors import SourceError
from model.records.sources.encodings import encoding_of, text_blocks
from model.records.sources.files import open_bytes, reading, shown

_BLOCK_CHARACTERS: Final = 2**21
_MAX_LINE_CHARACTERS: Final = 2**26
_SAMPLE_BYTES: Final = 2**14


def objects_of(file: Path, what: str = "NDJSON") -> Iterator[list[dict[str, Any]]]:
    """Read the objects of a file, one in every line, in lists; blank lines are none.

    Raises
    ------
    SourceError
        If a line is something else; the message names the line.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "rows.ndjson"
    >>> _ = path.write_text('{"a": 1}\\n\\n{"a": 2}\\n')
    >>> list(objects_of(path))
    [[{'a': 1}, {'a': 2}]]
    """
    # One for all lines: to make one takes longer than to read a line.
    decoder = json.JSONDecoder(parse_constant=_refuse)
    with reading(file, what):
        first = 1
        for lines in _blocks(file):
            found = [
                _object(decoder, line, number, file)
                for number, line in enumerate(map(str.strip, lines), first)
                if line
            ]
            first += len(lines)
            if found:
                yield found


def _object(decoder: json.JSONDecoder, line: str, number: int, file: Path) -> dict[str, Any]:
    try:
        # Without the search for blanks that `decode` makes twice in every line.
        found, end = decoder.raw_decode(line)
        if end != len(line):
            raise ValueError("there is more in the line")
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"line {number}: expected one object of JSON in every line", name=shown(file)
        ) from error
    if not isinstance(found, dict):
        raise SourceError(
            f"line {number}: expected an object of JSON, such as {{...}}", name=shown(file)
        )
    return found


def _refuse(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")


def _blocks(file: Path) -> Iterator[list[str]]:
    """Yield whole lines, as many as some blocks hold."""
    with open_bytes(file) as opened:
        encoding = encoding_of(opened.read(_SAMPLE_BYTES))
    kept: list[str] = []
    size = 0
    for block in text_blocks(file, encoding):
        kept.append(block)
        size += len(block)
        if size < _BLOCK_CHARACTERS:
            continue
        *lines, rest = "".join(kept).split("\n")
        if len(rest) > _MAX_LINE_CHARACTERS:
            raise SourceError("a line is longer than 64 MiB", name=shown(file))
        kept, size = [rest], len(rest)
        if lines:
            yield lines
    yield "".join(kept).split("\n")
