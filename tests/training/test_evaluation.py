"""Scores of answers that are known beforehand."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from model.data.normalization import Normalization
from model.data.query import Query
from model.data.windows import Window
from model.runtime.predictor import Request
from tests.catalogues import CHALLENGE
from tests.series import random_cohort
from tests.training.judged import Judged, judge
from training.baselines import LeastSquares, carry_forward, own_record
from training.evaluation import (
    BASELINES,
    GAP_EDGES_HOURS,
    LEAST_SQUARES,
    MODEL,
    Answers,
    Evaluation,
    answer,
    score,
)
from training.intervals import LEVELS, MEDIAN, NOMINAL, interval_ends
from training.tasks import Task, make_window

COHORT = random_cohort(40, np.random.default_rng(0), mean_observations=150)
NORMALIZATION = Normalization.fit(COHORT, CHALLENGE)
METHODS = (MODEL, LEAST_SQUARES, *BASELINES)


def laplace_answers(window: Window, generator: np.random.Generator, *, spread: float) -> Answers:
    """Answers in whose standardized unit the truth is Laplace around the median with scale `spread`."""
    channels = window.target.channels
    expected = NORMALIZATION.apply(window.target.values, channels)
    median = expected - generator.laplace(scale=spread, size=len(expected))
    laplace = np.sign(LEVELS - 0.5) * -np.log(2 * np.minimum(LEVELS, 1 - LEVELS))
    standardized = median + spread * laplace[:, None]
    own = own_record(window, NORMALIZATION)
    # No clipping: the coverage must be that of the distribution itself.
    free = replace(NORMALIZATION, low=np.full(37, -np.inf), high=np.full(37, np.inf))
    return Answers(
        window=window,
        channels=channels,
        series=window.target.series_indices,
        expected=expected,
        points={MODEL: median, **dict.fromkeys(METHODS[1:], expected + 2 * spread)},
        quantiles=free.invert(standardized, channels[None]),
        standard_deviation=np.ones(len(expected)),
        gap_hours=np.minimum(own.last_age, own.next_age),
    )


@pytest.fixture(scope="module")
def known() -> tuple[Answers, Evaluation]:
    window = make_window(COHORT, CHALLENGE, Task.IMPUTATION, seed=0)
    answers = laplace_answers(window, np.random.default_rng(1), spread=0.3)
    return answers, score(answers, NORMALIZATION, Task.IMPUTATION, seed=0)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judge(tmp_path_factory.mktemp("judged"), Task.FORECAST)


def test_errors_are_means_over_the_targets_of_a_variable(
    known: tuple[Answers, Evaluation],
) -> None:
    answers, evaluation = known
    for channel in range(len(CHALLENGE)):
        rows = answers.channels == channel
        assert evaluation.counts[channel] == rows.sum()
        if not rows.any():
            assert np.isnan(evaluation.errors[MODEL][channel])
            continue
        error = (answers.points[MODEL] - answers.expected)[rows]
        assert evaluation.errors[MODEL][channel] == pytest.approx(np.abs(error).mean())
        assert evaluation.squared_errors[MODEL][channel] == pytest.approx((error**2).mean())
        canonical = np.abs(answers.quantiles[MEDIAN] - answers.window.target.values)[rows]
        assert evaluation.canonical_errors[channel] == pytest.approx(canonical.mean())


def test_ratios_are_those_of_the_mean_errors(known: tuple[Answers, Evaluation]) -> None:
    _, evaluation = known
    for name in METHODS[1:]:
        assert evaluation.mean_error(name) == pytest.approx(0.6)
        assert evaluation.ratio(name) == pytest.approx(evaluation.mean_error(MODEL) / 0.6)
        low, high = evaluation.ratio_intervals[name]
        assert low < evaluation.ratio(name) < high
        # The error of a Laplace variable has mean 0.3, half of the others'.
        assert low < 0.5 < high


def test_true_distributions_are_covered_as_they_claim(known: tuple[Answers, Evaluation]) -> None:
    _, evaluation = known
    for row, (low, high) in enumerate(NOMINAL.values()):
        for shares in (evaluation.overall_intervals.closed, evaluation.overall_intervals.split):
            assert shares[row, 0] == pytest.approx(high - low, abs=0.03)
        filled = evaluation.gap_intervals.counts > 30
        assert filled.any()
        np.testing.assert_allclose(
            evaluation.gap_intervals.closed[row, filled], high - low, atol=0.1
        )
    np.testing.assert_allclose(evaluation.overall_intervals.histogram[0], 1 / 20, atol=0.02)


def test_crps_of_the_true_distribution_is_three_quarters_of_its_scale(
    known: tuple[Answers, Evaluation],
) -> None:
    # The mean of |y| + exp(-|y|) - 3/4 (tests/model/test_metrics.py) over Laplace y: 1 + 1/2 - 3/4.
    _, evaluation = known
    assert np.nanmean(evaluation.crps) == pytest.approx(0.75 * 0.3, rel=0.1)


def test_twice_the_same_answers_have_ratio_one(known: tuple[Answers, Evaluation]) -> None:
    answers, _ = known
    same = replace(answers, points=dict.fromkeys(METHODS, answers.points[MODEL]))
    evaluation = score(same, NORMALIZATION, Task.IMPUTATION, seed=0)
    for name in METHODS[1:]:
        assert evaluation.ratio(name) == 1.0
        np.testing.assert_allclose(evaluation.ratio_intervals[name], (1.0, 1.0), rtol=1e-12)


def test_the_interval_covers_the_ratio_of_the_population() -> None:
    # 40 repetitions of a comparison whose true ratio is 1/2: a 95 % interval misses few of them.
    small = COHORT.select(range(25))
    window = make_window(small, CHALLENGE, Task.FORECAST, seed=0)
    generator = np.random.default_rng(2)
    hits = 0
    for _ in range(40):
        answers = laplace_answers(window, generator, spread=0.3)
        evaluation = score(answers, NORMALIZATION, Task.FORECAST, seed=0)
        low, high = evaluation.ratio_intervals["variable_mean"]
        hits += low <= 0.5 <= high
    assert 33 <= hits <= 40


def test_a_forecast_hides_the_future_and_an_imputation_hides_single_cells() -> None:
    forecast = make_window(COHORT, CHALLENGE, Task.FORECAST, seed=0)
    assert forecast.context.times_hours.max() < 24 <= forecast.target.times_hours.min()
    imputation = make_window(COHORT, CHALLENGE, Task.IMPUTATION, seed=0)
    share = len(imputation.target.values) / len(COHORT.values)
    assert share == pytest.approx(0.3, abs=0.03)
    again = make_window(COHORT, CHALLENGE, Task.IMPUTATION, seed=0)
    np.testing.assert_array_equal(again.target.values, imputation.target.values)


def test_states_are_never_scored(judged: Judged) -> None:
    states = [channel for channel, one in enumerate(CHALLENGE) if not one.is_queryable]
    assert states
    assert judged.evaluation.counts[states].sum() == 0


def test_answers_are_those_of_the_predictor_and_the_baselines(judged: Judged) -> None:
    window, predictor = judged.answers.window, judged.predictor
    normalization = predictor.artifact.normalization
    prediction = predictor.predict(
        Request(window.context, Query.at(window.target), quantile_levels=(0.5,), seed=0)
    )
    median = normalization.apply(prediction.quantiles[0], window.target.channels)
    np.testing.assert_allclose(judged.answers.points[MODEL], median, atol=1e-3)
    own = own_record(window, normalization)
    np.testing.assert_array_equal(judged.answers.points["carry_forward"], carry_forward(own))
    assert set(judged.answers.points) == set(METHODS)


def test_bins_of_the_gap_hold_every_target(known: tuple[Answers, Evaluation]) -> None:
    answers, evaluation = known
    values = answers.window.target.values
    low, high = interval_ends(answers.quantiles, "90%")
    inside = (low <= values) & (values <= high)
    for position, (start, stop) in enumerate(pairwise(GAP_EDGES_HOURS)):
        rows = (answers.gap_hours > start) & (answers.gap_hours <= stop)
        rows |= (position == 0) & (answers.gap_hours == 0)
        assert evaluation.gap_intervals.counts[position] == rows.sum()
        shares = evaluation.gap_intervals.coverage(position)
        assert shares["90%"] == pytest.approx(inside[rows].mean())


def test_a_long_series_is_judged_in_each_span_of_its_clock() -> None:
    long = random_cohort(4, np.random.default_rng(5), span_hours=130.0, mean_observations=600)
    for task in Task:
        window = make_window(long, CHALLENGE, task, seed=0)
        assert len(window.context) == 12
        both = zip(window.context, window.target, strict=True)
        for number, (context, target) in enumerate(both):
            start = 48.0 * (number % 3)
            assert context.times_hours.min() >= start
            assert target.times_hours.max() <= start + 48
            if task is Task.FORECAST:
                assert context.times_hours.max() < start + 24 <= target.times_hours.min()
    scored = make_window(long, CHALLENGE, Task.FORECAST, seed=0).target
    second_days = (np.ceil(long.times_hours / 24) % 2 == 0) | (long.times_hours % 48 == 24)
    estimated = np.array([variable.is_queryable for variable in CHALLENGE])[long.channels]
    assert len(scored.values) == (second_days & estimated).sum()


def test_resampling_is_of_subjects_not_of_their_windows() -> None:
    # Twins that say the same twice narrow the interval if they count as two, and not if as one.
    window = make_window(COHORT.select(range(20)), CHALLENGE, Task.FORECAST, seed=0)
    twice = np.tile(np.arange(20), 2)
    doubled = Window(window.context.select(twice), window.target.select(twice))
    answers = laplace_answers(window, np.random.default_rng(3), spread=0.3)
    rows = np.tile(np.arange(len(answers.expected)), 2)
    same = replace(
        laplace_answers(doubled, np.random.default_rng(3), spread=0.3),
        points={name: point[rows] for name, point in answers.points.items()},
    )
    once, again = (score(one, NORMALIZATION, Task.FORECAST, seed=0) for one in (answers, same))
    np.testing.assert_allclose(
        once.ratio_intervals["carry_forward"], again.ratio_intervals["carry_forward"], rtol=1e-12
    )


def test_an_error_free_baseline_leaves_no_ratio(known: tuple[Answers, Evaluation]) -> None:
    answers, _ = known
    perfect = replace(answers, points={**answers.points, "carry_forward": answers.expected})
    evaluation = score(perfect, NORMALIZATION, Task.IMPUTATION, seed=0)
    assert np.isnan(evaluation.ratio("carry_forward"))
    assert np.isnan(evaluation.ratio_intervals["carry_forward"]).all()


def test_a_handful_of_series_is_enough(tmp_path: Path) -> None:
    judged = judge(tmp_path, Task.IMPUTATION, COHORT.select(range(8)))
    assert judged.evaluation.num_series == 8
    assert np.isfinite(judged.evaluation.mean_error(MODEL))


def test_progress_ends_at_the_number_of_series(judged: Judged) -> None:
    window = judged.answers.window
    some = Window(window.context.select(range(5)), window.target.select(range(5)))
    reported: list[tuple[int, int]] = []
    answer(
        judged.predictor,
        some,
        least_squares=LeastSquares({}, is_forecast=True),
        seed=0,
        on_progress=lambda done, total: reported.append((done, total)),
    )
    assert reported[-1] == (5, 5)
