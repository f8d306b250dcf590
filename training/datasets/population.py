"""The simulated patients: who they are, what their bodies are set to, and what happens to them.

Here are the constant parameters of a subject. What acts at a time is in `training.datasets.forces`,
how a body answers in `training.datasets.physiology`. Every subject is drawn from a stream of its
own, so that a record does not depend on how many others there are. Times are hours from admission;
arrays end in `subject`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float, Int

PerSubject = Float[np.ndarray, "*time subject"]

CARDIAC_SURGERY = 1  # index of the category in the catalogue
NUM_WANDERS = 4  # arousal, vascular, renal, metabolic
NUM_WAVES = 3
NUM_CHANCES = 32
NUM_UNIFORMS = NUM_CHANCES + 2 * NUM_WANDERS * NUM_WAVES


@dataclass(frozen=True)
class Normal:
    """A trait that is spread evenly about a mean."""

    mean: float
    deviation: float

    def at(self, z: PerSubject) -> PerSubject:
        """Return the value at a standard normal score."""
        return self.mean + self.deviation * z


@dataclass(frozen=True)
class LogNormal:
    """A positive trait; the deviation is that of its logarithm."""

    median: float
    log_deviation: float

    def at(self, z: PerSubject) -> PerSubject:
        """Return the value at a standard normal score."""
        value: PerSubject = self.median * np.exp(self.log_deviation * z)
        return value


@dataclass(frozen=True)
class Episode:
    """Something that begins and ends, with smooth shoulders, so that a solver keeps its order."""

    start_hours: PerSubject
    end_hours: PerSubject
    strength: PerSubject
    ramp_hours: float

    def level(self, time_hours: PerSubject) -> PerSubject:
        """Return the strength at a time: sigmoid up at the start, sigmoid down at the end."""
        up = 1 + np.tanh((time_hours - self.start_hours) / (2 * self.ramp_hours))
        down = 1 + np.tanh((self.end_hours - time_hours) / (2 * self.ramp_hours))
        level: PerSubject = 0.25 * self.strength * up * down
        return level


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Everything that makes one subject differ from another.

    A trait is drawn independently from the distribution beside it, cut at 2.5 deviations; what
    depends on other things follows below.
    """

    heart_rate: Annotated[PerSubject, Normal(80.0, 11.0)]  # 1/min at rest
    mean_pressure: Annotated[PerSubject, Normal(84.0, 10.0)]  # mmHg that the reflex defends
    pulse_stiffness: Annotated[PerSubject, LogNormal(1.0, 0.2)]
    reflex_gain: Annotated[PerSubject, LogNormal(0.9, 0.3)]  # low under a beta blocker
    vessel_sensitivity: Annotated[PerSubject, Normal(0.68, 0.08)]  # resistance lost in sepsis
    vasopressor_response: Annotated[PerSubject, LogNormal(0.35, 0.5)]  # resistance won at dose 1
    fluid_rate: Annotated[PerSubject, LogNormal(0.05, 0.4)]  # 1/h, volume given at a low pressure
    hematocrit: Annotated[PerSubject, Normal(33.0, 4.0)]  # percent
    transfusion_trigger: Annotated[PerSubject, Normal(23.0, 1.5)]  # percent
    lactate: Annotated[PerSubject, LogNormal(1.0, 0.25)]  # mmol/L at rest
    lactate_clearance: Annotated[PerSubject, LogNormal(0.55, 0.3)]  # 1/h
    buffer: Annotated[PerSubject, Normal(24.0, 2.2)]  # mmol/L
    kidney_function: Annotated[PerSubject, LogNormal(0.85, 0.4)]  # of the expected filtration
    kidney_start: Annotated[PerSubject, LogNormal(1.1, 0.3)]  # creatinine at first / at equilibrium
    urea_generation: Annotated[PerSubject, LogNormal(5.5, 0.3)]  # mg nitrogen / kg / h
    urine_rate: Annotated[PerSubject, LogNormal(1.0, 0.4)]  # mL/kg/h
    potassium: Annotated[PerSubject, Normal(4.0, 0.3)]  # mmol/L
    potassium_start: Annotated[PerSubject, Normal(0.0, 0.5)]  # mmol/L away
    sodium: Annotated[PerSubject, Normal(139.5, 2.5)]  # mmol/L
    sodium_start: Annotated[PerSubject, Normal(-0.5, 4.0)]  # mmol/L away
    temperature: Annotated[PerSubject, Normal(36.8, 0.25)]  # degrees Celsius
    fever: Annotated[PerSubject, Normal(1.9, 0.6)]  # degrees at full inflammation
    basal_glucose: Annotated[PerSubject, LogNormal(118.0, 0.2)]  # mg/dL
    glucose_effectiveness: Annotated[PerSubject, LogNormal(1.0, 0.25)]  # Bergman's p1, 1/h
    insulin_sensitivity: Annotated[PerSubject, LogNormal(0.009, 0.4)]  # p3 / p2, 1/h per uU/mL
    insulin_secretion: Annotated[PerSubject, LogNormal(2.5, 0.35)]  # uU/mL/h per mg/dL
    insulin_protocol: Annotated[PerSubject, LogNormal(130.0, 0.4)]  # uU/mL/h per 20 mg/dL too high
    breaths: Annotated[PerSubject, Normal(18.0, 2.5)]  # 1/min at rest
    ventilator_breaths: Annotated[PerSubject, Normal(15.0, 1.8)]  # 1/min
    carbon_dioxide: Annotated[PerSubject, LogNormal(39.5, 0.11)]  # mmHg, breathing alone
    ventilator_carbon_dioxide: Annotated[PerSubject, Normal(39.5, 3.0)]  # mmHg
    oxygen_ratio: Annotated[PerSubject, Normal(0.66, 0.09)]  # arterial / alveolar oxygen tension
    oxygen_target: Annotated[PerSubject, LogNormal(88.0, 0.15)]  # mmHg, to which FiO2 is adjusted
    sedation: Annotated[PerSubject, Normal(7.0, 1.5)]  # points of the coma scale
    wander: Annotated[PerSubject, LogNormal(1.1, 0.2)]  # size of the slow irregular swings

    age_years: PerSubject
    sex: PerSubject  # 0 female, 1 male
    height_cm: PerSubject
    weight_kg: PerSubject
    icu_type: Int[np.ndarray, " subject"]
    admission_clock_hours: PerSubject
    pulse_pressure: PerSubject  # mmHg at rest
    filtration: PerSubject  # dL/h
    creatinine_generation: PerSubject  # mg/h
    coma_scale: PerSubject  # awake
    appetite: PerSubject  # 0 or 1
    diuretic: PerSubject  # 0 or 1
    treated: PerSubject  # 0 or 1: whether a low pressure is answered
    wander_periods_hours: Float[np.ndarray, "wander wave subject"]
    wander_phases: Float[np.ndarray, "wander wave subject"]
    sepsis: Episode
    bleeding: Episode
    pneumonia: Episode
    ventilation: Episode
    extra_oxygen: Episode
    feeding: Episode
    cooling: Episode


