"""What acts on a simulated body from outside at a time: illness, care, meals, restlessness.

Everything is smooth in time, so that a fixed step keeps its order. When an illness comes and how
strong it is, is drawn in `training.datasets.population`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from training.datasets.population import NUM_WAVES, Parameters, PerSubject


@dataclass(frozen=True)
class Forces:
    """What acts on the body from outside at a time."""

    sepsis: PerSubject
    bleeding: PerSubject  # fraction of the normal blood volume, 1/h
    pneumonia: PerSubject
    ventilated: PerSubject
    extra_oxygen: PerSubject  # fraction, generously given at first
    fed: PerSubject  # mg glucose / kg / h
    cooled: PerSubject  # degrees
    meal: PerSubject  # 1 at the height of a meal
    diuretic: PerSubject  # 1 at the height of its effect
    circadian: PerSubject  # 1 at 17:00, -1 at 05:00
    arousal: PerSubject
    vascular: PerSubject
    renal: PerSubject
    metabolic: PerSubject


def forces(parameters: Parameters, time_hours: PerSubject) -> Forces:
    """Return the outside forces at `time_hours`, which broadcasts against `subject`.

    The wanders are sums of a few sines with periods from 3 to 18 hours: irregular to the eye,
    smooth to a solver, of mean square about 1 and never beyond 2.
    """
    p = parameters
    clock = time_hours + p.admission_clock_hours
    waves = zip(p.wander_periods_hours, p.wander_phases, strict=True)
    arousal, vascular, renal, metabolic = (
        p.wander * _wander(time_hours, periods, phases) for periods, phases in waves
    )
    return Forces(
        sepsis=p.sepsis.level(time_hours),
        bleeding=p.bleeding.level(time_hours),
        pneumonia=p.pneumonia.level(time_hours),
        ventilated=p.ventilation.level(time_hours),
        extra_oxygen=p.extra_oxygen.level(time_hours),
        fed=p.feeding.level(time_hours),
        cooled=p.cooling.level(time_hours),
        meal=p.appetite * _daily(clock, (8.0, 12.5, 18.5), width_hours=0.4),
        diuretic=p.diuretic * _daily(clock, (8.5, 20.5), width_hours=0.9),
        circadian=np.cos(2 * np.pi * (clock - 17.0) / 24.0),
        arousal=arousal,
        vascular=vascular,
        renal=renal,
        metabolic=metabolic,
    )


def _wander(
    time_hours: PerSubject,
    periods: Float[np.ndarray, "wave subject"],
    phases: Float[np.ndarray, "wave subject"],
) -> PerSubject:
    waves = zip(periods, phases, strict=True)
    total = sum(np.sin(2 * np.pi * time_hours / period + phase) for period, phase in waves)
    bounded: PerSubject = 2 * np.tanh(np.sqrt(2 / NUM_WAVES) * total / 2)
    return bounded


def _daily(clock: PerSubject, hours: tuple[float, ...], *, width_hours: float) -> PerSubject:
    """Return pulses of height 1, each once a day (the shape of a von Mises density)."""
    sharpness = (24 / (2 * np.pi * width_hours)) ** 2
    pulses = (np.exp(sharpness * (np.cos(2 * np.pi * (clock - hour) / 24) - 1)) for hour in hours)
    total: PerSubject = sum(pulses, start=np.zeros(()))
    return total
