"""NDJSON, some megabytes of lines at once. Nothing that a line may hold brings the process down."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic_core import from_json

from service.jobs.errors import JobInputError

_BLOCK_BYTES = 4 * 2**20


@contextmanager
def reading(file_format: str) -> Iterator[None]:
    """Turn what the readers of a format raise into a `JobInputError`, without what they repeat."""
    try:
        yield
    except JobInputError:
        raise
    except (pa.ArrowException, OSError, EOFError, ValueError, TypeError, OverflowError) as error:
        raise JobInputError(
            f"the input cannot be read as {file_format}: its lines, types or encoding are not those "
            f"of one table ({type(error).__name__})"
        ) from error


def objects_of(file: Path, file_format: str) -> Iterator[list[dict[str, Any]]]:
    """Read the objects of a file, one in every line; blank lines are none.

    Raises
    ------
    JobInputError
        If a line is something else.
    """
    for block in _blocks(file, file_format):
        with reading(file_format):
            lines = [line for line in block.split(b"\n") if line.strip()]
            # Arrow's own reader of JSON can crash on lines that are none.
            found = from_json(b"[" + b",".join(lines) + b"]", allow_inf_nan=False)
            if len(found) != len(lines) or not all(type(one) is dict for one in found):
                raise ValueError("expected one object in every line")
        if found:
            yield found


def _blocks(file: Path, file_format: str) -> Iterator[bytes]:
    """Read whole lines."""
    rest = b""
    with reading(file_format), pa.input_stream(file, compression="detect") as opened:
        while block := opened.read(_BLOCK_BYTES):
            lines, mark, after = (rest + block).rpartition(b"\n")
            rest = after
            if mark:
                yield lines
        yield rest
