"""Conversion of measured values to a variable's canonical unit.

A unit is read as UCUM, and as laboratories spell it where it is not (`model.data.unit_spellings`).
Units of one dimension convert. Three more facts belong to the variable and not to its unit: the
molar mass, between milligrams and millimoles; the valence, between these and milliequivalents; and
the pairs that no dimension explains, such as per cent and mmol/mol of HbA1c. Without them nothing is
converted by guess.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from model.data.ucum import Measure, measure
from model.data.unit_spellings import normalized, readings
from model.data.variables import Kind, Static, Variable
from model.errors import UnitError


@dataclass(frozen=True)
class Conversion:
    """canonical = value * factor + offset."""

    factor: float
    offset: float = 0.0

    def __call__(self, value: float) -> float:
        """Return the value in the canonical unit."""
        return value * self.factor + self.offset

    @property
    def is_identity(self) -> bool:
        """Whether the value stays as it is."""
        return self.factor == 1.0 and self.offset == 0.0


IDENTITY = Conversion(1.0)

# Units that a message may offer, and the numbers that charts show in them: nobody writes a glucose in
# umol/L, though it is one.
_OFFERED = (
    ("mg/dL", 0.3, 1000.0),
    ("mmol/L", 0.3, 500.0),
    ("umol/L", 1.0, 500.0),
    ("nmol/L", 1.0, 1000.0),
    ("pmol/L", 1.0, 5000.0),
    ("meq/L", 0.5, 500.0),
    ("g/dL", 1.0, 50.0),
    ("g/L", 0.5, 200.0),
    ("mg/L", 0.3, 500.0),
    ("ug/dL", 5.0, 500.0),
    ("ug/L", 0.001, 5000.0),
    ("ng/mL", 0.001, 5000.0),
    ("ng/L", 1.0, 100_000.0),
    ("pg/mL", 1.0, 100_000.0),
    ("U/L", 1.0, 10_000.0),
    ("ukat/L", 0.01, 100.0),
    ("m[iU]/L", 0.01, 1000.0),
    ("mm[Hg]", 0.1, 1000.0),
    ("kPa", 0.01, 200.0),
    ("cm[H2O]", 0.1, 200.0),
    ("mbar", 0.1, 200.0),
    ("Cel", 0.0, 100.0),
    ("[degF]", 50.0, 150.0),
    ("K", 250.0, 350.0),
    ("%", 0.01, 200.0),
    ("1", 0.0, 20.0),
    ("L/L", 0.2, 0.45),
    ("mL", 1.0, 10_000.0),
    ("L", 0.005, 20.0),
    ("kg", 0.3, 500.0),
    ("g", 300.0, 500_000.0),
    ("[lb_av]", 1.0, 1000.0),
    ("cm", 0.1, 300.0),
    ("mm", 0.5, 20.0),
    ("m", 0.3, 3.0),
    ("[in_i]", 10.0, 100.0),
    ("10*3/uL", 0.01, 2000.0),
    ("10*9/L", 0.01, 2000.0),
    ("/uL", 1.0, 1_000_000.0),
    ("10*6/uL", 0.5, 20.0),
    ("10*12/L", 0.5, 20.0),
    ("/min", 1.0, 1000.0),
    ("L/min", 0.1, 200.0),
    ("mL/min", 1.0, 50_000.0),
    ("mL/h", 0.1, 2000.0),
    ("s", 0.1, 1000.0),
    ("ms", 1.0, 10_000.0),
    ("a", 0.01, 130.0),
    ("mo", 0.1, 1500.0),
    ("wk", 0.1, 7000.0),
    ("d", 0.1, 50_000.0),
    ("fL", 10.0, 300.0),
    ("pg", 5.0, 100.0),
    ("mosm/kg", 100.0, 600.0),
)


@dataclass(frozen=True)
class _Owner:
    """What of a variable or static decides which units it takes."""

    name: str
    unit: str
    molar_mass: float | None = None
    valence: int | None = None
    conversions: tuple[tuple[str, float, float], ...] = ()
    middle: float = 1.0
    has_dimension: bool = True


def conversion(variable: Variable, unit: str | None) -> Conversion:
    """Return the conversion from `unit` to the variable's canonical unit.

    Parameters
    ----------
    unit
        UCUM, or a spelling that has one meaning for this variable; None means that the value is
        already canonical.

    Raises
    ------
    UnitError
        If there is no conversion, or two meanings of the text have different ones. The message
        names the units that are accepted.

    Examples
    --------
    >>> from model.data.catalogue import shipped_catalogue
    >>> catalogue = shipped_catalogue()
    >>> glucose = catalogue[catalogue.channel("Glucose")]
    >>> round(conversion(glucose, "mmol/l")(5.5), 1)
    99.1
    """
    if unit is None or unit == variable.unit:
        return IDENTITY
    return _conversion(_owner(variable), unit)


def static_conversion(static: Static, unit: str | None) -> Conversion:
    """Return the conversion from `unit` to the canonical unit of a static; see `conversion`."""
    if unit is None or unit == static.unit:
        return IDENTITY
    return _conversion(_static_owner(static), unit)


def accepted_units(variable: Variable) -> tuple[str, ...]:
    """Return the usual units of a variable in UCUM, its canonical unit first.

    `conversion` takes many more; these are the ones that a message offers.

    Examples
    --------
    >>> from model.data.catalogue import shipped_catalogue
    >>> catalogue = shipped_catalogue()
    >>> accepted_units(catalogue[catalogue.channel("Temp")])
    ('Cel', '[degF]', 'K')
    """
    return _accepted(_owner(variable))


def accepted_static_units(static: Static) -> tuple[str, ...]:
    """Return the usual units of a static in UCUM, its canonical unit first."""
    return _accepted(_static_owner(static))


def is_unit(text: str) -> bool:
    """Whether a text is a unit, in UCUM or in another spelling, of whatever quantity.

    Examples
    --------
    >>> is_unit("mmol/L"), is_unit("parsnips")
    (True, False)
    """
    return _exact(text) is not None or bool(readings(text))


def _owner(variable: Variable) -> _Owner:
    # A score or a switch has no dimension: per cent of a coma scale mean nothing.
    has_dimension = variable.kind not in (Kind.ORDINAL, Kind.STATE)
    return _Owner(
        variable.name,
        variable.unit,
        variable.molar_mass,
        variable.valence,
        variable.conversions,
        _middle(variable.plausible_range) if variable.typical is None else variable.typical[1],
        has_dimension,
    )


def _static_owner(static: Static) -> _Owner:
    middle = _middle(static.plausible_range)
    return _Owner(static.name, static.unit, middle=middle, has_dimension=not static.categories)


def _middle(bounds: tuple[float, float]) -> float:
    low, high = bounds
    return math.sqrt(low * high) if low > 0 else (low + high) / 2


@lru_cache(maxsize=8192)
def _conversion(owner: _Owner, unit: str) -> Conversion:
    found = _find(owner, unit)
    if len(found) == 1:
        return found[0]
    accepted = ", ".join(_accepted(owner))
    if found:
        raise UnitError(
            f"this unit may mean two things for {owner.name}; expected one of: {accepted}"
        )
    raise UnitError(f"no conversion from this unit for {owner.name}; expected one of: {accepted}")


def _find(owner: _Owner, unit: str) -> list[Conversion]:
    """Return the conversions that a text may stand for: those of the variable, else by dimension."""
    plain = _plain(unit)
    listed = [
        Conversion(f, o)
        for name, f, o in owner.conversions
        if _plain(name).casefold() == plain.casefold()
    ]
    if listed:
        return [IDENTITY if listed[0].is_identity else listed[0]]
    if plain == _plain(owner.unit):
        return [IDENTITY]
    exact = _exact(unit)
    found = [] if exact is None else _to_owner(exact, owner)
    if not found:
        found = [change for read in readings(unit) for change in _to_owner(read, owner)]
    return list(dict.fromkeys(found))


def _to_owner(source: Measure, owner: _Owner) -> list[Conversion]:
    """Return the conversions to the owner's unit, which a person may have spelled otherwise."""
    exact = _exact(owner.unit)
    targets = readings(owner.unit) if exact is None else (exact,)
    return [change for target in targets for change in _between(source, target, owner)]