def draw(streams: Sequence[np.random.Generator]) -> Parameters:
    """Draw one subject from each stream."""
    traits = _traits()
    normals = np.stack([stream.standard_normal(len(traits) + 3) for stream in streams], axis=1)
    uniforms = np.stack([stream.random(NUM_UNIFORMS) for stream in streams], axis=1)
    normals = np.clip(normals, -2.5, 2.5)
    body: dict[str, Any] = {
        name: spread.at(z) for (name, spread), z in zip(traits.items(), normals, strict=False)
    }
    chances, waves = uniforms[:NUM_CHANCES], uniforms[NUM_CHANCES:]
    waves = waves.reshape(2, NUM_WANDERS, NUM_WAVES, len(streams))
    chance = iter(chances)
    person = _person(body, normals[len(traits) :], chance)
    return Parameters(
        **body,
        **person,
        **_illness(person["icu_type"], chance),
        **_care(person["icu_type"], chance),
        wander_periods_hours=3.0 * 6 ** waves[0],
        wander_phases=2 * np.pi * waves[1],
    )


def _traits() -> dict[str, Normal | LogNormal]:
    annotations = ((one.name, getattr(one.type, "__metadata__", ())) for one in fields(Parameters))
    return {name: metadata[0] for name, metadata in annotations if metadata}


def _between(low: float, high: float, chance: Iterator[PerSubject]) -> PerSubject:
    return low + (high - low) * next(chance)


