"""How much worse than at home: ratios of scores that are known beforehand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.catalogues import CHALLENGE
from tests.series import random_cohort
from tests.training.judged import Judged, judge
from training.baselines import LeastSquares
from training.evaluation import LEAST_SQUARES, MODEL, Evaluation
from training.evaluation import judge as judge_tasks
from training.home import HomeComparison, held_out_scores
from training.report import write_report, write_summary_markdown
from training.tasks import Task


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judge(tmp_path_factory.mktemp("judged"), Task.IMPUTATION)


def worse(evaluation: Evaluation, factor: float) -> Evaluation:
    """The same evaluation with errors that are `factor` times as large."""
    errors = {name: factor * error for name, error in evaluation.errors.items()}
    return replace(evaluation, errors=errors, crps=factor * evaluation.crps)


def compare(here: Evaluation, home: Evaluation) -> HomeComparison:
    stored = json.loads(json.dumps(held_out_scores([home], CHALLENGE), allow_nan=False))
    found = HomeComparison.of(here, stored, CHALLENGE)
    assert found is not None
    return found


def without(evaluation: Evaluation, channel: int) -> Evaluation:
    """The same evaluation without any target of a variable."""
    counts = evaluation.counts.copy()
    counts[channel] = 0
    errors = {name: error.copy() for name, error in evaluation.errors.items()}
    for error in errors.values():
        error[channel] = np.nan
    return replace(evaluation, counts=counts, errors=errors)


def test_home_compared_with_itself_is_one_everywhere(judged: Judged) -> None:
    found = compare(judged.evaluation, judged.evaluation)
    assert found.error_ratio == found.crps_ratio == found.least_squares_error_ratio == 1
    assert [score.error_ratio for score in found.scores] == [1.0] * len(found.scores)
    assert found.absent_here == found.absent_home == []


def test_errors_twice_as_large_are_a_ratio_of_two(judged: Judged) -> None:
    found = compare(worse(judged.evaluation, 2.0), judged.evaluation)
    for ratio in (found.error_ratio, found.median_error_ratio, found.crps_ratio):
        assert ratio == pytest.approx(2.0)
    for score in found.scores:
        channel = CHALLENGE.channel(score.variable.name)
        assert score.here.num_targets == judged.evaluation.counts[channel]
        assert score.home.error == judged.evaluation.errors[MODEL][channel]
        assert score.home.least_squares_error == judged.evaluation.errors[LEAST_SQUARES][channel]


def test_variables_of_one_place_only_are_named_and_leave_the_means(judged: Judged) -> None:
    channel = int(np.flatnonzero(judged.evaluation.counts)[0])
    name = CHALLENGE[channel].name
    poorer = without(judged.evaluation, channel)
    assert compare(poorer, judged.evaluation).absent_here == [name]
    other_way = compare(judged.evaluation, poorer)
    assert other_way.absent_home == [name]
    assert name not in {score.variable.name for score in other_way.comparable}
    assert other_way.error_ratio == pytest.approx(1.0)


def test_a_task_that_home_was_not_judged_on_is_not_compared(judged: Judged) -> None:
    assert HomeComparison.of(judged.evaluation, {}, CHALLENGE) is None


def test_the_report_says_how_much_worse(judged: Judged, tmp_path: Path) -> None:
    channel = int(np.flatnonzero(judged.evaluation.counts)[0])
    home = worse(without(judged.evaluation, channel), 0.5)
    found = compare(judged.evaluation, home)
    write_report(
        tmp_path,
        evaluation=judged.evaluation,
        answers=judged.answers,
        predictor=judged.predictor,
        provenance=judged.provenance,
        seed=0,
        home=found,
    )
    summary = write_summary_markdown(judged.evaluation, judged.provenance, found)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for text in (summary, page):
        assert "100\u00a0% larger" in text
        assert f"Without data at home: {CHALLENGE[channel].name}." in text
    assert 'data-plot="home"' in page
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))["home"]
    assert metrics["error_ratio"] == pytest.approx(2.0)
    assert metrics["absent_home"] == [CHALLENGE[channel].name]


def test_every_task_is_judged_as_evaluate_judges_it(judged: Judged) -> None:
    cohort = random_cohort(10, np.random.default_rng(1), mean_observations=250)
    empty = {task: LeastSquares({}, is_forecast=task is Task.FORECAST) for task in Task}
    found = judge_tasks(judged.predictor, cohort, empty, seed=0)
    assert [evaluation.task for evaluation in found] == list(empty)
    imputation = found[list(empty).index(Task.IMPUTATION)]
    np.testing.assert_array_equal(imputation.errors[MODEL], judged.evaluation.errors[MODEL])
