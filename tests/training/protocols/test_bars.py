"""Neighbors, trivial bars and least squares."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.protocols.parts import ASKED, BOTH, GIVEN, part, protocol, random_part
from training.protocols.bars import LEAST_SQUARES, bars, least_squares
from training.protocols.catalogue import NAMES, load
from training.protocols.neighbors import neighbors_of
from training.protocols.part import Part


def test_neighbors_are_those_of_a_search_by_hand() -> None:
    one = random_part(np.random.default_rng(0))
    own = neighbors_of(one)
    position = 0
    for context, targets in zip(one.context, one.targets, strict=True):
        for time, channel in zip(targets.times_hours, targets.channels, strict=True):
            same = context.channels == channel
            times, values = context.times_hours[same], context.values[same]
            before, after = values[times <= time], values[times >= time]
            assert own.has_last[position] == bool(len(before))
            assert own.has_next[position] == bool(len(after))
            if len(before):
                assert own.last[position] == before[-1]
                assert own.since_hours[position] == time - times[times <= time][-1]
            if len(after):
                assert own.next[position] == after[0]
                assert own.until_hours[position] == times[times >= time][0] - time
            if len(values):
                assert own.mean[position] == pytest.approx(values.mean())
            position += 1
    assert position == len(own.last)


def test_linear_interpolation_is_flat_beyond_the_ends() -> None:
    one = part(
        [
            (0.0, 0, 0.0, ASKED),
            (1.0, 0, 2.0, GIVEN),
            (2.0, 0, 0.0, ASKED),
            (5.0, 0, 10.0, BOTH),
            (9.0, 0, 0.0, ASKED),
            (9.0, 1, 0.0, ASKED),
        ]
    )
    expected = np.interp([0.0, 2.0, 5.0, 9.0], [1.0, 5.0], [2.0, 10.0])
    np.testing.assert_allclose(neighbors_of(one).linear, [*expected, np.nan])


@pytest.mark.parametrize("name", NAMES)
def test_no_bar_looks_at_a_target(name: str, made_up: Path) -> None:
    loaded = load(name, made_up)
    test = loaded.test
    hidden = test.target_mask & ~test.context_mask
    values = np.where(hidden, test.cohort.values + 1000, test.cohort.values)
    changed = Part(replace(test.cohort, values=values), test.context_mask, test.target_mask)
    for bar in bars(loaded):
        np.testing.assert_array_equal(bar.method.answer(test).mean, bar.method.answer(changed).mean)


def test_a_forecast_has_no_interpolation(made_up: Path) -> None:
    names = {name: [bar.name for bar in bars(load(name, made_up))] for name in NAMES}
    assert names["tpatchgnn-forecast"] == ["variable mean", "carry-forward", LEAST_SQUARES]
    assert "linear interpolation" in names["csdi-imputation"]


def test_least_squares_finds_the_rule_that_made_the_targets() -> None:
    generator = np.random.default_rng(0)
    series = []
    for _ in range(60):
        first, last = generator.normal(size=2)
        hour = float(generator.integers(25, 48))
        decay = np.exp(-(hour - 24) / 6)
        mean = (first + last) / 2
        value = 0.3 + 0.5 * last + 0.2 * mean + 0.7 * decay * (last - mean) - 0.01 * (hour - 24)
        series.append([(3.0, 0, first, GIVEN), (20.0, 0, last, GIVEN), (hour, 0, value, ASKED)])
    one = part(*series)
    fitted = least_squares(protocol("tpatchgnn-forecast", one), (one,))
    np.testing.assert_allclose(fitted.answer(one).mean, one.targets.values, atol=1e-9)
    np.testing.assert_allclose(fitted.coefficients[0, 1], [0.3, 0.5, 0.2, 0.7, -0.01], atol=1e-9)


def test_least_squares_answers_a_given_observation_with_itself() -> None:
    one = random_part(np.random.default_rng(1))
    both = replace(one, target_mask=np.ones_like(one.target_mask))
    fitted = least_squares(protocol("mtan-interpolation", both), (both,))
    is_given = both.context_mask
    answered = fitted.answer(both).mean
    # Two observations of one time and channel stand for each other here.
    assert np.mean(answered[is_given] == both.cohort.values[is_given]) > 0.8
    assert not np.isclose(answered[~is_given], both.cohort.values[~is_given]).any()


def test_a_case_with_hardly_any_target_takes_the_mean_of_the_channel() -> None:
    one = part(
        [(1.0, 0, 5.0, GIVEN), (40.0, 0, 2.0, ASKED)],
        [(1.0, 1, 5.0, GIVEN), (40.0, 0, 4.0, ASKED)],
    )
    fitted = least_squares(protocol("tpatchgnn-forecast", one), (one,))
    assert fitted.answer(one).mean.tolist() == [3.0, 3.0]
