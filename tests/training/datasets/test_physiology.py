"""Laws of the simulated bodies: closed forms, balances, reflexes, and the order of the solver."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.integrate import cumulative_trapezoid

from training.datasets.forces import Forces, forces
from training.datasets.physiology import (
    CREATININE_SPACE,
    UREA_CLEARANCE,
    UREA_SPACE,
    State,
    States,
    derivative,
    oxygen_saturation,
    signals,
)
from training.datasets.population import Episode, Parameters, draw
from training.datasets.trajectory import follow, initial_states, integrate

STEP_HOURS = 1 / 12


def people(number: int, *, seed: int = 0) -> Parameters:
    return draw(np.random.default_rng(seed).spawn(number))


def without(episode: Episode) -> Episode:
    return dataclasses.replace(episode, strength=np.zeros_like(episode.strength))


def calm(parameters: Parameters) -> Parameters:
    """The same bodies, to which nothing happens. Only the hour of the day remains."""
    nothing = np.zeros_like(parameters.heart_rate)
    events = (
        "sepsis",
        "bleeding",
        "pneumonia",
        "ventilation",
        "extra_oxygen",
        "feeding",
        "cooling",
    )
    quiet: dict[str, Any] = {name: without(getattr(parameters, name)) for name in events}
    parameters = dataclasses.replace(parameters, **quiet)
    return dataclasses.replace(parameters, wander=nothing, appetite=nothing, diuretic=nothing)


def solve(parameters: Parameters, start: States, *, hours: float) -> np.ndarray:
    def field(states: States, outside: Forces) -> States:
        return derivative(parameters, states, outside)

    return integrate(
        field,
        lambda time: forces(parameters, np.full((1,), time)),
        start,
        start_hours=0.0,
        step_hours=STEP_HOURS,
        num_steps=round(hours / STEP_HOURS),
    )


def excess(
    parameters: Parameters, state: State, amount: float, *, hours: float
) -> tuple[np.ndarray, np.ndarray]:
    """How an extra amount at the start fades: the difference of two solutions; and one of them."""
    start = initial_states(parameters)
    more = start.copy()
    more[state] += amount
    base = solve(parameters, start, hours=hours)
    return solve(parameters, more, hours=hours)[state] - base[state], base


def test_lactate_is_cleared_exponentially_in_a_body_without_sepsis() -> None:
    parameters = people(20)
    parameters = dataclasses.replace(parameters, sepsis=without(parameters.sepsis))
    left, states = excess(parameters, State.LACTATE, 5.0, hours=8)
    hours = STEP_HOURS * np.arange(states.shape[1])[:, None]
    np.testing.assert_allclose(left, 5.0 * np.exp(-parameters.lactate_clearance * hours), rtol=1e-5)


def test_lactate_stands_still_where_production_is_clearance() -> None:
    parameters = calm(people(20))
    states, outside = initial_states(parameters), forces(parameters, np.zeros((1,)))
    shortage = signals(parameters, states, outside).hypoperfusion
    states[State.LACTATE] = parameters.lactate * (1 + 6 * shortage)
    change = derivative(parameters, states, outside)
    np.testing.assert_allclose(change[State.LACTATE], 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("state", "clearance", "space"),
    [
        (State.CREATININE, 1.0, CREATININE_SPACE),
        (State.UREA_NITROGEN, UREA_CLEARANCE, UREA_SPACE),
    ],
)
def test_what_the_kidney_clears_fades_with_the_filtration_that_there_was(
    state: State, clearance: float, space: float
) -> None:
    parameters = people(20)
    left, states = excess(parameters, state, 3.0, hours=12)
    hours = STEP_HOURS * np.arange(states.shape[1])
    filtration = signals(parameters, states, forces(parameters, hours[:, None])).filtration
    filtered = cumulative_trapezoid(filtration, hours, axis=0, initial=0)
    expected = 3.0 * np.exp(-clearance * filtered / (space * parameters.weight_kg))
    np.testing.assert_allclose(left, expected, rtol=1e-3)


def test_creatinine_and_urea_stand_still_at_generation_over_clearance() -> None:
    parameters = calm(people(20))
    states, outside = initial_states(parameters), forces(parameters, np.zeros((1,)))
    filtration = signals(parameters, states, outside).filtration
    states[State.CREATININE] = parameters.creatinine_generation / filtration
    nitrogen = parameters.urea_generation * parameters.weight_kg
    states[State.UREA_NITROGEN] = nitrogen / (UREA_CLEARANCE * filtration)
    change = derivative(parameters, states, outside)
    np.testing.assert_allclose(change[State.CREATININE], 0.0, atol=1e-12)
    np.testing.assert_allclose(change[State.UREA_NITROGEN], 0.0, atol=1e-12)


def test_glucose_returns_exponentially_without_insulin() -> None:
    parameters = calm(people(20))
    nothing = np.zeros(20)
    parameters = dataclasses.replace(
        parameters, insulin_secretion=nothing, insulin_protocol=nothing
    )
    start = initial_states(parameters)
    start[State.GLUCOSE] += 80.0
    states = solve(parameters, start, hours=6)
    hours = STEP_HOURS * np.arange(states.shape[1])[:, None]
    expected = 80.0 * np.exp(-parameters.glucose_effectiveness * hours)
    np.testing.assert_allclose(
        states[State.GLUCOSE] - parameters.basal_glucose, expected, rtol=1e-4
    )


def test_insulin_brings_glucose_down_faster() -> None:
    parameters = calm(people(20))
    start = initial_states(parameters)
    start[State.GLUCOSE] += 120.0
    answered = solve(parameters, start, hours=3)[State.GLUCOSE, -1]
    deaf = dataclasses.replace(parameters, insulin_sensitivity=np.zeros(20))
    assert np.all(answered < solve(deaf, start, hours=3)[State.GLUCOSE, -1] - 1)


def test_temperature_follows_the_day_as_a_first_order_filter_does() -> None:
    parameters = calm(people(5))
    hours = STEP_HOURS * np.arange(24 * 12 + 1)[:, None]
    turn, lag = 2 * np.pi / 24, 2.0
    clock = hours + parameters.admission_clock_hours - 17.0
    swing = 0.3 / np.hypot(1, turn * lag) * np.cos(turn * clock - np.arctan(turn * lag))
    start = initial_states(parameters)
    start[State.TEMPERATURE] = parameters.temperature + swing[0]
    states = solve(parameters, start, hours=24)
    np.testing.assert_allclose(
        states[State.TEMPERATURE], parameters.temperature + swing, rtol=0, atol=1e-6
    )


def test_urine_is_the_integral_of_its_flow() -> None:
    parameters = people(20)
    states = solve(parameters, initial_states(parameters), hours=24)
    hours = STEP_HOURS * np.arange(states.shape[1])
    flow = signals(parameters, states, forces(parameters, hours[:, None])).urine_flow
    assert np.all(flow > 0)
    np.testing.assert_allclose(
        states[State.URINE], cumulative_trapezoid(flow, hours, axis=0, initial=0), rtol=2e-3, atol=1
    )


def test_saturation_is_the_oxygen_dissociation_curve() -> None:
    tension = np.array([26.9, 40.0, 60.0, 100.0])
    neutral = oxygen_saturation(tension, np.full(4, 7.4))
    np.testing.assert_allclose(neutral, [50.0, 75.0, 90.5, 97.5], atol=0.7)
    assert np.all(oxygen_saturation(tension, np.full(4, 7.2)) < neutral)


def test_acidity_is_7_40_at_normal_bicarbonate_and_carbon_dioxide() -> None:
    parameters = calm(people(4))
    states = initial_states(parameters)
    states[State.BUFFER], states[State.LACTATE], states[State.CARBON_DIOXIDE] = 24.0, 1.1, 40.0
    now = signals(parameters, states, forces(parameters, np.zeros((1,))))
    np.testing.assert_allclose(now.acidity, 7.39, atol=0.01)


def bled(parameters: Parameters) -> Parameters:
    full = np.ones_like(parameters.heart_rate)
    bleeding = Episode(4.0 * full, 6.0 * full, 0.1 * full, ramp_hours=0.25)
    return dataclasses.replace(parameters, bleeding=bleeding)


def test_a_bleeding_lowers_pressure_and_blood_and_raises_the_heart_rate() -> None:
    quiet = calm(people(30))
    hurt = bled(quiet)
    before, after = (follow(one, duration_hours=12).levels for one in (quiet, hurt))
    at_worst = round(6 / STEP_HOURS)
    assert np.all(after["MAP"][at_worst] < before["MAP"][at_worst] - 1)
    assert np.all(after["HR"][at_worst] > before["HR"][at_worst] + 1)
    assert np.all(after["HCT"][-1] < before["HCT"][-1])


def test_the_reflex_holds_the_pressure_against_a_bleeding() -> None:
    def fall(parameters: Parameters) -> np.ndarray:
        before, after = (
            follow(one, duration_hours=6).levels["MAP"] for one in (parameters, bled(parameters))
        )
        return np.asarray((before - after)[-1])

    quiet = calm(people(30))
    quiet = dataclasses.replace(quiet, treated=np.zeros_like(quiet.treated))
    numb = dataclasses.replace(quiet, reflex_gain=np.zeros_like(quiet.reflex_gain))
    assert np.all(fall(quiet) < fall(numb))


def septic(parameters: Parameters, *, treated: float) -> Parameters:
    full = np.ones_like(parameters.heart_rate)
    sepsis = Episode(4.0 * full, 30.0 * full, 0.9 * full, ramp_hours=1.5)
    return dataclasses.replace(parameters, treated=treated * full, sepsis=sepsis)


def test_sepsis_shows_in_every_organ() -> None:
    quiet = calm(people(30))
    well = follow(quiet, duration_hours=14).levels
    ill = follow(septic(quiet, treated=1.0), duration_hours=14).levels
    for name in ("HR", "Temp", "Lactate", "Creatinine", "BUN", "RespRate"):
        assert np.all(ill[name][-1] > well[name][-1]), name
    for name in ("MAP", "HCO3"):
        assert np.all(ill[name][-1] < well[name][-1]), name


def test_treatment_raises_the_pressure_of_a_septic_subject() -> None:
    quiet = calm(people(30))
    treated, untreated = (
        follow(septic(quiet, treated=share), duration_hours=14).levels["MAP"][-1]
        for share in (1.0, 0.0)
    )
    assert np.all(treated > untreated)


def test_mean_pressure_lies_a_third_above_the_diastolic() -> None:
    levels = follow(people(60), duration_hours=12).levels
    pulse = levels["SysABP"] - levels["DiasABP"]
    assert np.all(pulse > 5)
    np.testing.assert_allclose(levels["MAP"], levels["DiasABP"] + pulse / 3, rtol=1e-12)


def test_the_solver_is_of_order_four() -> None:
    def error(num_steps: int) -> float:
        found = integrate(
            lambda states, outside: outside - states,
            lambda time: np.array([np.cos(time)]),
            np.zeros((1, 1)),
            start_hours=0.0,
            step_hours=4 / num_steps,
            num_steps=num_steps,
        )
        exact = (np.cos(4.0) + np.sin(4.0) - np.exp(-4.0)) / 2
        return float(abs(found[0, -1, 0] - exact))

    assert 14 < error(20) / error(40) < 18


def test_halving_the_step_changes_no_level_by_a_twentieth_of_its_spread() -> None:
    parameters = people(100)
    coarse = follow(parameters, duration_hours=18).levels
    fine = follow(parameters, duration_hours=18, step_hours=STEP_HOURS / 2).levels
    for name in coarse.keys() - {"GCS"}:  # an integer jumps at another step
        change = np.abs(fine[name][::2] - coarse[name]).max()
        assert change < 0.05 * coarse[name].std(), name


def test_a_body_does_not_depend_on_the_others() -> None:
    def first(streams: Sequence[np.random.Generator]) -> dict[str, np.ndarray]:
        levels = follow(draw(streams), duration_hours=6).levels
        return {name: values[:, 0] for name, values in levels.items()}

    alone, among = (first(np.random.default_rng(3).spawn(number)) for number in (1, 17))
    for name, values in alone.items():
        np.testing.assert_allclose(among[name], values, rtol=1e-12, err_msg=name)


def test_creatinine_is_1_at_the_filtration_that_cockcroft_and_gault_expect() -> None:
    parameters = people(50)
    at_rest = parameters.creatinine_generation / parameters.filtration
    np.testing.assert_allclose(at_rest * parameters.kidney_function, 1.0)


def test_an_episode_is_at_half_strength_when_it_begins_and_ends() -> None:
    episode = Episode(np.array([10.0]), np.array([20.0]), np.array([0.8]), ramp_hours=0.5)
    level = episode.level(np.array([[-50.0], [10.0], [15.0], [20.0], [500.0]]))[:, 0]
    np.testing.assert_allclose(level, [0.0, 0.4, 0.8, 0.4, 0.0], atol=1e-3)
