"""The reference is what it says: its grid, its blindness to the future, and that it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.data.normalization import Normalization
from model.data.windows import Window
from tests.benchmarks.latent_ode_reference.course import Course, Point, warm_up
from tests.benchmarks.latent_ode_reference.grid import GridBatch
from tests.benchmarks.latent_ode_reference.network import ReferenceLatentODE
from tests.benchmarks.latent_ode_reference.reference import Reference, Settings
from tests.catalogues import CHALLENGE
from tests.series import random_cohort
from training.tasks import Task, make_window

COHORT = random_cohort(30, np.random.default_rng(0), mean_observations=200)
NORMALIZATION = Normalization.fit(COHORT, CHALLENGE)
WINDOW = make_window(COHORT, CHALLENGE, Task.FORECAST, seed=0)


def network() -> ReferenceLatentODE:
    with torch.random.fork_rng():
        torch.manual_seed(3)  # noqa: TID251  torch's layers take no generator
        return ReferenceLatentODE(len(CHALLENGE), len(CHALLENGE.statics))


def test_a_cell_of_the_grid_holds_the_mean_of_its_values() -> None:
    batch = GridBatch.of(WINDOW, NORMALIZATION, grid_hours=1.0)
    assert batch.inputs.shape[0] == len(batch.times) <= 25
    series = WINDOW.context[4]
    values = NORMALIZATION.apply(series.values, series.channels)
    steps = np.rint(series.times_hours - series.times_hours[0])
    for step, channel in {*zip(steps, series.channels, strict=True)}:
        row = int(np.flatnonzero(batch.times.numpy() == step)[0])
        same = (steps == step) & (series.channels == channel)
        np.testing.assert_allclose(batch.inputs[row, 4, channel], values[same].mean(), rtol=1e-5)
        assert batch.observed_mask[row, 4, channel] == 1
    assert batch.observed_mask[:, 4, : len(CHALLENGE)].sum() == len(
        {*zip(steps, series.channels, strict=True)}
    )


def test_a_record_is_answered_alike_alone_and_in_a_batch() -> None:
    # The others' times come between its own ones; a finer grid keeps the Euler steps alike enough.
    model = network()
    whole = GridBatch.of(WINDOW, NORMALIZATION, grid_hours=1.0)
    alone = Window(WINDOW.context.select([4]), WINDOW.target.select([4]))
    single = GridBatch.of(alone, NORMALIZATION, grid_hours=1.0)
    with torch.no_grad():
        together = model.decode(model.encode(whole).mean[None], whole)[0]
        apart = model.decode(model.encode(single).mean[None], single)[0]
    np.testing.assert_allclose(together[whole.target_series == 4], apart, atol=2e-3)


@pytest.mark.benchmark
def test_it_learns_more_than_the_variable_mean() -> None:
    # Every series has a level of its own, which only its context tells.
    own = np.random.default_rng(1).normal(size=len(COHORT))[COHORT.series_indices]
    cohort = replace(COHORT, values=NORMALIZATION.invert(own, COHORT.channels))
    window = make_window(cohort, CHALLENGE, Task.FORECAST, seed=0)
    settings = Settings(grid_hours=1.0, batch_size=10, observation_deviation=0.1, seed=0)
    reference = Reference(cohort, window, NORMALIZATION, Task.FORECAST, 24.0, settings)
    warm_up()
    course = reference.train(cpu_seconds=4.0)
    expected = NORMALIZATION.apply(window.target.values, window.target.channels)
    assert course.best_error < 0.7 * np.abs(expected).mean()
    assert course.num_records >= 10 * len(course.points)


def test_a_course_says_when_an_error_was_reached() -> None:
    course = Course("one", 600, 6.0, (Point(1.0, 0.9), Point(3.0, 0.5), Point(6.0, 0.6)))
    assert course.records_per_second == 100
    assert course.best_error == 0.5
    assert course.seconds_to(0.55) == 3.0
    assert course.seconds_to(0.4) is None
