"""`Calibration`: variance factors, who abstains, JSON, and what a table must be."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from model.calibration import MIN_SUBJECTS, Calibration, HeldOutTargets, Surroundings
from model.calibration.cells import CELLS_PER_CHANNEL

NUM_CHANNELS = 3


def surroundings(size: int, channel: int = 0, gap_hours: float = 0.5) -> Surroundings:
    return Surroundings(
        np.full(size, channel), np.full(size, gap_hours), np.zeros(size, dtype=bool)
    )


def targets(
    size: int, generator: np.random.Generator, *, deviation: float = 1.0, channel: int = 0
) -> HeldOutTargets:
    """Values with a deviation of one, about which the model is sure up to another one."""
    values = generator.standard_normal(size)
    return HeldOutTargets(
        surroundings(size, channel),
        np.arange(size),
        values,
        stats.norm.cdf(values, 0, deviation),
        values**2,
        np.full(size, deviation**2),
    )


def fit(held_out: HeldOutTargets) -> Calibration:
    return Calibration.fit(
        held_out, encoder_divergences=np.arange(5.0), error_hours=np.full(NUM_CHANNELS, 4.0)
    )


@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0])
def test_the_factor_makes_the_variance_the_mean_squared_error(deviation: float) -> None:
    calibration = fit(targets(4000, np.random.default_rng(0), deviation=deviation))
    factor = calibration.variance_factor(surroundings(1))[0]
    assert factor * deviation**2 == pytest.approx(1.0, rel=0.08)


def test_no_single_subject_decides_a_variance() -> None:
    plain = targets(200, np.random.default_rng(1))
    errors = plain.squared_errors.copy()
    errors[7] = 1e9
    spoiled = fit(replace(plain, squared_errors=errors))
    np.testing.assert_allclose(
        spoiled.variance_factor(surroundings(1)),
        fit(plain).variance_factor(surroundings(1)),
        rtol=0.1,
    )


def test_a_query_far_from_all_held_out_subjects_is_known_to_be() -> None:
    calibration = fit(targets(40, np.random.default_rng(2)))
    assert calibration.held_out_subjects(surroundings(1))[0] == 40
    assert calibration.held_out_subjects(surroundings(1, gap_hours=np.inf))[0] == 0
    assert calibration.held_out_subjects(surroundings(1, channel=2))[0] == 0


def test_subjects_are_counted_once_over_several_windows() -> None:
    part = targets(30, np.random.default_rng(3))
    joined = HeldOutTargets.join([part, part])
    assert len(joined.values) == 60
    assert fit(joined).held_out_subjects(surroundings(1))[0] == 30


def _is_uninformative(calibration: Calibration, loc: float, deviation: float) -> bool:
    """Ask about a normal answer."""
    place = surroundings(1)
    core = calibration.population_core(place.channels)
    return bool(calibration.is_uninformative(stats.norm.cdf(core, loc, deviation), place)[0])


def test_an_answer_that_holds_for_anyone_says_nothing() -> None:
    calibration = fit(targets(4000, np.random.default_rng(4)))
    assert _is_uninformative(calibration, 0.0, 1.05)
    assert _is_uninformative(calibration, 0.3, 2.0)
    assert not _is_uninformative(calibration, 0.0, 0.8)
    # As wide as the population, but somewhere else.
    assert not _is_uninformative(calibration, 1.5, 1.05)


def test_the_calibrated_interval_decides_about_abstention() -> None:
    # The model's own interval is narrow; the one that has the coverage is the population's.
    calibration = fit(targets(4000, np.random.default_rng(5), deviation=0.5))
    assert _is_uninformative(calibration, 0.0, 0.52)


def test_an_unknown_population_is_no_reason_to_abstain() -> None:
    few = fit(targets(MIN_SUBJECTS - 1, np.random.default_rng(6)))
    assert np.isnan(few.population).all()
    assert not _is_uninformative(few, 0.0, 100.0)
    assert not _is_uninformative(Calibration.uncalibrated(NUM_CHANNELS), 0.0, 100.0)


def test_without_held_out_subjects_nothing_changes_and_nothing_is_vouched_for() -> None:
    none = Calibration.uncalibrated(NUM_CHANNELS)
    levels = np.array([0.05, 0.5, 0.95])
    found = none.levels(levels, surroundings(2, channel=1))
    np.testing.assert_allclose(found, np.repeat(levels[:, None], 2, axis=1), atol=1e-15)
    np.testing.assert_array_equal(none.variance_factor(surroundings(2)), 1)
    np.testing.assert_array_equal(none.held_out_subjects(surroundings(2)), 0)
    np.testing.assert_array_equal(none.unusualness(np.array([0.0, 1e12])), 0)


@given(st.integers(0, 2**32 - 1))
def test_json_round_trip_is_exact(seed: int) -> None:
    generator = np.random.default_rng(seed)
    size = int(generator.integers(1, 60))
    held_out = HeldOutTargets(
        Surroundings(
            generator.integers(0, NUM_CHANNELS, size),
            generator.choice([0.3, 2.0, 7.0, 30.0, np.inf], size),
            generator.random(size) < 0.5,
        ),
        generator.integers(0, 25, size),
        generator.standard_normal(size),
        generator.choice([0.0, 1.0, *generator.random(5)], size),
        generator.exponential(size=size),
        generator.exponential(size=size),
    )
    calibration = fit(held_out)
    again = Calibration.from_json(json.loads(json.dumps(calibration.to_json(), allow_nan=False)))
    np.testing.assert_array_equal(again.level_maps.table, calibration.level_maps.table)
    for name in ("encoder_divergences", "error_hours", "variance_factors", "num_subjects"):
        np.testing.assert_array_equal(getattr(again, name), getattr(calibration, name))
    np.testing.assert_array_equal(again.population, calibration.population)
    assert again.abstention_share == calibration.abstention_share


@pytest.mark.parametrize(
    ("key", "spoil", "expected"),
    [
        ("knots", lambda knots: knots[:-1], "other knots"),
        ("level_maps", lambda rows: rows[:-1], "needs 30 rows, got 29"),
        ("level_maps", lambda rows: [rows[0][::-1], *rows[1:]], "must rise"),
        ("variance_factors", lambda row: [0.0, *row[1:]], "finite and positive"),
    ],
)
def test_a_spoiled_table_is_refused_by_name(key: str, spoil: Any, expected: str) -> None:
    content = Calibration.uncalibrated(NUM_CHANNELS).to_json()
    assert len(content["level_maps"]) == NUM_CHANNELS * CELLS_PER_CHANNEL
    with pytest.raises(ValueError, match=expected):
        Calibration.from_json({**content, key: spoil(content[key])})
