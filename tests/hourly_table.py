"""A wide hourly table of an intensive care unit, made up: the shape of the public 2019 sepsis challenge.

Every stay has a hidden course (severity, and a few organ courses) that all variables follow, each
with a course of its own that forgets slowly, and an error of measurement. Vital signs are charted
nearly every hour, laboratory values in panels a few times a day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from jaxtyping import Float

STATICS = ("Age", "Gender", "HospAdmTime")


@dataclass(frozen=True)
class _Column:
    """`loads` says how the variable follows heart, lungs, kidney, liver and blood; log where skewed."""

    name: str
    panel: str
    middle: float
    spread: float
    step: float
    loads: tuple[float, float, float, float, float]
    is_log: bool = False
    low: float = 0.0
    high: float = 1e9


_COLUMNS = (
    _Column("HR", "vital", 85, 17, 1, (0.6, 0.4, 0.1, 0.0, 0.2)),
    _Column("O2Sat", "vital", 97, 2.2, 1, (-0.1, -0.7, 0.0, 0.0, 0.0), high=100),
    _Column("Temp", "temp", 37.0, 0.6, 0.1, (0.4, 0.2, 0.0, 0.0, 0.3)),
    _Column("SBP", "vital", 122, 20, 1, (-0.7, -0.1, 0.2, 0.0, 0.0), low=35),
    _Column("MAP", "vital", 81, 14, 1, (-0.75, -0.1, 0.2, 0.0, 0.0), low=25),
    _Column("DBP", "dbp", 62, 12, 1, (-0.65, -0.1, 0.1, 0.0, 0.0), low=15),
    _Column("Resp", "vital", 19, 4.5, 1, (0.2, 0.7, 0.1, 0.0, 0.0), low=4),
    _Column("EtCO2", "etco2", 34, 6, 1, (0.0, 0.6, -0.2, 0.0, 0.0), low=8),
    _Column("BaseExcess", "gas", -0.5, 4, 1, (-0.4, 0.0, -0.6, -0.2, 0.0), low=-30),
    _Column("HCO3", "chem", 24, 4, 1, (-0.3, 0.2, -0.6, -0.1, 0.0), low=5),
    _Column("FiO2", "gas", 0.48, 0.16, 0.01, (0.1, 0.8, 0.0, 0.0, 0.0), low=0.21, high=1),
    _Column("pH", "gas", 7.38, 0.07, 0.01, (-0.3, -0.5, -0.4, 0.0, 0.0)),
    _Column("PaCO2", "gas", 41, 8, 1, (0.0, 0.7, -0.2, 0.0, 0.0), low=12),
    _Column("SaO2", "sao2", 95, 4, 1, (0.0, -0.7, 0.0, 0.0, 0.0), low=40, high=100),
    _Column("AST", "liver", 4.1, 0.9, 1, (0.2, 0.0, 0.0, 0.85, 0.0), is_log=True, low=4),
    _Column("BUN", "chem", 3.0, 0.6, 1, (0.1, 0.0, 0.85, 0.0, 0.0), is_log=True, low=2),
    _Column("Alkalinephos", "liver", 4.45, 0.5, 1, (0.0, 0.0, 0.0, 0.7, 0.0), is_log=True, low=10),
    _Column("Calcium", "chem", 8.3, 0.6, 0.1, (0.0, 0.0, -0.4, -0.2, 0.0), low=4),
    _Column("Chloride", "chem", 105, 5, 1, (0.0, 0.0, -0.3, 0.0, 0.1)),
    _Column("Creatinine", "chem", 0.1, 0.6, 0.1, (0.1, 0.0, 0.9, 0.0, 0.0), is_log=True, low=0.2),
    _Column("Bilirubin_direct", "direct", 0.3, 0.9, 0.1, (0, 0, 0, 0.9, 0), is_log=True, low=0.1),
    _Column("Glucose", "glucose", 4.85, 0.3, 1, (0.3, 0.0, 0.3, 0.0, 0.0), is_log=True, low=30),
    _Column("Lactate", "lactate", 0.6, 0.5, 0.1, (0.6, 0.3, 0.1, 0.3, 0.0), is_log=True, low=0.3),
    _Column("Magnesium", "chem", 2.0, 0.3, 0.1, (0.0, 0.0, 0.4, 0.0, 0.0), low=0.8),
    _Column("Phosphate", "chem", 3.5, 1.0, 0.1, (0.0, 0.1, 0.6, 0.0, 0.0), low=0.8),
    _Column("Potassium", "chem", 4.1, 0.5, 0.1, (0.0, 0.1, 0.5, 0.0, 0.0), low=2),
    _Column("Bilirubin_total", "liver", -0.1, 0.9, 0.1, (0, 0, 0, 0.9, 0), is_log=True, low=0.1),
    _Column("TroponinI", "troponin", 0.3, 1.4, 0.1, (0.6, 0, 0.2, 0, 0), is_log=True, low=0.1),
    _Column("Hct", "blood", 31, 5, 0.1, (0.0, 0.0, -0.1, 0.0, -0.9), low=12),
    _Column("Hgb", "blood", 10.4, 1.7, 0.1, (0.0, 0.0, -0.1, 0.0, -0.9), low=4),
    _Column("PTT", "clot", 3.5, 0.3, 0.1, (0.1, 0.0, 0.0, 0.5, 0.3), is_log=True, low=18),
    _Column("WBC", "blood", 2.4, 0.4, 0.1, (0.4, 0.2, 0.0, 0.0, 0.2), is_log=True, low=0.5),
    _Column("Fibrinogen", "fibrinogen", 5.55, 0.4, 1, (0, 0, 0, -0.4, -0.2), is_log=True, low=40),
    _Column("Platelets", "blood", 5.2, 0.5, 1, (-0.1, 0.0, 0.0, -0.3, -0.4), is_log=True, low=8),
)
_CHANCES = {
    "vital": 0.9,
    "temp": 0.33,
    "dbp": 0.65,
    "etco2": 0.04,
    "gas": 0.09,
    "sao2": 0.04,
    "liver": 0.02,
    "chem": 0.075,
    "direct": 0.004,
    "glucose": 0.17,
    "lactate": 0.035,
    "troponin": 0.012,
    "blood": 0.075,
    "clot": 0.035,
    "fibrinogen": 0.008,
}
VARIABLES = tuple(column.name for column in _COLUMNS)


def hourly_table(num_stays: int, *, seed: int = 0, columns: Sequence[str] = VARIABLES) -> pa.Table:
    """Return a wide table: stay_id, ICULOS, the variables, Age, Gender and HospAdmTime at every hour."""
    rng = np.random.default_rng(seed)
    stays = [_stay(rng, number) for number in range(num_stays)]
    names = ["stay_id", "ICULOS", *VARIABLES, *STATICS]
    joined = {name: np.concatenate([stay[name] for stay in stays]) for name in names}
    wanted = ["stay_id", "ICULOS", *columns, *STATICS]
    arrays = {name: pa.array(joined[name], from_pandas=True) for name in wanted}
    return pa.table(arrays)


def write_hourly_csv(path: Path, num_stays: int, *, seed: int = 0) -> Path:
    """Write the table as CSV, an empty cell where nothing was charted."""
    pyarrow.csv.write_csv(hourly_table(num_stays, seed=seed), path)
    return path


def _stay(rng: np.random.Generator, number: int) -> dict[str, np.ndarray]:
    hours = int(np.clip(rng.lognormal(3.6, 0.45), 10, 120))
    age = float(np.clip(rng.normal(62, 16), 18, 89))
    organs = _courses(rng, hours, 5, hours_of_memory=30, lasting=0.6)
    organs[:, 2] += (age - 62) / 50
    panels = {name: rng.random(hours) < chance for name, chance in _CHANCES.items()}
    stay: dict[str, np.ndarray] = {
        "stay_id": np.full(hours, 100_000 + number),
        "ICULOS": np.arange(1, hours + 1),
        "Age": np.full(hours, round(age, 1)),
        "Gender": np.full(hours, int(rng.random() < 0.56)),
        "HospAdmTime": np.full(hours, -round(float(rng.lognormal(2.0, 1.5)), 2)),
    }
    for column in _COLUMNS:
        stay[column.name] = np.where(panels[column.panel], _values(rng, column, organs), np.nan)
    return stay


def _values(
    rng: np.random.Generator, column: _Column, organs: Float[np.ndarray, "hour organ"]
) -> Float[np.ndarray, " hour"]:
    loads = np.array(column.loads)
    rest = np.sqrt(max(1 - float(loads @ loads), 0.05))
    own = _courses(rng, len(organs), 1, hours_of_memory=18, lasting=0.5)[:, 0]
    error = rng.normal(0, 0.25, len(organs))
    values = column.middle + column.spread * (organs @ loads + rest * own + error)
    values = np.exp(values) if column.is_log else values
    return np.round(np.clip(values, column.low, column.high) / column.step) * column.step


def _courses(
    rng: np.random.Generator, hours: int, size: int, *, hours_of_memory: float, lasting: float
) -> Float[np.ndarray, "hour course"]:
    """Return courses of variance one: a part that stays, and one that is forgotten."""
    keep = np.exp(-1 / hours_of_memory)
    moving = np.empty((hours, size))
    moving[0] = rng.normal(size=size)
    steps = rng.normal(0, np.sqrt(1 - keep**2), (hours, size))
    for hour in range(1, hours):
        moving[hour] = keep * moving[hour - 1] + steps[hour]
    return np.sqrt(lasting) * rng.normal(size=size) + np.sqrt(1 - lasting) * moving
