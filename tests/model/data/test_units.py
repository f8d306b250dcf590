"""Every conversion against atomic weights and definitions, worked out here a second time."""

import re

import pytest

from model.data.catalogue import CATALOGUE
from model.data.units import ALIASES, IDENTITY, accepted_units, conversion
from model.data.variables import Variable
from model.errors import UnitError

# IUPAC abridged standard atomic weights, 2021.
ATOMIC_WEIGHT = {"C": 12.011, "H": 1.008, "N": 14.007, "O": 15.999, "Mg": 24.305}


def molar_mass(formula: str) -> float:
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    return sum(ATOMIC_WEIGHT[element] * int(count or 1) for element, count in parts)


# (value, unit) and the same quantity in the catalogue's unit.
def _pairs() -> dict[tuple[str, str], tuple[float, float]]:
    pairs = {
        ("Albumin", "g/L"): (40.0, 4.0),
        ("BUN", "mmol/L"): (1.0, molar_mass("N2") / 10),
        ("Cholesterol", "mmol/L"): (1.0, molar_mass("C27H46O") / 10),
        ("Glucose", "mmol/L"): (1.0, molar_mass("C6H12O6") / 10),
        ("Mg", "mmol/L"): (1.0, molar_mass("Mg") / 10),
        ("Mg", "meq/L"): (2.0, molar_mass("Mg") / 10),  # two charges
        ("Bilirubin", "umol/L"): (1000.0, molar_mass("C33H36N4O6") / 10),
        ("Creatinine", "umol/L"): (1000.0, molar_mass("C4H7N3O") / 10),
        ("Lactate", "mg/dL"): (molar_mass("C3H6O3") / 10, 1.0),
        ("FiO2", "%"): (21.0, 0.21),
        ("HCT", "1"): (0.45, 45.0),
        ("HCT", "L/L"): (0.45, 45.0),
        ("SaO2", "1"): (0.97, 97.0),
        ("Temp", "[degF]"): (98.6, 37.0),
        ("Temp", "K"): (310.15, 37.0),
        ("Urine", "L"): (0.25, 250.0),
        ("Weight", "g"): (3500.0, 3.5),
        ("Weight", "[lb_av]"): (1000.0, 453.59237),
    }
    for name in ("DiasABP", "MAP", "NIDiasABP", "NIMAP", "NISysABP", "PaCO2", "PaO2", "SysABP"):
        pairs[name, "kPa"] = (101.325, 760.0)  # the standard atmosphere
    for name in ("ALP", "ALT", "AST"):
        pairs[name, "ukat/L"] = (1.0, 60.0)  # umol/s against umol/min
    for name in ("TroponinI", "TroponinT"):
        pairs[name, "ng/L"] = pairs[name, "pg/mL"] = (40.0, 0.04)
    for name in ("WBC", "Platelets"):
        pairs[name, "/uL"] = (7200.0, 7.2)
    for name in ("Na", "K", "HCO3"):
        pairs[name, "meq/L"] = (4.0, 4.0)  # one charge
    return pairs


PAIRS = _pairs()


def variable(name: str) -> Variable:
    return CATALOGUE[CATALOGUE.channel(name)]


@pytest.mark.parametrize(("name", "unit"), PAIRS)
def test_a_conversion_gives_the_same_quantity(name: str, unit: str) -> None:
    value, expected = PAIRS[name, unit]
    assert conversion(variable(name), unit)(value) == pytest.approx(expected, rel=5e-5)


def test_no_conversion_is_left_unchecked() -> None:
    offered = {(v.name, unit) for v in CATALOGUE for unit in accepted_units(v)[1:]}
    assert offered == set(PAIRS)


@pytest.mark.parametrize("owner", CATALOGUE.variables, ids=lambda v: v.name)
def test_the_canonical_unit_and_no_unit_leave_a_value_as_it_is(owner: Variable) -> None:
    assert conversion(owner, owner.unit) is IDENTITY
    assert conversion(owner, None) is IDENTITY
    assert accepted_units(owner)[0] == owner.unit


@pytest.mark.parametrize("spelling", ALIASES)
def test_an_alias_is_of_use_and_means_what_its_target_means(spelling: str) -> None:
    takers = [v for v in CATALOGUE if ALIASES[spelling] in accepted_units(v)]
    if spelling not in ("l", "µg/L", "mcg/L"):
        assert takers
    for owner in takers:
        assert conversion(owner, spelling) == conversion(owner, ALIASES[spelling])


def test_an_alias_never_points_to_another_alias() -> None:
    assert not set(ALIASES) & set(ALIASES.values())


@pytest.mark.parametrize("owner", CATALOGUE.variables, ids=lambda v: v.name)
@pytest.mark.parametrize("unit", ["", "furlong", "MMHG", "mg", "mmol/L/h"])
def test_an_unknown_unit_is_refused_with_the_choices(owner: Variable, unit: str) -> None:
    with pytest.raises(UnitError, match=re.escape(owner.unit)):
        conversion(owner, unit)


@pytest.mark.parametrize(("name", "unit"), [("K", "mg/dL"), ("Na", "mmHg"), ("Mg", "umol/L")])
def test_a_unit_of_something_else_is_refused(name: str, unit: str) -> None:
    with pytest.raises(UnitError):
        conversion(variable(name), unit)


def test_molar_conversions_are_not_shared_between_analytes() -> None:
    factors = [conversion(variable(n), "mmol/L").factor for n in ("Glucose", "Cholesterol", "Mg")]
    assert len(set(factors)) == len(factors)
