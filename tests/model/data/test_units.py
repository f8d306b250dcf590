"""Every conversion against atomic weights and definitions, worked out here a second time."""

import re
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.catalogue import shipped_catalogue
from model.data.ucum import measure
from model.data.units import (
    IDENTITY,
    accepted_static_units,
    accepted_units,
    conversion,
    is_unit,
    static_conversion,
)
from model.data.variables import Variable
from model.errors import UnitError
from tests.catalogues import CHALLENGE

SHIPPED = shipped_catalogue()

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
        ("Mg", "umol/L"): (1000.0, molar_mass("Mg") / 10),
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
        pairs[name, "cm[H2O]"] = (1033.227, 760.0)
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

# What laboratories and monitors write, and what it stands for.
SPELLINGS = (
    ("Albumin", "gm/dL", "g/dL"),
    ("Albumin", "G/L", "g/L"),
    ("Albumin", "g%", "g/dL"),
    ("ALT", "IU/L", "U/L"),
    ("ALT", "[IU]/L", "U/L"),
    ("ALT", "U/l", "U/L"),
    ("ALT", "u/l", "U/L"),
    ("ALT", "units/L", "U/L"),
    ("ALT", "\N{MICRO SIGN}kat/l", "ukat/L"),
    ("Creatinine", "\N{MICRO SIGN}mol/l", "umol/L"),
    ("Creatinine", "\N{GREEK SMALL LETTER MU}mol/l", "umol/L"),
    ("Creatinine", "mcmol/L", "umol/L"),
    ("Creatinine", "UMOL/L", "umol/L"),
    ("FiO2", "Percent", "%"),
    ("FiO2", "pct", "%"),
    ("FiO2", "fraction", "1"),
    ("FiO2", "{ratio}", "1"),
    ("GCS", "score", "{score}"),
    ("GCS", "points", "{score}"),
    ("Glucose", "MG/DL", "mg/dL"),
    ("Glucose", "mg/dl", "mg/dL"),
    ("Glucose", "mg%", "mg/dL"),
    ("Glucose", "mg/100 mL", "mg/dL"),
    ("Glucose", "mg per dL", "mg/dL"),
    ("HCT", "ratio", "1"),
    ("HCT", "l/l", "L/L"),
    ("HR", "bpm", "/min"),
    ("HR", "BPM", "/min"),
    ("HR", "beats/min", "/min"),
    ("HR", "{beats}/min", "/min"),
    ("HR", "1/min", "/min"),
    ("HR", "min-1", "/min"),
    ("HR", "beats per minute", "/min"),
    ("Lactate", "mmol/l", "mmol/L"),
    ("Lactate", "MMOL/L", "mmol/L"),
    ("Lactate", "mmole/L", "mmol/L"),
    ("Lactate", "mM", "mmol/L"),
    ("Na", "mEq/L", "meq/L"),
    ("Na", "mEq/l", "meq/L"),
    ("Na", "mval/l", "meq/L"),
    ("pH", "pH", "[pH]"),
    ("pH", "units", "[pH]"),
    ("Platelets", "10^9/l", "10*9/L"),
    ("Platelets", "10E9/L", "10*9/L"),
    ("Platelets", "10e9/L", "10*9/L"),
    ("Platelets", "10**9/L", "10*9/L"),
    ("Platelets", "x10^9/L", "10*9/L"),
    ("Platelets", "10\N{SUPERSCRIPT NINE}/L", "10*9/L"),
    ("Platelets", "10x9/L", "10*9/L"),
    ("Platelets", "10(9)/L", "10*9/L"),
    ("Platelets", "x10(9)/L", "10*9/L"),
    ("Platelets", "10 9/L", "10*9/L"),
    ("Platelets", "10E+9/L", "10*9/L"),
    ("Platelets", "10exp9/L", "10*9/L"),
    ("Platelets", "G/L", "10*9/L"),
    ("Platelets", "Gpt/l", "10*9/L"),
    ("Platelets", "THOU/UL", "10*3/uL"),
    ("Platelets", "K/uL", "10*3/uL"),
    ("Platelets", "k/ul", "10*3/uL"),
    ("Platelets", "K/\N{MICRO SIGN}L", "10*3/uL"),
    ("Platelets", "thou/uL", "10*3/uL"),
    ("Platelets", "10^3/mm3", "10*3/uL"),
    ("Platelets", "cells/nL", "10*3/uL"),
    ("Platelets", "/cumm", "/uL"),
    ("Platelets", "cells/mm3", "/uL"),
    ("RespRate", "breaths/min", "/min"),
    ("RespRate", "insp/min", "/min"),
    ("SysABP", "mmHg", "mm[Hg]"),
    ("SysABP", "mm Hg", "mm[Hg]"),
    ("SysABP", "MMHG", "mm[Hg]"),
    ("SysABP", "cmH2O", "cm[H2O]"),
    ("SysABP", "cm H2O", "cm[H2O]"),
    ("SysABP", "KPA", "kPa"),
    ("Temp", "deg C", "Cel"),
    ("Temp", "degC", "Cel"),
    ("Temp", "\N{DEGREE SIGN}C", "Cel"),
    ("Temp", "\N{DEGREE CELSIUS}", "Cel"),
    ("Temp", "C", "Cel"),
    ("Temp", "Deg. F", "[degF]"),
    ("Temp", "\N{DEGREE SIGN}F", "[degF]"),
    ("Temp", "F", "[degF]"),
    ("TroponinT", "ng/l", "ng/L"),
    ("TroponinT", "ng/mL", "ug/L"),
    ("TroponinT", "mcg/L", "ug/L"),
    ("Urine", "ml", "mL"),
    ("Urine", "cc", "mL"),
    ("Urine", "l", "L"),
    ("Urine", "mls", "mL"),
    ("CardiacIndex", "L/min/m\N{SUPERSCRIPT TWO}", "L/min/m2"),
    ("BMI", "kg/m^2", "kg/m2"),
    ("BMI", "kg/m**2", "kg/m2"),
    ("BMI", "kg/sqm", "kg/m2"),
    ("eGFR", "mL/min/1.73m2", "mL/min/{1.73_m2}"),
    ("eGFR", "ml/min/1.73 m\N{SUPERSCRIPT TWO}", "mL/min/{1.73_m2}"),
    ("SVR", "dynes*sec/cm5", "dyn.s/cm5"),
    ("TSH", "uIU/mL", "m[iU]/L"),
    ("TSH", "mU/L", "m[iU]/L"),
    ("DDimer", "ng/mL FEU", "ug/L"),
    ("INR", "ratio", "{INR}"),
    ("ESR", "mm/hr", "mm/h"),
    ("RBC", "M/uL", "10*6/uL"),
    ("RBC", "m/uL", "10*6/uL"),
    ("RBC", "T/L", "10*12/L"),
    ("MinuteVolume", "LPM", "L/min"),
    ("Osmolality", "mOsm/kg H2O", "mosm/kg"),
    ("QTc", "msec", "ms"),
    ("PT", "sec.", "s"),
    ("Antithrombin", "% activity", "%"),
    ("O2Flow", "mL/hr", "mL/h"),
    ("Weight", "Kg", "kg"),
    ("Weight", "KG", "kg"),
    ("Weight", "kgs", "kg"),
    ("Weight", "lbs", "[lb_av]"),
    ("Weight", "pounds", "[lb_av]"),
)


