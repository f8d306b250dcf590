"""The physiology of the simulated cohort: coupled ODEs, and the quantities that are read from them.

Organs are textbook compartments, each cited where it stands. The couplings between them (pressure
to kidney and lactate, lactate to pH, pH to breathing, fever to heart rate) are what a model can
learn. Numbers are of a believable size and fitted to nobody. Time is hours, arrays end in
`subject`; the solution over time is in `training.datasets.trajectory`.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Float

from training.datasets.forces import Forces
from training.datasets.population import Parameters, PerSubject

States = Float[np.ndarray, "state *time subject"]


class State(IntEnum):
    """Row of each state variable."""

    BLOOD_VOLUME = 0  # fraction of the subject's normal volume
    RED_CELLS = 1  # fraction of the mass at the beginning
    TONE = 2  # sympathetic outflow, 0 to 1
    VASOPRESSOR = 3  # dose, about 1 in moderate shock
    INFLAMMATION = 4  # 0 to 1
    KIDNEY_INJURY = 5  # lost fraction of the filtration
    LACTATE = 6  # mmol/L
    BUFFER = 7  # bicarbonate at a normal lactate, mmol/L
    CREATININE = 8  # mg/dL
    UREA_NITROGEN = 9  # mg/dL
    URINE = 10  # mL since the beginning
    POTASSIUM = 11  # mmol/L
    SODIUM = 12  # mmol/L, corrected for glucose
    TEMPERATURE = 13  # degrees Celsius
    GLUCOSE = 14  # mg/dL
    INSULIN_ACTION = 15  # Bergman's X, 1/h
    INSULIN = 16  # above basal, uU/mL
    INSULIN_INFUSION = 17  # uU/mL/h
    GUT_GLUCOSE = 18  # mg/kg not yet absorbed
    BREATHS = 19  # 1/min
    CARBON_DIOXIDE = 20  # arterial tension, mmHg
    LUNG_INJURY = 21
    INSPIRED_OXYGEN = 22  # fraction
    CONSCIOUSNESS = 23  # Glasgow coma scale before rounding


REST_TONE = 0.3
NORMAL_LACTATE = 1.1
DRY_BAROMETRIC_PRESSURE = 713.0  # mmHg: 760 less 47 of water vapor
RESPIRATORY_QUOTIENT = 0.8
GLUCOSE_SPACE = 1.6  # dL/kg
GUT_ABSORPTION = 1.2  # 1/h
INSULIN_CLEARANCE = 6.0  # 1/h
CREATININE_SPACE = 6.0  # dL/kg
UREA_SPACE = 5.5  # dL/kg
UREA_CLEARANCE = 0.5  # of the filtration rate; the rest is reabsorbed


@dataclass(frozen=True)
class Signals:
    """What follows from the states at once, without a memory of its own."""

    heart_rate: PerSubject
    systolic: PerSubject
    diastolic: PerSubject
    mean_pressure: PerSubject
    hypoperfusion: PerSubject  # 0 with good flow and pressure, about 1 in shock
    filtration: PerSubject  # dL/h
    urine_flow: PerSubject  # mL/h
    hematocrit: PerSubject  # percent
    bicarbonate: PerSubject  # mmol/L
    acidity: PerSubject  # pH
    oxygen_tension: PerSubject  # mmHg
    oxygen_saturation: PerSubject  # percent


def _softplus(x: PerSubject) -> PerSubject:
    # A third of the time of np.logaddexp, and no exponent that can overflow.
    value: PerSubject = np.maximum(x, 0.0) + np.log(1 + np.exp(-np.abs(x)))
    return value


def _sigmoid(x: PerSubject) -> PerSubject:
    return 0.5 * (1 + np.tanh(0.5 * x))


@dataclass(frozen=True)
class _Circulation:
    heart_rate: PerSubject
    pulse_pressure: PerSubject
    mean_pressure: PerSubject
    hypoperfusion: PerSubject


def _circulation(p: Parameters, y: States, f: Forces) -> _Circulation:
    """Pressure = venous + heart rate x stroke volume x resistance (the two-element Windkessel).

    Its own time constant is seconds, so that it stands at its mean here. Stroke volume follows
    filling (Frank and Starling), rate and resistance follow the reflex (Ottesen 1997, Math Biosci
    145:41), fever adds 8 beats a degree, inflammation opens the vessels, a vasopressor closes them.
    """
    effort, sick = y[State.TONE] - REST_TONE, y[State.INFLAMMATION]
    rate = p.heart_rate * (1 + p.reflex_gain * effort + 0.08 * f.arousal)
    rate = rate + 8.0 * (y[State.TEMPERATURE] - 37.0)
    filling = np.maximum((y[State.BLOOD_VOLUME] - 0.4) / 0.6, 0.05)
    stroke = 1.6 * filling / (0.6 + filling) * (1 - 0.15 * sick)
    stroke = stroke * np.exp(-0.002 * (rate - p.heart_rate))
    resistance = (1 + 0.8 * effort) * (1 - p.vessel_sensitivity * sick)
    resistance = resistance * (1 + p.vasopressor_response * y[State.VASOPRESSOR])
    resistance = resistance * np.exp(0.2 * f.vascular + 0.08 * f.arousal)
    flow = stroke * rate / p.heart_rate
    mean = 6.0 + (p.mean_pressure - 6.0) * flow * resistance
    pulse = p.pulse_pressure * stroke * (mean / p.mean_pressure) ** 0.5
    delivery = np.sqrt(flow) * mean / p.mean_pressure
    return _Circulation(rate, pulse, mean, _softplus(8.0 * (0.72 - delivery)))


def oxygen_saturation(tension: PerSubject, acidity: PerSubject) -> PerSubject:
    """Return percent: Severinghaus 1979 (J Appl Physiol 46:599), Bohr shift 0.48 a pH unit."""
    effective = tension * np.exp(np.log(10) * 0.48 * (acidity - 7.4))
    percent: PerSubject = 100.0 / (23400.0 / (effective * (effective * effective + 150.0)) + 1.0)
    return percent


def signals(parameters: Parameters, states: States, outside: Forces) -> Signals:
    """Return what the states mean.

    pH by Henderson and Hasselbalch, 6.1 + log10(HCO3 / (0.0307 PaCO2)). Arterial oxygen is the
    alveolar gas equation, FiO2 x 713 - PaCO2 / 0.8, times the arterial/alveolar ratio (Gilbert and
    Keighley 1974, Am Rev Respir Dis 109:142). Filtration holds above a pressure of about 60.
    """
    p, y, f = parameters, states, outside
    c = _circulation(p, y, f)
    spared = 1 - y[State.KIDNEY_INJURY]
    autoregulation = _sigmoid((c.mean_pressure - 60) / 8) / _sigmoid((p.mean_pressure - 60) / 8)
    filtration = p.filtration * autoregulation * spared
    urine = (
        p.urine_rate
        * p.weight_kg
        * autoregulation
        * spared
        * np.exp(2.0 * (y[State.BLOOD_VOLUME] - 1))
    )
    bicarbonate = y[State.BUFFER] - 0.9 * (y[State.LACTATE] - NORMAL_LACTATE)
    bicarbonate = 4.0 + _softplus(bicarbonate - 4.0)
    acidity = 6.1 + np.log10(bicarbonate / (0.0307 * y[State.CARBON_DIOXIDE]))
    alveolar = (
        y[State.INSPIRED_OXYGEN] * DRY_BAROMETRIC_PRESSURE
        - y[State.CARBON_DIOXIDE] / RESPIRATORY_QUOTIENT
    )
    tension = p.oxygen_ratio * np.exp(-y[State.LUNG_INJURY]) * alveolar
    return Signals(
        heart_rate=c.heart_rate,
        systolic=c.mean_pressure + 2 / 3 * c.pulse_pressure,
        diastolic=c.mean_pressure - 1 / 3 * c.pulse_pressure,
        mean_pressure=c.mean_pressure,
        hypoperfusion=c.hypoperfusion,
        filtration=filtration,
        urine_flow=urine * np.exp(0.35 * f.renal) * (1 + 2.0 * f.diuretic),
        hematocrit=p.hematocrit * y[State.RED_CELLS] / y[State.BLOOD_VOLUME],
        bicarbonate=bicarbonate,
        acidity=acidity,
        oxygen_tension=tension,
        oxygen_saturation=oxygen_saturation(tension, acidity),
    )


def derivative(parameters: Parameters, states: States, outside: Forces) -> States:
    """Return d states / dt, per hour."""
    now = signals(parameters, states, outside)
    change = np.empty_like(states)
    for organ in (_vessels, _kidney, _metabolism, _acid_and_salt, _lungs, _whole_body):
        organ(parameters, states, outside, now, change)
    return change


def _vessels(p: Parameters, y: States, f: Forces, now: Signals, change: States) -> None:
    """Bleeding, what is given for it, and the reflex, slowed from seconds to a chart's minutes."""
    lack = _softplus((66.0 - now.mean_pressure) / 4.0) * p.treated
    volume, cells = y[State.BLOOD_VOLUME], y[State.RED_CELLS]
    leak = 0.02 * y[State.INFLAMMATION] * (volume - 0.7)
    fluids = p.fluid_rate * lack * _sigmoid((1.25 - volume) / 0.05)
    change[State.BLOOD_VOLUME] = fluids + (1 - volume) / 14.0 - f.bleeding - leak
    transfusion = 0.04 * _softplus(p.transfusion_trigger - now.hematocrit) * p.treated
    change[State.RED_CELLS] = transfusion - f.bleeding * cells / volume
    defended = np.log(1 / REST_TONE - 1) + (now.mean_pressure - p.mean_pressure) / 12.0
    change[State.TONE] = (_sigmoid(-defended) - y[State.TONE]) / 0.25
    change[State.VASOPRESSOR] = 1.0 * lack - y[State.VASOPRESSOR] / 2.5
    change[State.INFLAMMATION] = (f.sepsis - y[State.INFLAMMATION]) / 2.0