def _person(
    body: Mapping[str, PerSubject], normals: PerSubject, chance: Iterator[PerSubject]
) -> dict[str, Any]:
    """Creatinine generation and filtration follow Cockcroft and Gault 1976 (Nephron 16:31)."""
    male = next(chance) < 0.57
    age = np.clip(65.0 + 16.0 * normals[0], 18.0, 92.0)
    height = np.where(male, 177.0, 163.0) + 6.5 * normals[1]
    weight = np.clip(27.0 * np.exp(0.18 * normals[2]) * (height / 100) ** 2, 40.0, 160.0)
    generation = (140.0 - age) * weight / 120.0 * np.where(male, 1.0, 0.85)
    awake = np.where(next(chance) < 0.75, 15.0, _between(6.0, 14.0, chance))
    return {
        "age_years": age,
        "sex": male.astype(np.float64),
        "height_cm": height,
        "weight_kg": weight,
        "icu_type": np.searchsorted(np.array([0.15, 0.36, 0.72]), next(chance)),
        "admission_clock_hours": _between(0.0, 24.0, chance),
        "pulse_pressure": (44.0 + 0.35 * (age - 50.0)) * body["pulse_stiffness"],
        "creatinine_generation": generation,
        "filtration": generation * body["kidney_function"],
        "coma_scale": awake,
    }


def _illness(icu_type: Int[np.ndarray, " subject"], chance: Iterator[PerSubject]) -> dict[str, Any]:
    """Rows of probabilities are coronary, cardiac surgery, medical, surgical."""
    septic = next(chance) < np.array([0.15, 0.20, 0.50, 0.30])[icu_type]
    bleeds = next(chance) < np.array([0.10, 0.35, 0.15, 0.30])[icu_type]
    coughs = next(chance) < np.array([0.25, 0.15, 0.35, 0.20])[icu_type]
    return {
        "sepsis": _episode(
            (-20.0, 36.0), (12.0, 40.0), septic * _between(0.45, 1.0, chance), chance
        ),
        "pneumonia": _episode(
            (-20.0, 36.0), (12.0, 48.0), coughs * _between(0.4, 1.3, chance), chance
        ),
        "bleeding": replace(
            _episode((-3.0, 40.0), (1.0, 3.0), bleeds * _between(0.08, 0.2, chance), chance),
            ramp_hours=0.25,
        ),
    }


def _episode(
    start: tuple[float, float],
    duration: tuple[float, float],
    strength: PerSubject,
    chance: Iterator[PerSubject],
) -> Episode:
    start_hours = _between(*start, chance)
    end_hours = start_hours + _between(*duration, chance)
    return Episode(start_hours, end_hours, strength, ramp_hours=1.5)


def _care(icu_type: Int[np.ndarray, " subject"], chance: Iterator[PerSubject]) -> dict[str, Any]:
    surgery = icu_type == CARDIAC_SURGERY
    ventilated = next(chance) < np.array([0.35, 0.92, 0.45, 0.55])[icu_type]
    later = (next(chance) < 0.3) & ~surgery
    start = np.where(later, _between(0.0, 30.0, chance), -24.0)
    end = np.where(surgery, _between(5.0, 20.0, chance), _between(10.0, 80.0, chance))
    end = np.where(later, start + end, end)
    feeding = np.maximum(start, 0.0) + _between(4.0, 20.0, chance)
    food, cold = _between(60.0, 130.0, chance), _between(0.5, 2.2, chance)
    given = np.maximum(start, -6.0)
    weaned = given + _between(2.0, 14.0, chance)
    rewarmed = _between(0.5, 5.0, chance)
    return {
        "ventilation": Episode(start, end, ventilated * 1.0, ramp_hours=0.15),
        "extra_oxygen": Episode(given, weaned, ventilated * 0.5, ramp_hours=0.5),
        "feeding": Episode(feeding, end + 6.0, ventilated * food, ramp_hours=0.5),
        "cooling": Episode(np.full_like(start, -48.0), rewarmed, surgery * cold, ramp_hours=0.7),
        "appetite": ~ventilated * (next(chance) < 0.7) * 1.0,
        "diuretic": (next(chance) < 0.3) * 1.0,
        "treated": (next(chance) < 0.88) * 1.0,
    }