def variable(name: str) -> Variable:
    return SHIPPED[SHIPPED.channel(name)]


@pytest.mark.parametrize(("name", "unit"), PAIRS)
def test_a_conversion_gives_the_same_quantity(name: str, unit: str) -> None:
    value, expected = PAIRS[name, unit]
    assert conversion(variable(name), unit)(value) == pytest.approx(expected, rel=5e-5)


@pytest.mark.parametrize(("name", "spelling", "unit"), SPELLINGS)
def test_a_spelling_means_what_its_ucum_means(name: str, spelling: str, unit: str) -> None:
    assert conversion(variable(name), spelling) == conversion(variable(name), unit)
    assert is_unit(spelling)


@pytest.mark.parametrize("owner", SHIPPED.variables, ids=lambda v: v.name)
def test_the_canonical_unit_and_no_unit_leave_a_value_as_it_is(owner: Variable) -> None:
    assert measure(owner.unit).factor > 0
    assert conversion(owner, owner.unit) is IDENTITY
    assert conversion(owner, None) is IDENTITY
    assert accepted_units(owner)[0] == owner.unit


@pytest.mark.parametrize("owner", SHIPPED.variables, ids=lambda v: v.name)
def test_what_a_message_offers_is_taken(owner: Variable) -> None:
    for unit in accepted_units(owner):
        assert conversion(owner, unit).factor > 0


