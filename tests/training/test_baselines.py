"""The trivial answers against a reading of the same series by hand."""

import numpy as np
import pytest

from model.data.normalization import Normalization
from model.data.series import Cohort, Series
from model.data.windows import Window, forecast_masks, hidden_cells_masks
from tests.catalogues import CHALLENGE
from tests.series import random_cohort
from training.baselines import (
    LeastSquares,
    OwnRecord,
    carry_forward,
    linear_interpolation,
    own_record,
    variable_mean,
)

HR, MAP, NA = (CHALLENGE.channel(name) for name in ("HR", "MAP", "Na"))
STATICS = np.full(len(CHALLENGE.statics), np.nan)
NORMALIZATION = Normalization.fit(random_cohort(60, np.random.default_rng(0)), CHALLENGE)


def cohort(*observations: tuple[float, int, float]) -> Cohort:
    times, channels, values = zip(*observations, strict=True)
    return Cohort.from_series(
        [Series("s", np.array(times), np.array(channels), np.array(values), STATICS)]
    )


# Context of heart rate at 1, 2 and 5 hours, sodium at 9; nothing of the mean pressure.
CONTEXT = cohort((1.0, HR, 80.0), (2.0, HR, 90.0), (5.0, HR, 60.0), (9.0, NA, 140.0))
TARGETS = ((0.5, HR), (1.5, HR), (4.0, HR), (8.0, HR), (3.0, MAP), (4.0, NA))


@pytest.fixture(scope="module")
def own() -> OwnRecord:
    target = cohort(*((time, channel, 100.0) for time, channel in TARGETS))
    return own_record(Window(CONTEXT, target), NORMALIZATION)


def standardized(*values: float) -> np.ndarray:
    """Heart rates, then sodium as the last one."""
    channels = np.array([HR] * (len(values) - 1) + [NA])
    return NORMALIZATION.apply(np.array(values), channels)


def test_carry_forward_is_the_last_value_or_the_mean(own: OwnRecord) -> None:
    rates = standardized(80.0, 90.0, 60.0, 140.0)
    expected = [0.0, rates[0], rates[1], rates[2], 0.0, 0.0]
    np.testing.assert_allclose(carry_forward(own), expected, atol=1e-6)


def test_linear_interpolation_is_the_line_flat_at_the_ends(own: OwnRecord) -> None:
    first, between, after_two_thirds, last, sodium = standardized(80.0, 85.0, 70.0, 60.0, 140.0)
    expected = [first, between, after_two_thirds, last, 0.0, sodium]
    np.testing.assert_allclose(linear_interpolation(own), expected, atol=1e-5)


def test_the_variable_mean_is_zero_in_standardized_units(own: OwnRecord) -> None:
    np.testing.assert_array_equal(variable_mean(own), np.zeros(len(TARGETS)))


def test_ages_means_and_hours_beyond_are_those_of_the_context(own: OwnRecord) -> None:
    np.testing.assert_allclose(own.last_age, [np.inf, 0.5, 2.0, 3.0, np.inf, np.inf], rtol=1e-6)
    np.testing.assert_allclose(own.next_age, [0.5, 0.5, 1.0, np.inf, np.inf, 5.0], rtol=1e-6)
    hours = [time - 9.0 for time, _ in TARGETS]
    np.testing.assert_allclose(own.beyond_hours, hours, rtol=1e-5)
    mean = standardized(80.0, 90.0, 60.0, 140.0)
    np.testing.assert_allclose(own.mean[:4], mean[:3].mean(), rtol=1e-5)
    assert own.mean[4] == 0.0


def test_random_series_agree_with_a_search_by_hand() -> None:
    generator = np.random.default_rng(1)
    whole = random_cohort(30, generator)
    masks = hidden_cells_masks(whole, hidden_fraction=0.3, generator=generator)
    window = masks.split(whole, CHALLENGE)
    found = own_record(window, NORMALIZATION)
    carried, line = carry_forward(found), linear_interpolation(found)
    for row, index in enumerate(window.target.series_indices):
        context = window.context[int(index)]
        channel, time = window.target.channels[row], window.target.times_hours[row]
        mine = context.channels == channel
        times = context.times_hours[mine]
        values = NORMALIZATION.apply(context.values[mine], context.channels[mine])
        before = values[times <= time]
        assert carried[row] == pytest.approx(before[-1] if len(before) else 0.0, abs=1e-4)
        expected = np.interp(time, times, values) if len(values) else 0.0
        assert line[row] == pytest.approx(expected, abs=1e-3)


