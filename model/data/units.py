"""Conversion of measured values to a variable's canonical unit, from a table and nothing else.

Only pairs that stand in the table are converted. A general unit library cannot do this: mass and
substance concentrations differ by a molar mass for each analyte, and one milliequivalent is one
millimole for sodium but half of one for magnesium. Units are UCUM; the spellings that monitors and
laboratories really send are mapped to UCUM first.
"""

from dataclasses import dataclass
from types import MappingProxyType

from model.data.variables import Variable
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

# Molar masses in g/mol, from IUPAC 2021 standard atomic weights.
MOLAR_MASS = MappingProxyType(
    {
        "Bilirubin": 584.67,  # C33H36N4O6
        "Cholesterol": 386.66,  # C27H46O
        "Creatinine": 113.12,  # C4H7N3O
        "Glucose": 180.16,  # C6H12O6
        "Lactate": 90.08,  # C3H6O3, as lactic acid
        "Mg": 24.305,
    }
)
_UREA_NITROGEN = 28.014  # two nitrogen atoms in each molecule of urea, g/mol
_MMHG_PER_KPA = 7.500616827
_KATAL_UNITS = 60.0  # 1 ukat = 60 U: one U turns over one micromole a minute

_PRESSURES = ("DiasABP", "MAP", "NIDiasABP", "NIMAP", "NISysABP", "PaCO2", "PaO2", "SysABP")

# The same unit in other words, for any variable.
ALIASES = MappingProxyType(
    {
        "mmHg": "mm[Hg]",
        "mm Hg": "mm[Hg]",
        "bpm": "/min",
        "beats/min": "/min",
        "{beats}/min": "/min",
        "breaths/min": "/min",
        "{breaths}/min": "/min",
        "1/min": "/min",
        "degC": "Cel",
        "C": "Cel",
        "°C": "Cel",
        "F": "[degF]",
        "degF": "[degF]",
        "°F": "[degF]",
        "mEq/L": "meq/L",
        "IU/L": "U/L",
        "[IU]/L": "U/L",
        "ng/mL": "ug/L",
        "µg/L": "ug/L",
        "mcg/L": "ug/L",
        "µmol/L": "umol/L",
        "μmol/L": "umol/L",
        "umol/l": "umol/L",
        "mmol/l": "mmol/L",
        "mEq/l": "meq/L",
        "mg/dl": "mg/dL",
        "g/dl": "g/dL",
        "g/l": "g/L",
        "U/l": "U/L",
        "10^3/uL": "10*3/uL",
        "K/uL": "10*3/uL",
        "10*9/L": "10*3/uL",
        "10^9/L": "10*3/uL",
        "cells/nL": "10*3/uL",
        "{ratio}": "1",
        "fraction": "1",
        "score": "{score}",
        "points": "{score}",
        "ml": "mL",
        "l": "L",
        "pH": "[pH]",
        "lb": "[lb_av]",
        "lbs": "[lb_av]",
    }
)


def _table() -> dict[tuple[str, str], Conversion]:
    mass = MOLAR_MASS
    table = {(name, "kPa"): Conversion(_MMHG_PER_KPA) for name in _PRESSURES}
    table |= {(name, "meq/L"): IDENTITY for name in ("Na", "K", "HCO3")}
    table |= {(name, "ukat/L"): Conversion(_KATAL_UNITS) for name in ("ALP", "ALT", "AST")}
    table |= {(name, "ng/L"): Conversion(1e-3) for name in ("TroponinI", "TroponinT")}
    table |= {(name, "pg/mL"): Conversion(1e-3) for name in ("TroponinI", "TroponinT")}
    table |= {(name, "/uL"): Conversion(1e-3) for name in ("WBC", "Platelets")}
    table |= {
        (name, "mmol/L"): Conversion(mass[name] / 10) for name in ("Cholesterol", "Glucose", "Mg")
    }
    table |= {
        (name, "umol/L"): Conversion(mass[name] / 1e4) for name in ("Bilirubin", "Creatinine")
    }
    return table | {
        ("Albumin", "g/L"): Conversion(0.1),
        ("BUN", "mmol/L"): Conversion(_UREA_NITROGEN / 10),
        ("FiO2", "%"): Conversion(0.01),
        ("HCT", "1"): Conversion(100.0),
        ("HCT", "L/L"): Conversion(100.0),
        ("Lactate", "mg/dL"): Conversion(10 / mass["Lactate"]),
        ("Mg", "meq/L"): Conversion(mass["Mg"] / 20),
        ("SaO2", "1"): Conversion(100.0),
        ("Temp", "[degF]"): Conversion(5 / 9, -160 / 9),
        ("Temp", "K"): Conversion(1.0, -273.15),
        ("Urine", "L"): Conversion(1e3),
        ("Weight", "g"): Conversion(1e-3),
        ("Weight", "[lb_av]"): Conversion(0.45359237),
    }


_CONVERSIONS = MappingProxyType(_table())


def accepted_units(variable: Variable) -> tuple[str, ...]:
    """Return the UCUM units that `conversion` accepts for a variable, its canonical unit first."""
    others = sorted(unit for name, unit in _CONVERSIONS if name == variable.name)
    return (variable.unit, *others)


def conversion(variable: Variable, unit: str | None) -> Conversion:
    """Return the conversion from `unit` to the variable's canonical unit.

    Parameters
    ----------
    unit
        UCUM or one of `ALIASES`; None means that the value is already canonical.

    Raises
    ------
    UnitError
        For a pair that is not in the table. The message names the accepted units.
    """
    if unit is None:
        return IDENTITY
    ucum = ALIASES.get(unit, unit)
    if ucum == variable.unit:
        return IDENTITY
    try:
        return _CONVERSIONS[variable.name, ucum]
    except KeyError:
        accepted = ", ".join(accepted_units(variable))
        raise UnitError(
            f"no conversion from this unit for {variable.name}; expected one of: {accepted}"
        ) from None
