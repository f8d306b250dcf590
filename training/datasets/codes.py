"""What the codes of a source mean: a user's code map, and the names that need no map.

A code map is a CSV file with the columns `code,variable,unit`. `code` is a code of the source or,
as in MEDS, the part of it before `//unit`; `variable` is a variable, static or LOINC code of the
catalogue.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from model.data.catalogue import shipped_catalogue
from model.data.units import is_unit
from model.data.variables import Catalogue
from training.datasets.errors import SourceFormatError

_NO_UNIT = frozenset({"", "UNK", "unk", "None", "NA"})


@dataclass(frozen=True)
class Target:
    """A variable or static by name, and the unit of the values if the code says it."""

    name: str
    unit: str | None = None


@dataclass(frozen=True)
class CodeMap:
    """Targets by code or by the part of a code before its unit."""

    entries: Mapping[str, Target]

    def find(self, code: str) -> Target | None:
        """Look a code up, then its part before `//unit`.

        A unit that the code itself ends in wins over the map's. One that no table knows is passed
        on if the map says none, so that it is reported instead of guessed.
        """
        head, tail = split_unit(code)
        exact = self.entries.get(code)
        if exact is not None:
            # A number at the end is an item id, not the unit 1.
            has_unit = is_unit(tail) and not tail.isdigit()
            return Target(exact.name, tail if has_unit else exact.unit)
        prefixed = self.entries.get(head)
        if prefixed is None:
            return None
        if is_unit(tail):
            return Target(prefixed.name, tail)
        if prefixed.unit is not None or tail in _NO_UNIT:
            return prefixed
        return Target(prefixed.name, tail)


NO_MAP = CodeMap({})


def split_unit(code: str) -> tuple[str, str]:
    """Split `code//unit`; nothing where there is no `//`. A unit may begin with `/`, as `/min`."""
    head, separator, tail = code.rpartition("//")
    if not separator:
        return "", ""
    return (head[:-1], f"/{tail}") if head.endswith("/") else (head, tail)


def resolve(code: str, catalogue: Catalogue, code_map: CodeMap = NO_MAP) -> Target | None:
    """Return the catalogue's name for a code of a source, or None.

    Tried in this order: the code map; the name of a variable or static; a LOINC code, bare or as
    `LOINC//8867-4`; any of these followed by `//unit`.
    """
    mapped = code_map.find(code)
    if mapped is not None:
        name = _canonical(mapped.name, catalogue)
        return None if name is None else Target(name, mapped.unit)
    name = _canonical(code, catalogue)
    if name is not None:
        return Target(name)
    head, tail = split_unit(code)
    name = _canonical(head, catalogue)
    if name is None:
        return None
    return Target(name, None if tail in _NO_UNIT else tail)


def read_code_map(path: Path, catalogue: Catalogue | None = None) -> CodeMap:
    """Read a code map.

    Raises
    ------
    SourceFormatError
        If a column is missing, a variable is not in the catalogue, or a code stands twice.
    """
    catalogue = shipped_catalogue() if catalogue is None else catalogue
    entries: dict[str, Target] = {}
    for line, code, target in _entries(path):
        name = _canonical(target.name, catalogue)
        if name is None:
            names = ", ".join([v.name for v in catalogue] + [s.name for s in catalogue.statics])
            raise SourceFormatError(
                f"{path}, line {line}: unknown variable {target.name!r}; expected a LOINC code of "
                f"the catalogue or one of: {names}"
            )
        if code in entries:
            raise SourceFormatError(f"{path}, line {line}: the code {code!r} stands there twice")
        entries[code] = Target(name, target.unit)
    return CodeMap(entries)


def _entries(path: Path) -> Iterator[tuple[int, str, Target]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            found = reader.fieldnames or []
            missing = [name for name in ("code", "variable") if name not in found]
            if missing:
                raise SourceFormatError(
                    f"{path}: no column {missing[0]!r}; expected code,variable,unit, "
                    f"found {','.join(found) or 'an empty file'}"
                )
            for row in reader:
                unit = (row.get("unit") or "").strip() or None
                target = Target((row["variable"] or "").strip(), unit)
                yield reader.line_num, (row["code"] or "").strip(), target
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceFormatError(f"{path}: cannot be read as a UTF-8 CSV file: {error}") from error


def _canonical(code: str, catalogue: Catalogue) -> str | None:
    code = code.removeprefix("LOINC//")
    if code in catalogue.static_positions:
        return code
    channel = catalogue.channels.get(code)
    return None if channel is None else catalogue[channel].name