def _kidney(p: Parameters, y: States, f: Forces, now: Signals, change: States) -> None:
    """One compartment for creatinine and one for urea: V dC/dt = generation - clearance x C."""
    injury = y[State.KIDNEY_INJURY]
    insult = 0.05 * now.hypoperfusion + 0.03 * y[State.INFLAMMATION]
    change[State.KIDNEY_INJURY] = insult * (1 - injury) - injury / 48.0
    cleared = now.filtration * y[State.CREATININE]
    creatinine_space = CREATININE_SPACE * p.weight_kg
    change[State.CREATININE] = (p.creatinine_generation - cleared) / creatinine_space
    generated = p.urea_generation * p.weight_kg * (1 + 0.5 * y[State.INFLAMMATION])
    cleared = UREA_CLEARANCE * now.filtration * y[State.UREA_NITROGEN]
    change[State.UREA_NITROGEN] = (generated - cleared) / (UREA_SPACE * p.weight_kg)
    change[State.URINE] = now.urine_flow


def _metabolism(p: Parameters, y: States, f: Forces, now: Signals, change: States) -> None:
    """Bergman's minimal model (Am J Physiol 1979, 236:E667) with food and an insulin protocol.

    dG/dt = -(p1 + X) G + p1 Gb + Ra / Vg, dX/dt = -p2 X + p3 (I - Ib), dI/dt = secretion +
    infusion - n (I - Ib). Inflammation raises basal glucose and halves insulin sensitivity.
    """
    sick = y[State.INFLAMMATION]
    glucose, action, insulin = y[State.GLUCOSE], y[State.INSULIN_ACTION], y[State.INSULIN]
    basal = p.basal_glucose * (1 + 0.35 * sick + 0.12 * f.metabolic + 0.05 * f.arousal)
    absorbed = GUT_ABSORPTION * y[State.GUT_GLUCOSE]
    change[State.GUT_GLUCOSE] = 350.0 * f.meal + f.fed - absorbed
    change[State.GLUCOSE] = (
        p.glucose_effectiveness * (basal - glucose) - action * glucose + absorbed / GLUCOSE_SPACE
    )
    sensitivity = p.insulin_sensitivity * (1 - 0.5 * sick)
    change[State.INSULIN_ACTION] = 1.5 * (sensitivity * insulin - action)
    secretion = p.insulin_secretion * 15.0 * _softplus((glucose - basal - 15.0) / 15.0)
    infusion = y[State.INSULIN_INFUSION]
    change[State.INSULIN] = secretion + infusion - INSULIN_CLEARANCE * insulin
    wanted = p.insulin_protocol * _softplus((glucose - 160.0) / 20.0)
    change[State.INSULIN_INFUSION] = (wanted - infusion) / 1.0