def _plain(unit: str) -> str:
    return normalized(unit).replace(" ", "")


def _exact(text: str) -> Measure | None:
    try:
        return measure(text)
    except UnitError:
        return None


def _between(source: Measure, target: Measure, owner: _Owner) -> list[Conversion]:
    """Return the conversion between two units, as a list of one or none."""
    if not owner.has_dimension:
        return [IDENTITY] if source == target else []
    bridge = _bridge(dict(source.powers), dict(target.powers), owner)
    if bridge is None:
        return []
    factor = source.factor * bridge / target.factor
    offset = source.shift * factor - target.shift
    if factor == 1 and offset == 0:
        return [IDENTITY]
    return [Conversion(float(factor), float(offset))]


def _bridge(source: dict[str, int], target: dict[str, int], owner: _Owner) -> Fraction | None:
    """Return by what mass, substance and equivalents of this owner differ, or None.

    All three become moles: each power of g is divided by the molar mass, each of eq by the valence.
    """
    if source == target:
        return Fraction(1)
    grams = None if owner.molar_mass is None else Fraction(repr(owner.molar_mass))
    bridge = Fraction(1)
    for dimension, moles in (
        ("g", None if grams is None else 1 / grams),
        ("eq", None if owner.valence is None else Fraction(1, owner.valence)),
    ):
        change = source.pop(dimension, 0) - target.pop(dimension, 0)
        if change and moles is None:
            return None
        if change and moles is not None:
            bridge *= moles**change
            source["mol"] = source.get("mol", 0) + change
    nothing_left = {name: power for name, power in source.items() if power} == {
        name: power for name, power in target.items() if power
    }
    return bridge if nothing_left else None


@lru_cache(maxsize=2048)
def _accepted(owner: _Owner) -> tuple[str, ...]:
    return tuple(dict.fromkeys((owner.unit, *_usual(owner))))


def _usual(owner: _Owner) -> Iterator[str]:
    yield from (unit for unit, _, _ in owner.conversions)
    if not owner.has_dimension:
        return
    for unit, lowest, highest in _OFFERED:
        for change in _to_owner(measure(unit), owner):
            if lowest <= abs(owner.middle - change.offset) / change.factor <= highest:
                yield unit
