"""A catalogue as tables for a terminal."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.table import Table

from model.data.catalogue import shipped_catalogue
from model.data.catalogue_table import read_catalogue
from model.data.units import accepted_static_units, accepted_units
from model.data.variables import Catalogue, Static, Variable
from model.errors import CatalogueError, UnknownVariableError
from training.datasets.metadata import CATALOGUE_FILE

_ARTIFACT_FILE: Final = "variables.json"


def catalogue_at(path: Path | None) -> Catalogue:
    """Return the catalogue of a table, an artifact or a data set; without a path the shipped one.

    Raises
    ------
    CatalogueError
        If there is none, or it cannot be used.
    """
    if path is None:
        return shipped_catalogue()
    if path.is_file():
        return read_catalogue(path)
    if (path / CATALOGUE_FILE).is_file():
        return read_catalogue(path / CATALOGUE_FILE)
    try:
        content = json.loads((path / _ARTIFACT_FILE).read_text(encoding="utf-8"))
        return Catalogue.from_json(content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CatalogueError(
            f"{path} holds no catalogue; expected a table of variables, an artifact, or a data set "
            "that `python -m training import` has written"
        ) from error


def overview(catalogue: Catalogue) -> Iterator[Table]:
    """Give the tables of variables, of those without a model, and of statics."""
    yield _variables(f"{len(catalogue)} variables", catalogue.variables)
    if catalogue.untrained:
        yield _variables("in the data, and not trained", catalogue.untrained)
    if catalogue.statics:
        yield _statics(catalogue.statics)


def details(catalogue: Catalogue, name: str) -> Table:
    """Give everything about one variable or static.

    Raises
    ------
    UnknownVariableError
        If nothing answers to the name.
    """
    channel = catalogue.find(name)
    untrained = catalogue.find_untrained(name)
    position = catalogue.find_static(name)
    if channel is not None:
        return _pairs(_variable_fields(catalogue[channel]))
    if untrained is not None:
        return _pairs([*_variable_fields(untrained), ("", "in the data, and not trained")])
    if position is not None:
        return _pairs(_static_fields(catalogue.statics[position]))
    raise UnknownVariableError(
        "nothing in the catalogue answers to this name; `catalogue show` without --variable names all"
    )


def _variables(title: str, variables: tuple[Variable, ...]) -> Table:
    table = _table(title, "name", "description", "unit", "kind", "range", "typical", "LOINC")
    for one in variables:
        typical = "" if one.typical is None else " ".join(f"{value:g}" for value in one.typical)
        kind = one.kind + ("" if one.log_offset is None else ", log")
        cells = (one.name, one.description, one.unit, kind, _range(one.plausible_range))
        table.add_row(*map(_plain, (*cells, typical, one.loinc)))
    return table


def _statics(statics: tuple[Static, ...]) -> Table:
    table = _table(f"{len(statics)} statics", "name", "description", "unit", "range or categories")
    for one in statics:
        values = ", ".join(one.categories) or _range(one.plausible_range)
        table.add_row(*map(_plain, (one.name, one.description, one.unit, values)))
    return table


def _variable_fields(one: Variable) -> list[tuple[str, str]]:
    ages = [
        f"{band.low_years:g} to {band.high_years:g} years: {_range((band.low, band.high))}"
        for band in one.age_ranges
    ]
    mass = "" if one.molar_mass is None else f"{one.molar_mass:g} g/mol"
    transform = ""
    if one.log_offset is not None:
        transform = f"log(value + {one.log_offset:g})" if one.log_offset else "log(value)"
    typical = "" if one.typical is None else " / ".join(f"{value:g}" for value in one.typical)
    return [
        ("name", one.name),
        ("description", one.description),
        ("kind", one.kind.value),
        ("unit", one.unit),
        ("also in", ", ".join(accepted_units(one)[1:])),
        ("plausible", f"{_range(one.plausible_range)} ({one.range_source})".replace(" ()", "")),
        ("by age", "; ".join(ages)),
        ("typical quartiles", typical),
        ("recorded step", "" if one.resolution is None else f"{one.resolution:g}"),
        ("modeled as", transform),
        ("molar mass", mass),
        ("valence", "" if one.valence is None else str(one.valence)),
        ("codes", ", ".join(one.codes)),
        ("also called", ", ".join(one.aliases)),
    ]


def _static_fields(one: Static) -> list[tuple[str, str]]:
    words = one.category_aliases or ((),) * len(one.categories)
    categories = [
        f"{name} ({', '.join(others)})" if others else name
        for name, others in zip(one.categories, words, strict=True)
    ]
    units = () if one.categories else accepted_static_units(one)[1:]
    return [
        ("name", one.name),
        ("description", one.description),
        ("unit", one.unit),
        ("also in", ", ".join(units)),
        ("plausible", "" if one.categories else _range(one.plausible_range)),
        ("categories", ", ".join(categories)),
        ("codes", ", ".join(one.codes)),
        ("also called", ", ".join(one.aliases)),
    ]


def _pairs(fields: list[tuple[str, str]]) -> Table:
    table = Table(show_header=False, box=None)
    for label, text in fields:
        if text:
            table.add_row(label, _plain(text))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _plain(text: str) -> str:
    """Keep rich from reading the brackets of mm[Hg] as markup."""
    return text.replace("[", r"\[")


def _range(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:g} to {bounds[1]:g}"
