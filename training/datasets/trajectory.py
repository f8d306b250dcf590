"""The simulated patients over time: the solution of the physiology, by catalogue name.

Noise-free and on a regular grid; `at` reads it between the grid points. The method is the classical
one of Runge and Kutta with a fixed step, in numpy, so that the truth does not come from the solver
that a model is built on.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from training.datasets.forces import forces
from training.datasets.physiology import (
    REST_TONE,
    UREA_CLEARANCE,
    State,
    States,
    derivative,
    signals,
)
from training.datasets.population import Parameters, PerSubject

Forcing = TypeVar("Forcing")

STEP_HOURS = 1 / 12
BURN_IN_HOURS = 6.0  # simulated before admission, so that a record does not begin at rest


@dataclass(frozen=True)
class Trajectory:
    """What a perfect monitor would show.

    `levels` has each simulated level variable of the catalogue, and the coma scale; `urine` is mL
    since admission, `ventilated` 0 to 1, `insulin` the rate of the infusion (uU/mL/h).
    """

    times_hours: Float[np.ndarray, " time"]
    levels: Mapping[str, PerSubject]
    urine: PerSubject
    ventilated: PerSubject
    insulin: PerSubject

    def at(
        self, quantity: PerSubject, times_hours: Float[np.ndarray, "query subject"]
    ) -> Float[np.ndarray, "query subject"]:
        """Interpolate `quantity` linearly, each subject at times of its own."""
        position = times_hours / (self.times_hours[1] - self.times_hours[0])
        before = np.clip(position.astype(np.int64), 0, len(self.times_hours) - 2)
        share = position - before
        low = np.take_along_axis(quantity, before, axis=0)
        high = np.take_along_axis(quantity, before + 1, axis=0)
        between: PerSubject = low + share * (high - low)
        return between


def follow(
    parameters: Parameters, *, duration_hours: float, step_hours: float = STEP_HOURS
) -> Trajectory:
    """Solve from BURN_IN_HOURS before admission to `duration_hours` after it.

    The grid begins at admission and ends at or just after `duration_hours`.
    """
    before = round(BURN_IN_HOURS / step_hours)
    num_steps = max(1, math.ceil(duration_hours / step_hours - 1e-9))
    states = integrate(
        lambda states, outside: derivative(parameters, states, outside),
        lambda time_hours: forces(parameters, np.full((1,), time_hours)),
        initial_states(parameters),
        start_hours=-before * step_hours,
        step_hours=step_hours,
        num_steps=before + num_steps,
    )[:, before:]
    return observe(parameters, states, step_hours * np.arange(num_steps + 1))


def observe(
    parameters: Parameters,
    states: Float[np.ndarray, "state time subject"],
    times_hours: Float[np.ndarray, " time"],
) -> Trajectory:
    """Read the catalogue's quantities from the states."""
    outside = forces(parameters, times_hours[:, None])
    now = signals(parameters, states, outside)
    coma_scale = np.rint(np.clip(states[State.CONSCIOUSNESS], 3, 15))
    # Glucose draws water out of the cells: 1.6 mmol/L of sodium for 100 mg/dL (Katz 1973).
    sodium = states[State.SODIUM] - 0.016 * (states[State.GLUCOSE] - 100.0)
    levels = {
        "HR": now.heart_rate,
        "SysABP": now.systolic,
        "DiasABP": now.diastolic,
        "MAP": now.mean_pressure,
        "NISysABP": now.systolic,
        "NIDiasABP": now.diastolic,
        "NIMAP": now.mean_pressure,
        "Temp": states[State.TEMPERATURE],
        "RespRate": states[State.BREATHS],
        "SaO2": now.oxygen_saturation,
        "FiO2": states[State.INSPIRED_OXYGEN],
        "PaCO2": states[State.CARBON_DIOXIDE],
        "PaO2": now.oxygen_tension,
        "pH": now.acidity,
        "HCO3": now.bicarbonate,
        "Lactate": states[State.LACTATE],
        "Glucose": states[State.GLUCOSE],
        "Creatinine": states[State.CREATININE],
        "BUN": states[State.UREA_NITROGEN],
        "K": states[State.POTASSIUM],
        "Na": sodium,
        "HCT": now.hematocrit,
        "GCS": coma_scale,
    }
    urine = states[State.URINE] - states[State.URINE, :1]
    return Trajectory(
        times_hours, levels, urine, outside.ventilated, states[State.INSULIN_INFUSION]
    )


def initial_states(parameters: Parameters) -> States:
    """Return the states before any episode: at rest, or a drawn distance away from it."""
    p = parameters
    states = np.zeros((len(State), len(p.heart_rate)))
    states[[State.BLOOD_VOLUME, State.RED_CELLS]] = 1.0
    states[State.TONE] = REST_TONE
    states[State.LACTATE] = p.lactate
    states[State.BUFFER] = p.buffer
    at_rest = p.creatinine_generation / p.filtration
    states[State.CREATININE] = at_rest * p.kidney_start
    urea = p.urea_generation * p.weight_kg / (UREA_CLEARANCE * p.filtration)
    states[State.UREA_NITROGEN] = urea * p.kidney_start
    states[State.POTASSIUM] = p.potassium + p.potassium_start
    states[State.SODIUM] = p.sodium + p.sodium_start
    states[State.TEMPERATURE] = p.temperature
    states[State.GLUCOSE] = p.basal_glucose
    states[State.BREATHS] = p.breaths
    states[State.CARBON_DIOXIDE] = p.carbon_dioxide
    states[State.INSPIRED_OXYGEN] = 0.3
    states[State.CONSCIOUSNESS] = p.coma_scale
    return states


def integrate(
    vector_field: Callable[[States, Forcing], States],
    forcing: Callable[[float], Forcing],
    states: States,
    *,
    start_hours: float,
    step_hours: float,
    num_steps: int,
) -> Float[np.ndarray, "state time subject"]:
    """Return the states at every step, the first included (Runge and Kutta's method of order 4).

    The outside forces come apart from the vector field, because two stages of a step share a time.
    """
    found = np.empty((len(states), num_steps + 1, *states.shape[1:]))
    found[:, 0] = states
    begin = forcing(start_hours)
    for step in range(num_steps):
        middle = forcing(start_hours + (step + 0.5) * step_hours)
        end = forcing(start_hours + (step + 1) * step_hours)
        first = vector_field(states, begin)
        second = vector_field(states + step_hours / 2 * first, middle)
        third = vector_field(states + step_hours / 2 * second, middle)
        fourth = vector_field(states + step_hours * third, end)
        states = states + step_hours / 6 * (first + 2 * (second + third) + fourth)
        found[:, step + 1] = states
        begin = end
    return found
