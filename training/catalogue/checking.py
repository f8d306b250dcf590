"""What is wrong with an edited table: faults, with which it cannot be used, and warnings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from model.data.catalogue import shipped_catalogue
from model.data.catalogue_table import CatalogueTableError, read_catalogue
from model.data.units import accepted_units, conversion, is_unit
from model.data.variables import Catalogue, Kind, Static, Variable, folded
from model.errors import CatalogueError, UnitError
from model.records.statics import age_position


@dataclass(frozen=True)
class CheckedTable:
    """The faults of a table, each with line and column, and what a person may want to look at."""

    faults: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    num_variables: int = 0
    num_statics: int = 0

    def lines(self) -> Iterator[str]:
        """Give the findings as text, the faults first."""
        yield from (f"fault: {fault}" for fault in self.faults)
        yield from (f"warning: {warning}" for warning in self.warnings)
        if self.faults:
            yield f"{len(self.faults)} faults: the table cannot be used until they are mended"
        else:
            yield (
                f"can be used: {self.num_variables} variables, {self.num_statics} statics, "
                f"{len(self.warnings)} warnings"
            )


def check_catalogue(path: Path) -> CheckedTable:
    """Check a table; nothing is raised for what is wrong with it."""
    try:
        catalogue = read_catalogue(path)
    except CatalogueTableError as error:
        return CheckedTable(tuple(map(str, error.faults)))
    except CatalogueError as error:
        return CheckedTable((str(error),))
    return CheckedTable((), tuple(_warnings(catalogue)), len(catalogue), len(catalogue.statics))


def _warnings(catalogue: Catalogue) -> Iterator[str]:
    for variable in catalogue:
        for warning in (*_of_unit(variable), *_of_numbers(variable), *_beside_shipped(variable)):
            yield f"{variable.name}: {warning}"
    for static in catalogue.statics:
        if not static.categories and static.unit != "1" and not is_unit(static.unit):
            yield f"{static.name}: the unit {static.unit} is not read as one; write it in UCUM"
    yield from _shared_names(catalogue)
    yield from _two_roles(catalogue)
    if any(one.age_ranges for one in catalogue) and age_position(catalogue) is None:
        yield "there are ranges by age, and no static age_years: they are not used"


def _of_unit(variable: Variable) -> Iterator[str]:
    if variable.kind in (Kind.ORDINAL, Kind.STATE):
        return
    if not is_unit(variable.unit):
        yield (
            f"the unit {variable.unit} is not read as one, so that no other unit is converted; "
            "write it in UCUM"
        )
    for unit, _, _ in variable.conversions:
        if unit == variable.unit:
            yield f"conversions: {unit} is the unit of the variable itself"


def _of_numbers(variable: Variable) -> Iterator[str]:
    low, high = variable.plausible_range
    if variable.typical is not None and variable.kind is Kind.LEVEL:
        # Zero, and a share of all, are ends that nothing lies beyond.
        ends = {end for end in (low, high) if end not in (0.0, 1.0, 100.0)}
        if variable.typical[1] in ends:
            yield "the range ends at the typical median: values beyond it are not used"
    if variable.log_offset is None and low > 0 and high > 1000 * low:
        yield "the range spans more than a factor of 1,000: consider the transform log"
    if variable.kind is Kind.ORDINAL and high - low > 100:
        yield "a score of more than 100 steps: consider the kind level"
    if variable.kind is Kind.STATE and (low, high) != (0.0, 1.0):
        yield "a state is usually 0 or 1"


def _beside_shipped(variable: Variable) -> Iterator[str]:
    """Compare with the shipped variable of the same name or code."""
    shipped = shipped_catalogue()
    names = (variable.name, *variable.codes)
    channel = next((found for name in names if (found := shipped.find(name)) is not None), None)
    if channel is None:
        return
    other = shipped[channel]
    if variable.kind is not other.kind:
        yield f"the kind is {variable.kind}, of the shipped {other.name} it is {other.kind}"
    missing = [unit for unit in accepted_units(other) if not _converts(variable, unit)]
    if not missing:
        return
    if variable.molar_mass is None and other.molar_mass is not None:
        yield (
            f"the molar mass is missing: {', '.join(missing)} will not be converted "
            f"(the shipped {other.name} has {other.molar_mass:g} g/mol)"
        )
    elif len(missing) == len(accepted_units(other)):
        yield f"the unit {variable.unit} is of another quantity than {other.unit}, as shipped"


def _converts(variable: Variable, unit: str) -> bool:
    try:
        conversion(variable, unit)
    except UnitError:
        return False
    return True


def _names(items: tuple[Variable, ...] | tuple[Static, ...]) -> Mapping[str, set[str]]:
    """Return the owners of every folded name and alias."""
    owners: dict[str, set[str]] = {}
    for item in items:
        for name in (item.name, *item.aliases):
            owners.setdefault(folded(name), set()).add(item.name)
    return owners


def _shared_names(catalogue: Catalogue) -> Iterator[str]:
    for items in (catalogue.variables, catalogue.statics):
        for name, owners in sorted(_names(items).items()):
            if len(owners) > 1:
                yield f"{' and '.join(sorted(owners))}: both answer to `{name}`; give it to one"


def _two_roles(catalogue: Catalogue) -> Iterator[str]:
    variables, statics = _names(catalogue.variables), _names(catalogue.statics)
    for name in sorted(set(variables) & set(statics)):
        yield f"`{name}` is a variable and a static; the variable gets all its rows"
    codes = {code for variable in catalogue for code in variable.codes}
    for static in catalogue.statics:
        for code in sorted(codes & set(static.codes)):
            yield f"the code {code} is a variable's and a static's; the variable gets all its rows"
