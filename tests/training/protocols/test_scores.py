"""The published averages, on cases that can be computed by hand."""

import math

import numpy as np
import pytest

from tests.training.protocols.parts import ASKED, BOTH, GIVEN, part, protocol, random_part
from training.protocols.answers import LEVELS, Answers
from training.protocols.catalogue import NAMES
from training.protocols.metrics import (
    batch_averaged,
    crps_from_levels,
    pinball,
    variable_balanced,
    zero_filled,
)
from training.protocols.scores import score

NORMAL_QUANTILES = np.array(
    [
        -1.644854,
        -1.281552,
        -1.036433,
        -0.841621,
        -0.67449,
        -0.524401,
        -0.38532,
        -0.253347,
        -0.125661,
    ]
)


def normal_quantiles(count: int) -> np.ndarray:
    levels = np.concatenate([NORMAL_QUANTILES, [0.0], -NORMAL_QUANTILES[::-1]])
    return np.repeat(levels[:, None], count, axis=1)


def test_a_rare_variable_weighs_as_much_as_a_frequent_one() -> None:
    errors = np.array([1.0, 1.0, 1.0, 5.0])
    assert variable_balanced(errors, np.array([0, 0, 0, 2])) == 3.0


def test_never_observed_variables_count_as_zero_in_the_metric_of_rubanova() -> None:
    errors, channels = np.array([1.0, 3.0, 4.0]), np.array([0, 0, 1])
    series = np.array([0, 0, 1])
    found = zero_filled(errors, channels, series, num_series=2, num_channels=4)
    assert found == (2.0 + 4.0) / 8


def test_batches_weigh_by_their_number_of_series() -> None:
    errors, series = np.array([1.0, 3.0, 8.0]), np.array([0, 1, 2])
    found = batch_averaged(errors, series, num_series=3, batch_size=2)
    assert found == pytest.approx((2 * 2.0 + 1 * 8.0) / 3)


def test_the_nineteen_levels_come_close_to_the_crps_of_a_normal() -> None:
    for value in (0.0, 0.5, 2.0):
        density = math.exp(-(value**2) / 2) / math.sqrt(2 * math.pi)
        distribution = (1 + math.erf(value / math.sqrt(2))) / 2
        exact = value * (2 * distribution - 1) + 2 * density - 1 / math.sqrt(math.pi)
        found = crps_from_levels(normal_quantiles(1), np.array([value]))[0]
        assert found == pytest.approx(exact, rel=0.02)


def test_quantiles_that_are_all_the_same_cost_the_absolute_error() -> None:
    found = pinball(np.full((len(LEVELS), 2), 3.0), np.array([1.0, 7.0]))
    np.testing.assert_allclose(found, [2.0, 4.0])


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_scores_zero_and_covers_itself(name: str) -> None:
    one = random_part(np.random.default_rng(0))
    values = one.targets.values
    answers = Answers(
        values, values, np.repeat(values[None], len(LEVELS), axis=0), np.zeros(len(values))
    )
    scores = score(protocol(name, one), one, answers)
    assert scores.num_targets == len(values)
    for found in scores:
        expected = 1.0 if found.name.startswith("coverage") else 0.0
        assert found.value == pytest.approx(expected, abs=1e-12), found.name


def test_the_median_is_judged_in_csdi_and_the_mean_elsewhere() -> None:
    one = part([(0.0, 0, 2.0, GIVEN), (30.0, 0, 2.0, ASKED)], [(40.0, 0, 4.0, ASKED)])
    answers = Answers(np.array([2.0, 4.0]), np.array([3.0, 5.0]))
    assert score(protocol("csdi-imputation", one), one, answers)["mae"] == 1.0
    assert score(protocol("csdi-imputation", one), one, answers)["mae_mean"] == 0.0
    for name in ("tpatchgnn-forecast", "grafiti-forecast", "saits-imputation"):
        scores = score(protocol(name, one), one, answers)
        assert (scores["mae"], scores["mae_median"]) == (0.0, 1.0)