def random_record(generator: np.random.Generator, size: int = 400) -> OwnRecord:
    last, following, mean = generator.standard_normal((3, size))
    return OwnRecord(
        channels=np.where(generator.random(size) < 0.5, HR, NA),
        last=last,
        following=following,
        last_age=generator.uniform(0.1, 5, size),
        next_age=generator.uniform(0.1, 5, size),
        mean=mean,
        beyond_hours=generator.uniform(0.1, 24, size),
    )


def test_least_squares_recovers_the_rule_of_a_forecast() -> None:
    own = random_record(np.random.default_rng(2))
    rules = {HR: np.array([0.3, 0.5, 0.2, 0.4, -0.01]), NA: np.array([-1.0, 0.9, 0.0, 0.1, 0.02])}
    recent = np.exp(-own.beyond_hours / 6) * (own.last - own.mean)
    features = np.stack([np.ones(len(recent)), own.last, own.mean, recent, own.beyond_hours], 1)
    targets = np.array([features[i] @ rules[int(c)] for i, c in enumerate(own.channels)])
    fitted = LeastSquares.fit(own, targets, is_forecast=True)
    for channel, rule in rules.items():
        np.testing.assert_allclose(fitted.coefficients[channel, True], rule, atol=1e-9)
    np.testing.assert_allclose(fitted.predict(own), targets, atol=1e-9)


def test_least_squares_recovers_the_rule_of_an_imputation() -> None:
    own = random_record(np.random.default_rng(3))
    targets = 0.1 + 0.2 * own.last + 0.3 * own.following + 0.4 * own.mean
    targets += 0.5 * linear_interpolation(own)
    fitted = LeastSquares.fit(own, targets, is_forecast=False)
    np.testing.assert_allclose(fitted.coefficients[HR, True], [0.1, 0.2, 0.3, 0.5, 0.4], atol=1e-9)


def test_least_squares_never_lose_on_what_they_were_fitted_on() -> None:
    whole = random_cohort(80, np.random.default_rng(4))
    masks = forecast_masks(whole, context_end_hours=24.0, horizon_hours=24.0)
    window = masks.split(whole, CHALLENGE)
    own = own_record(window, NORMALIZATION)
    targets = NORMALIZATION.apply(window.target.values, window.target.channels)
    rule = LeastSquares.fit(own, targets, is_forecast=True)
    for channel in {channel for channel, is_seen in rule.coefficients if is_seen}:
        rows = (own.channels == channel) & own.has_last
        for rival in (rule.predict(own), carry_forward(own), variable_mean(own)):
            ours = ((rule.predict(own) - targets)[rows] ** 2).sum()
            assert ours <= ((rival - targets)[rows] ** 2).sum() + 1e-9


def test_a_variable_with_hardly_any_targets_keeps_the_population_mean() -> None:
    own = random_record(np.random.default_rng(5), size=9)
    fitted = LeastSquares.fit(own, np.ones(9), is_forecast=True)
    assert fitted.coefficients == {}
    np.testing.assert_array_equal(fitted.predict(own), np.zeros(9))


def test_pieces_do_not_change_the_record() -> None:
    whole = random_cohort(1100, np.random.default_rng(6), mean_observations=6)
    masks = hidden_cells_masks(whole, hidden_fraction=0.4, generator=np.random.default_rng(7))
    window = masks.split(whole, CHALLENGE)
    assert len(window.context) > 1024
    together = own_record(window, NORMALIZATION)
    some = np.arange(len(window.context) - 20, len(window.context))
    alone = own_record(
        Window(window.context.select(some), window.target.select(some)), NORMALIZATION
    )
    for name, column in vars(alone).items():
        np.testing.assert_array_equal(column, getattr(together, name)[-len(column) :], err_msg=name)
