"""A cohort of simulated intensive care stays: a noisy, rounded chart, and the truth beside it.

The bodies are in `training.datasets.physiology`, their solution in `trajectory`, and when somebody
looks in `attention`. Here is what a device makes of a value, and the two tables.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from model.data.catalogue import shipped_catalogue
from model.data.variables import Static, Variable
from training.datasets.attention import Attention, attend
from training.datasets.population import Parameters, draw
from training.datasets.trajectory import Trajectory, follow

ORIGIN = np.datetime64("2000-01-01T00:00:00", "us")
TRUTH_MINUTES = 30
SUBJECTS_PER_BLOCK = 512  # bounds memory; a record does not depend on its block


@dataclass(frozen=True)
class Charted:
    """How a variable comes into the chart: by which look, with what error, rounded to what."""

    look: str
    deviation: float  # canonical unit
    relative_deviation: float
    resolution: float


# Sizes of error are those of ordinary devices; a cuff is about twice as bad as a line.
CHARTED = {
    "HR": Charted("rate", 1.5, 0.0, 1.0),
    "SysABP": Charted("line", 3.0, 0.0, 1.0),
    "DiasABP": Charted("line", 2.0, 0.0, 1.0),
    "MAP": Charted("line", 1.0, 0.0, 1.0),
    "NISysABP": Charted("cuff", 5.0, 0.0, 1.0),
    "NIDiasABP": Charted("cuff", 4.0, 0.0, 1.0),
    "NIMAP": Charted("cuff", 1.5, 0.0, 1.0),
    "Temp": Charted("temperature", 0.1, 0.0, 0.1),
    "GCS": Charted("coma", 0.3, 0.0, 1.0),
    "RespRate": Charted("breathing", 1.2, 0.0, 1.0),
    "SaO2": Charted("oximeter", 0.8, 0.0, 1.0),
    "FiO2": Charted("oxygen", 0.0, 0.0, 0.05),
    "pH": Charted("gas", 0.01, 0.0, 0.01),
    "PaCO2": Charted("gas", 1.2, 0.0, 1.0),
    "PaO2": Charted("gas", 0.0, 0.04, 1.0),
    "Lactate": Charted("lactate", 0.05, 0.03, 0.1),
    "Glucose": Charted("glucose", 0.0, 0.04, 1.0),
    "Na": Charted("chemistry", 0.8, 0.0, 1.0),
    "K": Charted("chemistry", 0.1, 0.0, 0.1),
    "HCO3": Charted("chemistry", 0.7, 0.0, 1.0),
    "BUN": Charted("chemistry", 0.5, 0.02, 1.0),
    "Creatinine": Charted("chemistry", 0.03, 0.02, 0.1),
    "HCT": Charted("count", 0.4, 0.0, 0.1),
}
MEAN_OF = {"MAP": ("SysABP", "DiasABP"), "NIMAP": ("NISysABP", "NIDiasABP")}
URINE = Charted("urine", 4.0, 0.0, 5.0)  # of the bag, not of the amount

STATICS = ("age_years", "sex", "height_cm", "weight_kg", "icu_type")
CODES = tuple(sorted((*CHARTED, "Urine", "MechVent", *STATICS)))


@cache
def charted_items() -> dict[str, Variable | Static]:
    """Return what is charted, by name, as the shipped catalogue describes it."""
    catalogue = shipped_catalogue()
    items: tuple[Variable | Static, ...] = (*catalogue.variables, *catalogue.statics)
    return {item.name: item for item in items if item.name in CODES or item.name in CHARTED}


@dataclass(frozen=True)
class Simulation:
    """A cohort: what was charted, and what was true.

    `table` is long and MEDS-shaped: `subject_id` (int64, from 1), `time` (datetime64[us], NaT for
    statics, hour 0 is 2000-01-01), `code` (name of a variable or static of the catalogue),
    `numeric_value` (float32, canonical unit), `unit`. `truth` has the noise-free value of every
    simulated level variable and of the coma scale every 30 minutes, in the same columns less
    `unit`. Both are sorted by subject, time (statics first) and code.
    """

    table: pd.DataFrame
    truth: pd.DataFrame


@dataclass(frozen=True)
class _Rows:
    """Rows of one code; minute -1 stands for a static."""

    code: str
    subjects: Int[np.ndarray, " row"]
    minutes: Int[np.ndarray, " row"]
    values: Float[np.ndarray, " row"]


def simulate(
    num_subjects: int, *, generator: np.random.Generator, duration_hours: float = 48.0
) -> Simulation:
    """Simulate a cohort.

    Every subject has streams of its own, so that the first records are the same however many are
    asked for, and the chart of a shorter stay is the beginning of the longer one's.

    Raises
    ------
    ValueError
        If there is no subject, or the duration is not positive and finite.
    """
    if num_subjects < 1:
        raise ValueError(f"`num_subjects` must be at least 1, got {num_subjects}")
    if not (math.isfinite(duration_hours) and duration_hours > 0):
        raise ValueError(f"`duration_hours` must be positive and finite, got {duration_hours}")
    streams = generator.spawn(num_subjects)
    table: list[_Rows] = []
    truth: list[_Rows] = []
    for first in range(0, num_subjects, SUBJECTS_PER_BLOCK):
        block = streams[first : first + SUBJECTS_PER_BLOCK]
        person, attention, device = zip(*(stream.spawn(3) for stream in block), strict=True)
        subjects = np.arange(first, first + len(block)) + 1
        parameters = draw(person)
        trajectory = follow(parameters, duration_hours=duration_hours)
        attended = attend(trajectory, attention, duration_hours=duration_hours)
        table += _statics(parameters, subjects, device)
        table += _chart(trajectory, attended, subjects, device)
        truth += _truth(trajectory, subjects, duration_hours)
    charted = _frame(table)
    units = {name: item.unit for name, item in charted_items().items()}
    charted["unit"] = charted["code"].map(units)
    return Simulation(charted, _frame(truth))


def _statics(
    parameters: Parameters,
    subjects: Int[np.ndarray, " subject"],
    streams: Sequence[np.random.Generator],
) -> list[_Rows]:
    """Height is often unknown, weight sometimes, as in real records."""
    chances = np.stack([stream.random(2) for stream in streams])
    known = {"height_cm": chances[:, 0] < 0.65, "weight_kg": chances[:, 1] < 0.95}
    everybody = np.ones(len(subjects), dtype=bool)
    rows = []
    for name in STATICS:
        kept = known.get(name, everybody)
        values = np.rint(getattr(parameters, name))[kept]
        rows.append(_Rows(name, subjects[kept], np.full(kept.sum(), -1), values))
    return rows


def _chart(
    trajectory: Trajectory,
    attention: Attention,
    subjects: Int[np.ndarray, " subject"],
    streams: Sequence[np.random.Generator],
) -> list[_Rows]:
    shape = (len(attention.minutes), len(CHARTED) + 1)
    noise = np.stack([stream.standard_normal(shape) for stream in streams], axis=-1)
    noise = np.clip(noise, -3.0, 3.0)
    hours = attention.minutes / 60
    measured: dict[str, np.ndarray] = {}
    for column, (name, how) in enumerate(CHARTED.items()):
        value = trajectory.at(trajectory.levels[name], hours)
        if name in MEAN_OF:
            systolic, diastolic = (measured[part] for part in MEAN_OF[name])
            value = diastolic + (systolic - diastolic) / 3
        deviation = how.deviation + how.relative_deviation * value
        measured[name] = value + deviation * noise[:, column]
    rows = [
        _look(name, _round(measured[name], how), attention, how.look, subjects)
        for name, how in CHARTED.items()
    ]
    rows.append(_look("MechVent", np.ones_like(hours), attention, "ventilator", subjects))
    bag = trajectory.at(trajectory.urine, hours) + URINE.deviation * noise[:, -1]
    rows.append(_look("Urine", _amounts(bag, attention), attention, "urine", subjects))
    return rows


def _round(values: np.ndarray, how: Charted) -> np.ndarray:
    rounded: np.ndarray = how.resolution * np.rint(values / how.resolution)
    return rounded


def _amounts(
    bag: Float[np.ndarray, "slot subject"], attention: Attention
) -> Float[np.ndarray, "slot subject"]:
    """Return what the bag gained since the previous entry.

    Errors are of the level of a bag and not of an amount, so that amounts add up to the flow.
    """
    seen = attention.looks[URINE.look]
    level = np.where(seen, np.maximum(_round(bag, URINE), 0.0), 0.0)
    level = np.maximum.accumulate(level, axis=0)  # at a slot without an entry: the one before
    amounts: Float[np.ndarray, "slot subject"] = np.diff(level, axis=0, prepend=0.0)
    return amounts


def _look(
    code: str,
    values: Float[np.ndarray, "slot subject"],
    attention: Attention,
    look: str,
    subjects: Int[np.ndarray, " subject"],
) -> _Rows:
    slot, column = np.nonzero(attention.looks[look])
    minutes = attention.minutes[slot, column]
    return _Rows(code, subjects[column], minutes, values[slot, column])


def _truth(
    trajectory: Trajectory, subjects: Int[np.ndarray, " subject"], duration_hours: float
) -> list[_Rows]:
    minutes = np.arange(0, math.floor(60 * duration_hours + 1e-9) + 1, TRUTH_MINUTES)
    times = np.repeat(minutes[:, None], len(subjects), axis=1)
    columns = np.broadcast_to(subjects, times.shape).ravel()
    return [
        _Rows(name, columns, times.ravel(), trajectory.at(levels, times / 60).ravel())
        for name, levels in trajectory.levels.items()
    ]


def _frame(rows: Sequence[_Rows]) -> pd.DataFrame:
    codes = np.repeat([CODES.index(one.code) for one in rows], [len(one.values) for one in rows])
    subjects = np.concatenate([one.subjects for one in rows])
    minutes = np.concatenate([one.minutes for one in rows])
    values = np.concatenate([_plausible(one.values, one.code) for one in rows])
    order = np.lexsort((codes, minutes, subjects))
    minutes = minutes[order]
    time = np.where(minutes < 0, np.datetime64("NaT", "us"), ORIGIN + minutes.astype("m8[m]"))
    return pd.DataFrame(
        {
            "subject_id": subjects[order].astype(np.int64),
            "time": time,
            "code": pd.array(CODES, dtype="str").take(codes[order]),
            "numeric_value": values[order],
        }
    )


def _plausible(values: np.ndarray, code: str) -> Float[np.ndarray, " row"]:
    """Return float32 within the plausible range, also where float32(limit) itself is not (0.21)."""
    lowest, highest = charted_items()[code].plausible_range
    low, high = np.float32(lowest), np.float32(highest)
    if float(low) < lowest:
        low = np.nextafter(low, np.float32(np.inf))
    if float(high) > highest:
        high = np.nextafter(high, np.float32(-np.inf))
    return np.clip(values.astype(np.float32), low, high)
