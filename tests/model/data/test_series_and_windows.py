"""Cohorts, windows and rolling windows: nothing is lost, nothing is invented."""

from dataclasses import replace

import numpy as np
import pytest

from model.data.query import Query
from model.data.rolling import WINDOW_HOURS, roll
from model.data.series import Cohort, Series, censoring_of
from model.data.windows import cut_spans, forecast_masks, hidden_cells_masks, queryable
from tests.catalogues import CHALLENGE
from tests.series import random_cohort
from training.tasks import Task, make_window


def _sides(values: np.ndarray) -> np.ndarray:
    """Return a side that is known from the value alone."""
    return (np.floor(1000 * values) % 3 - 1).astype(np.int8)


def _with_limits(cohort: Cohort) -> Cohort:
    return replace(cohort, censoring=_sides(cohort.values))


COHORT = _with_limits(random_cohort(9, np.random.default_rng(1)))
LONG = _with_limits(
    random_cohort(4, np.random.default_rng(8), span_hours=300, mean_observations=200)
)


def test_a_cohort_is_its_series_joined() -> None:
    again = Cohort.from_series(list(COHORT))
    for name in vars(COHORT):
        np.testing.assert_array_equal(getattr(again, name), getattr(COHORT, name))


def test_a_limit_stays_with_its_value() -> None:
    window = forecast_masks(COHORT, context_end_hours=24.0, horizon_hours=12.0).split(
        COHORT, CHALLENGE
    )
    query = Query.at(LONG)
    for cohort in (
        COHORT.select([4, 0, 4]),
        window.context,
        window.target,
        cut_spans(LONG, span_hours=48.0),
        roll(LONG, query).context,
        make_window(LONG, CHALLENGE, Task.FORECAST, seed=0).context,
        Cohort.from_series(list(LONG)),
    ):
        assert cohort.censoring.dtype == np.int8
        assert len(set(cohort.censoring.tolist())) == 3
        np.testing.assert_array_equal(cohort.censoring, _sides(cohort.values))
        np.testing.assert_array_equal(cohort.measured_mask, cohort.censoring == 0)


def test_without_sides_all_is_measured() -> None:
    plain = random_cohort(3, np.random.default_rng(1))
    assert plain.measured_mask.all()
    assert plain[1].censoring.tolist() == [0] * len(plain[1])
    with pytest.raises(ValueError, match="censoring"):
        censoring_of(np.zeros(2, dtype=np.int8), 5)


def test_selecting_returns_the_chosen_series_in_order() -> None:
    chosen = [4, 0, 4]
    part = COHORT.select(chosen)
    for position, index in enumerate(chosen):
        np.testing.assert_array_equal(part[position].values, COHORT[index].values)
        assert part[position].subject_id == COHORT[index].subject_id


def test_a_forecast_context_ends_where_the_target_begins() -> None:
    window = forecast_masks(COHORT, context_end_hours=24.0, horizon_hours=12.0).split(
        COHORT, CHALLENGE
    )
    assert window.context.times_hours.max() < 24 <= window.target.times_hours.min()
    assert window.target.times_hours.max() <= 36
    assert window.context.subject_ids == window.target.subject_ids


def test_hidden_cells_and_context_are_the_series() -> None:
    masks = hidden_cells_masks(COHORT, hidden_fraction=0.3, generator=np.random.default_rng(0))
    assert np.array_equal(masks.context_mask, ~masks.target_mask)
    assert masks.target_mask.mean() == pytest.approx(0.3, abs=0.05)


def test_a_variable_that_is_never_estimated_is_no_target() -> None:
    state = ~queryable(CHALLENGE)
    assert [CHALLENGE[channel].name for channel in np.flatnonzero(state)] == ["MechVent"]
    masks = hidden_cells_masks(COHORT, hidden_fraction=0.5, generator=np.random.default_rng(0))
    assert not np.any(state[masks.split(COHORT, CHALLENGE).target.channels])


def test_cutting_spans_keeps_every_observation_in_windows_of_the_length() -> None:
    cut = cut_spans(LONG, span_hours=48.0)
    np.testing.assert_array_equal(cut.values, LONG.values)
    assert len(cut) > len(LONG)
    for series in cut:
        assert len(series) > 0
        assert series.times_hours[-1] - series.times_hours[0] <= 48.0


def _ask(cohort: Cohort, times: list[np.ndarray]) -> Query:
    return Query.grid(times, [np.array([0, 3])] * len(cohort))


def _of_queries(query: Query, name: str) -> np.ndarray:
    if name == "channels":
        return query.channels
    return query.times_hours[query.points_of_queries]


def test_short_series_pass_through_rolling_unchanged() -> None:
    query = _ask(COHORT, [np.array([1.0, 70.0])] * len(COHORT))
    rolled = roll(COHORT, query)
    np.testing.assert_array_equal(rolled.context.values, COHORT.values)
    np.testing.assert_array_equal(rolled.positions, np.arange(4 * len(COHORT)))


def test_every_query_of_a_long_series_gets_one_window_around_it() -> None:
    generator = np.random.default_rng(4)
    times = [generator.uniform(-5, 330, 50) for _ in LONG]
    query = _ask(LONG, times)
    rolled = roll(LONG, query)
    assert sorted(rolled.positions) == list(range(query.num_queries))
    for name in ("times_hours", "channels"):
        np.testing.assert_array_equal(
            _of_queries(query, name)[rolled.positions], _of_queries(rolled.query, name)
        )
    for window, owner, start, stop in zip(
        rolled.context,
        rolled.owners,
        rolled.query.point_offsets[:-1],
        rolled.query.point_offsets[1:],
        strict=True,
    ):
        assert window.times_hours[-1] - window.times_hours[0] <= WINDOW_HOURS
        record = LONG[owner].times_hours
        for time in rolled.query.times_hours[start:stop]:
            near = record[np.abs(record - time) <= 11.9]
            assert np.isin(near, window.times_hours).all()


def test_the_window_of_a_query_does_not_depend_on_other_queries() -> None:
    times = np.linspace(0, 320, 40)
    together = roll(LONG, _ask(LONG, [times] * len(LONG)))
    owner_of = together.query.series_of_queries
    for entry in range(0, len(together.positions), 7):
        series, position = divmod(together.positions[entry] // 2, len(times))
        asked: list[np.ndarray] = [np.empty(0)] * len(LONG)
        asked[series] = times[position : position + 1]
        alone = roll(LONG, _ask(LONG, asked))
        mine = int(np.flatnonzero(alone.query.query_counts)[0])
        np.testing.assert_array_equal(
            alone.context[mine].values, together.context[owner_of[entry]].values
        )


def test_in_a_gap_longer_than_a_window_the_nearer_end_answers() -> None:
    times = np.array([0.0, 1.0, 200.0, 201.0])
    series = Series("gap", times, np.full(4, 14), np.full(4, 80.0), np.full(5, np.nan))
    cohort = Cohort.from_series([series])
    for asked, expected in ((75.0, [0.0, 1.0]), (130.0, [200.0, 201.0])):
        rolled = roll(cohort, _ask(cohort, [np.array([asked])]))
        np.testing.assert_array_equal(rolled.context[0].times_hours, expected)