def _acid_and_salt(p: Parameters, y: States, f: Forces, now: Signals, change: States) -> None:
    """Lactate: production that rises with poor perfusion, first-order clearance.

    The clearance is of the size that Levraut et al. 1998 measured (Am J Respir Crit Care Med
    157:1021); sepsis slows it. The kidney holds the buffer, over a day. Potassium rises by 0.3
    mmol/L for each 0.1 of pH lost (between mineral and organic acids in Adrogue and Madias 1981).
    """
    sick, lost = y[State.INFLAMMATION], 1 - now.filtration / p.filtration
    made = p.lactate_clearance * p.lactate * (1 + 6.0 * now.hypoperfusion + 1.0 * sick)
    cleared = p.lactate_clearance * (1 - 0.35 * sick) * y[State.LACTATE]
    change[State.LACTATE] = made - cleared
    retained = 0.3 * (y[State.CARBON_DIOXIDE] - 40.0) - 4.0 * lost
    change[State.BUFFER] = (p.buffer + retained - y[State.BUFFER]) / 24.0
    potassium = p.potassium + 3.0 * (7.4 - now.acidity) + 0.8 * lost - 0.5 * f.diuretic
    potassium = potassium - 0.25 * y[State.INSULIN_ACTION]
    change[State.POTASSIUM] = (potassium - y[State.POTASSIUM]) / 5.0
    change[State.SODIUM] = (p.sodium - y[State.SODIUM]) / 40.0


