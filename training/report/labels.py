"""How methods, units and numbers are written for people."""

import math
from collections.abc import Mapping
from types import MappingProxyType

from model.data.variables import Variable
from training.evaluation import LEAST_SQUARES, MODEL
from training.tasks import Task

MISSING = "–"
BASELINE_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "carry_forward": "carry-forward",
        "linear_interpolation": "linear interpolation",
        "variable_mean": "the variable mean",
        LEAST_SQUARES: "per-variable least squares",
    }
)
METHOD_NAMES: Mapping[str, str] = MappingProxyType(
    {MODEL: "model", **{name: text.removeprefix("the ") for name, text in BASELINE_NAMES.items()}}
)
TASK_NAMES: Mapping[Task, str] = MappingProxyType(
    {Task.FORECAST: "Forecast", Task.IMPUTATION: "Imputation"}
)
TASK_SENTENCES: Mapping[Task, str] = MappingProxyType(
    {
        Task.FORECAST: "Hours 24 to 48 of every series are estimated from hours 0 to 24.",
        Task.IMPUTATION: "30 % of the measurements of every series are hidden at random and "
        "estimated from the others.",
    }
)
# UCUM is exact but not how a ward writes; whatever is not here is shown as it is.
_UNITS: Mapping[str, str] = MappingProxyType(
    {
        "1": "",
        "[pH]": "",
        "{score}": "points",
        "mm[Hg]": "mmHg",
        "Cel": "°C",
        "10*3/uL": "10³/µL",
        "ug/L": "µg/L",
    }
)


def unit_label(variable: Variable) -> str:
    """Return the unit as a ward writes it, empty for a pure number."""
    return _UNITS.get(variable.unit, variable.unit)


def axis_label(variable: Variable) -> str:
    """Return the variable with its unit."""
    unit = unit_label(variable)
    return f"{variable.name} ({unit})" if unit else variable.name


def number(value: float, decimals: int = 3) -> str:
    """Return a rounded number, a dash where there is none."""
    return f"{value:.{decimals}f}" if math.isfinite(value) else MISSING


def significant(value: float, digits: int = 3) -> str:
    """Return a number with a few significant digits and no exponent."""
    if not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def percent(share: float, decimals: int = 0) -> str:
    """Return a share of one as a percentage, with a space that does not break."""
    return f"{100 * share:.{decimals}f}\u00a0%" if math.isfinite(share) else MISSING


def enumeration(parts: list[str]) -> str:
    """Join as a sentence does: a, b and c."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
