"""What is hidden while the model learns: how much, of what, and never both context and target."""

from dataclasses import replace

import numpy as np
import pytest

from model.data.series import Cohort
from model.data.windows import WindowMasks
from tests.series import random_cohort
from training.config import TrainingConfig
from training.task_mix import TaskMix, row_numbers

COHORT = random_cohort(400, np.random.default_rng(3), mean_observations=50)
MIX = TrainingConfig().tasks
FUTURE = replace(MIX, cells_share=0.0, rows_share=0.0)
SIGMAS = 5


def draw(mix: TaskMix, cohort: Cohort = COHORT, *, seed: int = 0) -> WindowMasks:
    return mix.draw(cohort, np.random.default_rng(seed))


def last_of(mask: np.ndarray, times: np.ndarray) -> float:
    return float(times[mask].max(initial=-np.inf))


@pytest.mark.parametrize("horizon_rows", [0, 3])
def test_nothing_is_both_context_and_target(horizon_rows: int) -> None:
    masks = draw(replace(MIX, horizon_rows=horizon_rows))
    assert not np.any(masks.context_mask & masks.target_mask)
    assert masks.context_mask.any()
    assert masks.target_mask.any()


def test_what_is_hidden_as_cells_or_rows_is_asked_for() -> None:
    masks = draw(replace(MIX, cells_share=0.5, rows_share=0.5))
    assert np.array_equal(masks.context_mask, ~masks.target_mask)


def test_the_hidden_share_is_the_one_that_was_drawn() -> None:
    for share in (0.1, 0.6):
        mix = replace(MIX, cells_share=1.0, rows_share=0.0, hidden_fraction=(share, share))
        hidden = draw(mix).target_mask
        deviation = np.sqrt(share * (1 - share) / len(hidden))
        assert hidden.mean() == pytest.approx(share, abs=SIGMAS * deviation)


def test_every_series_hides_a_share_of_its_own() -> None:
    cells = replace(MIX, cells_share=1.0, rows_share=0.0, hidden_fraction=(0.05, 0.95))
    hidden = draw(cells).target_mask
    shares = np.bincount(COHORT.series_indices, hidden) / COHORT.counts
    assert shares.mean() == pytest.approx(0.5, abs=SIGMAS * 0.3 / np.sqrt(len(COHORT)))
    assert shares.std() > 0.2


def test_rows_are_hidden_as_wholes() -> None:
    cohort = replace(COHORT, times_hours=np.floor(COHORT.times_hours / 4) * 4)
    rows = row_numbers(cohort)
    masks = draw(replace(MIX, cells_share=0.0, rows_share=1.0), cohort)
    for row in np.unique(rows):
        assert len(set(masks.target_mask[rows == row])) == 1
    cells = draw(replace(MIX, cells_share=1.0, rows_share=0.0), cohort)
    assert any(len(set(cells.target_mask[rows == row])) == 2 for row in np.unique(rows)[:200])


def test_a_row_is_a_time_of_a_series() -> None:
    rows = row_numbers(COHORT)
    pairs = list(zip(COHORT.series_indices, COHORT.times_hours, strict=True))
    numbers = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
    assert rows.tolist() == [numbers[pair] for pair in pairs]


def test_tasks_have_their_shares() -> None:
    """The task is read off the masks: with everything or nothing hidden they look different."""
    mix = replace(MIX, cells_share=0.5, rows_share=0.2, hidden_fraction=(0.5, 0.5))
    cohort = replace(COHORT, times_hours=np.floor(COHORT.times_hours / 8) * 8)
    masks, rows = draw(mix, cohort), row_numbers(cohort)
    counts = {"future": 0, "rows": 0, "cells": 0}
    for index in range(len(cohort)):
        mine = cohort.series_indices == index
        context, times = masks.context_mask[mine], cohort.times_hours[mine]
        by_row = [set(context[rows[mine] == row]) for row in np.unique(rows[mine])]
        if any(len(found) == 2 for found in by_row):
            counts["cells"] += 1
        elif last_of(context, times) < times[~context].min(initial=np.inf):
            counts["future"] += 1
        else:
            counts["rows"] += 1
    for name, share in (("cells", 0.5), ("rows", 0.2), ("future", 0.3)):
        deviation = np.sqrt(share * (1 - share) / len(cohort))
        # A few rows hide the end of a record by chance.
        assert counts[name] / len(cohort) == pytest.approx(share, abs=SIGMAS * deviation), name


def test_a_future_begins_after_the_context_at_a_share_of_the_span() -> None:
    masks = draw(replace(FUTURE, context_share=(0.25, 0.5), horizon_hours=1e6))
    assert np.array_equal(masks.context_mask, ~masks.target_mask)
    for index, series in enumerate(COHORT):
        mine = COHORT.series_indices == index
        first, last = series.times_hours[[0, -1]]
        end = last_of(masks.context_mask[mine], series.times_hours)
        start = series.times_hours[masks.target_mask[mine]].min()
        assert end < start
        assert end < first + 0.5 * (last - first)
        assert start >= first + 0.25 * (last - first)


def test_a_target_lies_within_the_horizon_of_the_cut() -> None:
    mix = replace(FUTURE, context_share=(0.3, 0.3), horizon_hours=6.0)
    masks = draw(mix)
    first = COHORT.times_hours[COHORT.offsets[:-1]]
    span = COHORT.times_hours[COHORT.offsets[1:] - 1] - first
    since = COHORT.times_hours - (first + 0.3 * span)[COHORT.series_indices]
    assert np.array_equal(masks.target_mask, (since >= 0) & (since <= 6.0))
    assert np.array_equal(masks.context_mask, since < 0)


@pytest.mark.parametrize("horizon_rows", [1, 3, 50])
def test_horizon_rows_counts_rows_and_not_cells(horizon_rows: int) -> None:
    cohort = replace(COHORT, times_hours=np.floor(COHORT.times_hours / 2) * 2)
    rows = row_numbers(cohort)
    free, limited = (
        draw(replace(FUTURE, horizon_rows=limit, horizon_hours=20.0), cohort)
        for limit in (0, horizon_rows)
    )
    assert np.array_equal(free.context_mask, limited.context_mask)
    for index in range(len(cohort)):
        mine = cohort.series_indices == index
        wanted = np.unique(rows[mine & free.target_mask])[:horizon_rows]
        assert np.array_equal(np.unique(rows[mine & limited.target_mask]), wanted)
        in_wanted = mine & np.isin(rows, wanted)
        assert np.array_equal(mine & limited.target_mask, in_wanted)


def test_the_draws_of_an_epoch_are_its_own() -> None:
    first, again, other = draw(MIX), draw(MIX), draw(MIX, seed=1)
    assert np.array_equal(first.target_mask, again.target_mask)
    assert not np.array_equal(first.target_mask, other.target_mask)