@pytest.mark.parametrize("owner", SHIPPED.variables, ids=lambda v: v.name)
@pytest.mark.parametrize(
    "unit", ["", " ", "furlong", "mmol/L/m2", "?", "10*99999999999/L", "10 3 3/uL", "((", "a" * 99]
)
def test_an_unknown_unit_is_refused_with_the_choices(owner: Variable, unit: str) -> None:
    with pytest.raises(UnitError, match=re.escape(owner.unit)):
        conversion(owner, unit)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("WBC", "g/L"),
        ("Na", "mmHg"),
        ("GCS", "%"),
        ("MechVent", "%"),
        ("ALT", "mg/dL"),
        ("INR", "%"),
        ("DDimer", "ng/mL DDU"),
        ("HR", "mL"),
    ],
)
def test_a_unit_of_something_else_is_refused(name: str, unit: str) -> None:
    with pytest.raises(UnitError):
        conversion(variable(name), unit)


def test_molar_conversions_are_not_shared_between_analytes() -> None:
    factors = [conversion(variable(n), "mmol/L").factor for n in ("Glucose", "Cholesterol", "Mg")]
    assert len(set(factors)) == len(factors)


def test_mass_does_not_become_substance_without_a_molar_mass() -> None:
    with pytest.raises(UnitError):
        conversion(replace(variable("Glucose"), molar_mass=None), "mmol/L")
    with pytest.raises(UnitError):
        conversion(replace(variable("Mg"), valence=None), "meq/L")


def test_a_text_with_two_meanings_is_refused() -> None:
    clotting = Variable(name="PT", unit="s", plausible_range=(5.0, 200.0))
    assert conversion(clotting, "sec") is IDENTITY
    with pytest.raises(UnitError, match="two things"):
        conversion(clotting, "M")  # minutes or months


def test_the_canonical_unit_of_a_user_may_be_spelled_otherwise() -> None:
    protein = Variable(name="Protein", unit="G/DL", plausible_range=(1.0, 15.0))
    count = Variable(name="Cells", unit="G/L", plausible_range=(0.0, 100.0))
    drops = Variable(name="Drops", unit="gtt/min", plausible_range=(0.0, 100.0))
    assert conversion(protein, "g/L").factor == pytest.approx(0.1)
    assert conversion(count, "10*9/L") is IDENTITY
    assert conversion(drops, "gtt / min") is IDENTITY
    assert accepted_units(drops) == ("gtt/min",)
    with pytest.raises(UnitError):
        conversion(drops, "mL/min")


def test_a_variable_explains_what_no_dimension_does() -> None:
    glycated = Variable(
        name="HbA1c",
        unit="%",
        plausible_range=(3.0, 20.0),
        conversions=(("mmol/mol", 0.0915, 2.15),),
    )
    assert conversion(glycated, "MMOL/MOL")(48.0) == pytest.approx(6.542)
    assert accepted_units(glycated)[:2] == ("%", "mmol/mol")


@pytest.mark.parametrize(
    ("static", "unit", "value", "expected"),
    [
        ("height_cm", "m", 1.8, 180.0),
        ("height_cm", "[in_i]", 70.0, 177.8),
        ("height_cm", "inches", 70.0, 177.8),
        ("weight_kg", "lb", 1000.0, 453.59237),
        ("weight_kg", "g", 3500.0, 3.5),
        ("age_years", "mo", 18.0, 1.5),
        ("age_years", "wk", 52.17857142857143, 1.0),
        ("age_years", "days", 365.25, 1.0),
        ("age_years", "years", 63.0, 63.0),
    ],
)
def test_statics_convert_too(static: str, unit: str, value: float, expected: float) -> None:
    position = CHALLENGE.static_positions[static]
    assert static_conversion(CHALLENGE.statics[position], unit)(value) == pytest.approx(expected)


def test_a_category_has_no_other_unit() -> None:
    sex = CHALLENGE.statics[CHALLENGE.static_positions["sex"]]
    assert static_conversion(sex, "1") is IDENTITY
    assert accepted_static_units(sex) == ("1",)
    with pytest.raises(UnitError):
        static_conversion(sex, "%")


@given(value=st.floats(1e-3, 1e6), factor=st.sampled_from(["mg", "g", "ug", "ng"]))
def test_a_conversion_and_its_reverse_meet(value: float, factor: str) -> None:
    owner = Variable(name="x", unit=f"{factor}/L", plausible_range=(0.0, 1e9), molar_mass=180.16)
    other = Variable(name="x", unit="mmol/L", plausible_range=(0.0, 1e9), molar_mass=180.16)
    there = conversion(other, owner.unit)(value)
    assert conversion(owner, other.unit)(there) == pytest.approx(value)


@given(text=st.text(max_size=80))
def test_any_text_is_a_unit_or_none(text: str) -> None:
    is_unit(text)
    for owner in (variable("Glucose"), variable("GCS"), variable("WBC")):
        with suppress(UnitError):
            assert conversion(owner, text).factor > 0