def _lungs(p: Parameters, y: States, f: Forces, now: Signals, change: States) -> None:
    """Carbon dioxide falls as ventilation rises: PaCO2 = production / alveolar ventilation.

    Alone, breathing answers carbon dioxide, acid, low oxygen and sepsis; a ventilator is set.
    Inspired oxygen is the alveolar gas equation solved for the tension that is wanted.
    """
    on, gas, injury = f.ventilated, y[State.CARBON_DIOXIDE], y[State.LUNG_INJURY]
    lack = 0.1 * _softplus((92.0 - now.oxygen_saturation) / 2.0)
    acid = 7.4 - now.acidity
    drive = 0.03 * (gas - p.carbon_dioxide) + 1.5 * acid + lack + 0.3 * injury
    drive = drive + 0.25 * y[State.INFLAMMATION] + 0.15 * f.arousal
    alone = p.breaths * (1 + np.tanh(drive))
    machine = p.ventilator_breaths * (1 + 0.35 * np.tanh(acid / 0.1 + 0.2 * injury))
    change[State.BREATHS] = (on * machine + (1 - on) * alone - y[State.BREATHS]) / 0.2
    useful = 1 - 0.2 * injury
    level = (1 - on) * p.carbon_dioxide * p.breaths
    level = level + on * p.ventilator_carbon_dioxide * p.ventilator_breaths
    production = np.exp(0.08 * (y[State.TEMPERATURE] - 37.0))
    change[State.CARBON_DIOXIDE] = (level * production / (useful * y[State.BREATHS]) - gas) / 0.4
    change[State.LUNG_INJURY] = (f.pneumonia + 0.25 * y[State.INFLAMMATION] - injury) / 3.0
    alveolar = (p.oxygen_target + 25.0 * on) / (p.oxygen_ratio * np.exp(-injury))
    wanted = (alveolar + gas / RESPIRATORY_QUOTIENT) / DRY_BAROMETRIC_PRESSURE
    wanted = np.clip(wanted + f.extra_oxygen, 0.21 + 0.19 * on, 1.0)
    change[State.INSPIRED_OXYGEN] = (wanted - y[State.INSPIRED_OXYGEN]) / 1.0


def _whole_body(p: Parameters, y: States, f: Forces, now: Signals, change: States) -> None:
    """Temperature and consciousness, each first-order to where the circumstances want it."""
    set_point = p.temperature + p.fever * y[State.INFLAMMATION] + 0.3 * f.circadian - f.cooled
    set_point = set_point + 0.15 * f.metabolic
    change[State.TEMPERATURE] = (set_point - y[State.TEMPERATURE]) / 2.0
    awake = p.coma_scale - p.sedation * f.ventilated - 2.0 * np.tanh(now.hypoperfusion)
    awake = np.clip(awake - 1.5 * y[State.INFLAMMATION] + 0.5 * f.arousal, 3.0, 15.0)
    change[State.CONSCIOUSNESS] = (awake - y[State.CONSCIOUSNESS]) / 1.5
