"""Stand-ins until branch `sources` is merged; deleted then."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from model.records.errors import SourceError
from model.records.times import DEFAULT_RULES, TimeRules


@dataclass(frozen=True)
class Target:
    """A variable by name, and the unit of its values if the map says it."""

    variable: str
    unit: str | None = None


@dataclass(frozen=True)
class CodeMap:
    """Targets by code."""

    entries: Mapping[str, Target] = field(default_factory=dict)

    def find(self, code: str) -> Target | None:
        """Look a code up."""
        return self.entries.get(code)


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What a user says about a source."""

    format: str = "fhir"
    columns: Mapping[str, str] = field(default_factory=dict)
    time: TimeRules = DEFAULT_RULES
    codes: CodeMap = field(default_factory=CodeMap)


@dataclass(frozen=True)
class Listing:
    """The files to read."""

    files: tuple[Path, ...]


def list_files(path: Path, endings: tuple[str, ...], *, what: str) -> Listing:
    """List the files of a folder, or the one file."""
    if not path.exists():
        raise SourceError("there is no such file or folder", name=path.name)
    if path.is_file():
        return Listing((path,))
    found = sorted(
        one
        for one in path.rglob("*")
        if one.is_file()
        and one.name.lower().endswith(endings)
        and not any(part.startswith((".", "_")) for part in one.relative_to(path).parts)
    )
    if not found:
        raise SourceError(f"the folder holds no {what} file", name=path.name)
    return Listing(tuple(found))


def shown(path: Path) -> str:
    """Return the last part of a path."""
    return path.name.encode("utf-8", errors="backslashreplace").decode()


@contextmanager
def reading(file: Path, what: str) -> Iterator[None]:
    """Turn what readers raise into a `SourceError` that repeats nothing of the file."""
    try:
        yield
    except SourceError as error:
        if error.name is not None:
            raise
        raise SourceError(error.detail, name=shown(file)) from error
    except (pa.ArrowException, OSError, EOFError, ValueError, TypeError, OverflowError) as error:
        raise SourceError(f"it cannot be read as {what}", name=shown(file)) from error
