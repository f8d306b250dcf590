"""Standardized units: both directions, and the edges."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.data.normalization import Normalization
from model.data.series import Cohort, Series
from model.data.variables import Kind
from tests.catalogues import CHALLENGE
from tests.series import random_cohort

COHORT = random_cohort(40, np.random.default_rng(2))
NORMALIZATION = Normalization.fit(COHORT, CHALLENGE)


def test_inverting_undoes_applying() -> None:
    standardized = NORMALIZATION.apply(COHORT.values, COHORT.channels)
    np.testing.assert_allclose(
        NORMALIZATION.invert(standardized, COHORT.channels), COHORT.values, rtol=1e-12
    )


def test_the_training_cohort_has_mean_zero_and_deviation_one() -> None:
    standardized = NORMALIZATION.apply(COHORT.values, COHORT.channels)
    for channel in range(len(CHALLENGE)):
        values = standardized[COHORT.channels == channel]
        assert abs(values.mean()) < 1e-9
        assert abs(values.std() - 1) < 1e-9


def test_no_answer_leaves_the_plausible_range() -> None:
    channels = np.arange(len(CHALLENGE))
    low, high = np.array([variable.plausible_range for variable in CHALLENGE]).T
    for extreme in (-1e9, -30.0, 30.0, 1e9):
        values = NORMALIZATION.invert(np.full(len(channels), extreme), channels)
        assert np.all((values >= low) & (values <= high))


def test_a_variable_without_values_keeps_a_usable_scale() -> None:
    none = COHORT.keep(COHORT.channels != 4)
    fitted = Normalization.fit(none, CHALLENGE)
    assert np.all(np.isfinite(fitted.loc))
    assert np.all(fitted.scale > 0)


def test_unknown_statics_become_the_mean() -> None:
    known = NORMALIZATION.apply_statics(COHORT.statics)
    assert np.all(known[np.isnan(COHORT.statics)] == 0)
    assert np.all(np.isfinite(known))


def test_an_interval_holds_what_would_be_recorded_as_the_value() -> None:
    # Half a step to either side, in canonical units, wherever the range does not end.
    stepped = ~np.isnan(NORMALIZATION.resolution[COHORT.channels])
    values, channels = COHORT.values[stepped], COHORT.channels[stepped]
    low, high = NORMALIZATION.interval(values, channels)
    middle, step = NORMALIZATION.apply(values, channels), NORMALIZATION.resolution[channels]
    assert np.all((low < middle) & (middle < high))
    inside = np.isfinite(low) & np.isfinite(high)
    assert inside.mean() > 0.5
    low, high = (NORMALIZATION.invert(end[inside], channels[inside]) for end in (low, high))
    np.testing.assert_allclose(high - low, step[inside], rtol=1e-6)
    np.testing.assert_allclose((high + low) / 2, values[inside], rtol=1e-9)


def test_the_cells_of_a_score_cover_every_number_once() -> None:
    scores = np.arange(3.0, 16.0)
    low, high = NORMALIZATION.interval(scores, np.full(13, CHALLENGE.channel("GCS")))
    assert (low[0], high[-1]) == (-np.inf, np.inf)
    np.testing.assert_allclose(low[1:], high[:-1], rtol=1e-12)


def test_the_ends_of_a_range_take_the_tails() -> None:
    for name, value in (
        ("SaO2", 100.0),
        ("FiO2", 1.0),
        ("FiO2", 0.21),
        ("Urine", 0.0),
        ("pH", 8.0),
    ):
        low, high = NORMALIZATION.interval(np.array([value]), np.array([CHALLENGE.channel(name)]))
        low_end, high_end = CHALLENGE[CHALLENGE.channel(name)].plausible_range
        assert (low[0] == -np.inf) == (value == low_end)
        assert (high[0] == np.inf) == (value == high_end)


def test_a_value_without_a_step_is_a_point() -> None:
    channel = np.array([CHALLENGE.channel("NIMAP")])
    low, high = NORMALIZATION.interval(np.array([71.67]), channel)
    assert low == high == NORMALIZATION.apply(np.array([71.67]), channel)


def test_only_scores_are_rounded_and_to_the_cell_that_they_lie_in() -> None:
    score, rate = CHALLENGE.channel("GCS"), CHALLENGE.channel("HR")
    values = np.array([2.0, 3.5, 7.5, 7.5000001, 14.2, 99.0])
    found = NORMALIZATION.to_grid(values, np.full(6, score))
    np.testing.assert_array_equal(found, [3, 3, 7, 8, 14, 15])
    np.testing.assert_array_equal(NORMALIZATION.to_grid(values, np.full(6, rate)), values)
    both = NORMALIZATION.to_grid(np.array([[7.6, 7.6]]), np.array([[score, rate]]))
    np.testing.assert_array_equal(both, [[8, 7.6]])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"resolution": 0.0}, "`resolution` of Glucose must be positive"),
        ({"resolution": 1e9}, "`resolution` of Glucose must be positive"),
        (
            {"kind": Kind.ORDINAL, "resolution": None},
            "Glucose must be given: the variable is ordinal",
        ),
    ],
)
def test_a_step_that_makes_no_cells_is_refused(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        replace(CHALLENGE[CHALLENGE.channel("Glucose")], **change)


def test_the_recorded_steps_are_those_of_real_records(data_root: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path = data_root / "physionet2012" / "observations.parquet"
    if not path.is_file():
        pytest.skip(f"no {path}")
    table = pandas.read_parquet(path, columns=["parameter", "value"])
    by_name = dict(iter(table.groupby("parameter", observed=True)["value"]))
    for variable in CHALLENGE:
        if variable.resolution is None:
            continue
        low, high = variable.plausible_range
        values = by_name[variable.name].to_numpy(float)
        steps = values[(values >= low) & (values <= high)] / variable.resolution
        # Stored as float32, 24 bits.
        is_multiple = np.abs(steps - np.rint(steps)) < 1e-6 * np.maximum(steps, 1000)
        assert is_multiple.mean() > 0.99, variable.name


def test_json_round_trip_is_exact() -> None:
    text = json.dumps(NORMALIZATION.to_json(), allow_nan=False)
    again = Normalization.from_json(json.loads(text))
    for name in vars(NORMALIZATION):
        np.testing.assert_array_equal(getattr(again, name), getattr(NORMALIZATION, name))


def test_answers_reach_the_weight_of_a_newborn_that_was_trained_on() -> None:
    channel = CHALLENGE.channel("Weight")
    statics = np.full(len(CHALLENGE.statics), np.nan)
    series = Series("s", np.array([0.0]), np.array([channel]), np.array([1.2]), statics)
    fitted = Normalization.fit(Cohort.from_series([series]), CHALLENGE)
    assert fitted.low[channel] == 1.2
    assert fitted.high[channel] == CHALLENGE[channel].plausible_range[1]