def test_the_crps_of_csdi_is_divided_by_the_size_of_the_values() -> None:
    one = part([(0.0, 0, 2.0, ASKED), (1.0, 0, -6.0, ASKED)])
    point = np.array([1.0, -4.0])
    answers = Answers(point, point, np.repeat(point[None], len(LEVELS), axis=0))
    assert score(protocol("csdi-imputation", one), one, answers)["crps"] == pytest.approx(3 / 8)


def test_interpolation_tells_the_given_points_from_the_held_out_ones() -> None:
    one = part([(0.0, 0, 1.0, BOTH), (1.0, 0, 1.0, ASKED), (2.0, 0, 1.0, BOTH)])
    scores = score(protocol("mtan-interpolation", one), one, Answers.point(np.array([1.0, 3.0, 1])))
    assert scores["mse_held_out"] == 4.0
    assert scores["mse_all"] == scores["mse_all_pooled"] == pytest.approx(4 / 3)


def test_the_worst_stay_is_left_out() -> None:
    one = part([(30.0, 0, 0.0, ASKED)], [(30.0, 0, 0.0, ASKED)], [(30.0, 1, 0.0, ASKED)])
    answers = Answers.point(np.array([1.0, 100.0, 2.0]))
    scores = score(protocol("tpatchgnn-forecast", one), one, answers)
    assert scores["mse_without_worst_stay"] == pytest.approx((1 + 4) / 2)


def test_coverage_is_the_share_within_the_interval() -> None:
    values = np.random.default_rng(0).normal(size=4000)
    one = part([(30.0, 0, value, ASKED) for value in values.tolist()])
    zeros = np.zeros(len(values))
    answers = Answers(zeros, zeros, normal_quantiles(len(values)))
    scores = score(protocol("saits-imputation", one), one, answers)
    for nominal in (0.5, 0.8, 0.9):
        assert scores[f"coverage_{100 * nominal:.0f}"] == pytest.approx(nominal, abs=0.02)
    assert scores["width_90"] == pytest.approx(2 * 1.644854)


def test_the_likelihood_of_a_series_does_not_depend_on_its_length() -> None:
    one = part([(37.0, 0, 0.0, ASKED)] * 3, [(37.0, 0, 0.0, ASKED)])
    density = np.array([-1.0, -1.0, -1.0, -5.0])
    answers = Answers(np.zeros(4), np.zeros(4), log_density=density)
    scores = score(protocol("grafiti-forecast", one), one, answers)
    assert (scores["mnll"], scores["njnll_of_marginals"]) == (2.0, 3.0)


def test_answers_need_one_finite_number_for_each_target() -> None:
    one = part([(30.0, 0, 0.0, ASKED)])
    with pytest.raises(ValueError, match="expected 1 answers"):
        score(protocol("saits-imputation", one), one, Answers.point(np.zeros(2)))
    with pytest.raises(ValueError, match="finite"):
        score(protocol("saits-imputation", one), one, Answers.point(np.array([np.nan])))
    with pytest.raises(ValueError, match="median needs 1 numbers"):
        Answers(np.zeros(1), np.zeros(2))
    with pytest.raises(ValueError, match="quantiles need the shape"):
        Answers(np.zeros(2), np.zeros(2), np.zeros((3, 2)))


def test_a_score_that_is_not_there_is_named() -> None:
    one = part([(30.0, 0, 1.0, ASKED)])
    scores = score(protocol("saits-imputation", one), one, Answers.point(np.zeros(1)))
    assert "crps" not in scores
    with pytest.raises(KeyError, match="no score 'crps' among mae"):
        scores.find("crps")


def test_a_likelihood_with_a_gap_is_no_score() -> None:
    one = part([(37.0, 0, 0.0, ASKED)] * 2)
    zeros = np.zeros(2)
    answers = Answers(zeros, zeros, log_density=np.array([-1.0, np.nan]))
    assert "mnll" not in score(protocol("grafiti-forecast", one), one, answers)
