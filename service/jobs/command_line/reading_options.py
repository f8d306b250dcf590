"""What the command line says about a source, as the fields of a request."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.data.catalogue_table import read_catalogue
from model.data.variables import Catalogue
from model.records.codes import CodeMap, read_code_map
from model.records.errors import SourceError
from model.records.sources.files import (
    endings_of,
    list_files,
    passed_over_line,
    table_format,
)
from model.records.sources.options import SourceFormat


def guess_format(source: Path) -> str:
    """Return the format of a source by its files.

    Raises
    ------
    SourceError
        If they are none of a table.
    """
    if (source / "data").is_dir():
        return "meds"
    return table_format(source).value


def passed_over(source: Path, source_format: str) -> str | None:
    """Return a sentence about files that are not read; None where there are none.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("a.csv", "._a.csv"):
    ...     _ = (folder / name).write_text("")
    >>> passed_over(folder, "csv")
    'passed over: ._a.csv'
    """
    known = SourceFormat.__members__.values()
    found = next((one for one in known if one.value == source_format and one.is_table), None)
    if found is None or not source.is_dir():
        return None
    return passed_over_line(list_files(source, endings_of(found), what=found.label).passed_over)


def code_entries(
    codes: Path | None, catalogue: Path | None, known: Catalogue | None
) -> dict[str, Any]:
    """Return the entries of a code map, and of a table of variables those that the model has.

    Parameters
    ----------
    known
        The catalogue of the model, needed where a table of variables is given.

    Raises
    ------
    SourceError, CatalogueError
        If a file cannot be read as what it is given for.
    """
    entries: dict[str, Any] = {}
    if catalogue is not None:
        assert known is not None
        entries |= _of_catalogue(read_catalogue(catalogue), known)
    if codes is not None:
        entries |= _of_map(read_code_map(codes))
    return entries


def _of_map(codes: CodeMap) -> dict[str, Any]:
    return {
        code: {"variable": target.variable, "unit": target.unit}
        for code, target in codes.entries.items()
    }


def _of_catalogue(table: Catalogue, known: Catalogue) -> dict[str, Any]:
    """Map names, codes and aliases that the model does not know to its variables."""
    entries: dict[str, Any] = {}
    for find, described in ((known.find, table.variables), (known.find_static, table.statics)):
        for one in described:
            names = (one.name, *one.codes, *one.aliases)
            found = [place for place in map(find, names) if place is not None]
            if not found:
                continue
            theirs = known[found[0]] if find == known.find else known.statics[found[0]]
            unit = None if one.unit == theirs.unit else one.unit
            for name in names:
                if unit is not None or find(name) != found[0]:
                    entries[name] = {"variable": theirs.name, "unit": unit}
    return entries


def accepted_units(accepted: Sequence[str]) -> dict[str, str]:
    """Read `VARIABLE=UNIT`, given once or more often.

    Raises
    ------
    SourceError
        If one has another form, or a variable is given twice.

    Examples
    --------
    >>> accepted_units(["Glucose=mmol/L"])
    {'Glucose': 'mmol/L'}
    """
    found: dict[str, str] = {}
    for one in accepted:
        name, mark, unit = (part.strip() for part in one.partition("="))
        if not (name and mark and unit):
            raise SourceError("--accept-suspected: expected VARIABLE=UNIT, such as Glucose=mmol/L")
        if name in found:
            raise SourceError(f"--accept-suspected: `{name}` is given twice")
        found[name] = unit
    return found
