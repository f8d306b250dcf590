"""A query is series, points and channels: nothing is lost, moved or found again."""

from dataclasses import fields

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.data.query import Query
from model.data.series import Cohort, joined_ranges, offsets_from_counts
from tests.series import random_cohort

TIMES = st.lists(st.sampled_from([0.0, 1.0, 1.5, 2.0]), max_size=6)
CHANNELS = st.lists(st.integers(0, 9), max_size=4, unique=True)
ASKED = st.lists(st.tuples(TIMES, CHANNELS), max_size=6)

Pairs = list[tuple[float, int]]


def grid(asked: list[tuple[list[float], list[int]]]) -> Query:
    return Query.grid(
        [np.array(times, dtype=float) for times, _ in asked],
        [np.array(channels, dtype=np.int64) for _, channels in asked],
    )


def pairs(query: Query) -> list[Pairs]:
    """Read every series by its offsets."""
    found: list[Pairs] = []
    for start, stop in zip(query.point_offsets[:-1], query.point_offsets[1:], strict=True):
        own: Pairs = []
        for point in range(start, stop):
            first, last = query.channel_offsets[point : point + 2]
            own += [(query.times_hours[point], int(one)) for one in query.channels[first:last]]
        found.append(own)
    return found


@given(ASKED)
def test_a_grid_is_every_channel_at_every_time_as_often_and_in_the_order_asked(
    asked: list[tuple[list[float], list[int]]],
) -> None:
    query = grid(asked)
    expected = [
        [(time, channel) for time in times for channel in channels] for times, channels in asked
    ]
    assert pairs(query) == expected
    assert query.query_counts.tolist() == [len(own) for own in expected]
    assert query.num_queries == sum(map(len, expected))
    assert len(query.times_hours) == sum(len(times) for times, _ in asked)
    owners = [number for number, own in enumerate(expected) for _ in own]
    assert query.series_of_queries.tolist() == owners
    times = query.times_hours[query.points_of_queries]
    assert times.tolist() == [time for own in expected for time, _ in own]


def test_the_points_of_a_cohort_are_its_distinct_times() -> None:
    cohort = random_cohort(5, np.random.default_rng(0), mean_observations=400)
    cohort = cohort.keep(~np.isin(cohort.series_indices, [0, 2, 4]))
    query = Query.at(cohort)
    assert pairs(query) == [
        list(zip(series.times_hours, series.channels, strict=True)) for series in cohort
    ]
    for index, series in enumerate(cohort):
        own = query.times_hours[slice(*query.point_offsets[index : index + 2])]
        np.testing.assert_array_equal(own, np.unique(series.times_hours))
    assert len(query.times_hours) < query.num_queries


def test_a_time_that_two_series_share_is_two_points() -> None:
    names, offsets, channels = tuple("abcd"), np.array([0, 0, 2, 3, 3]), np.array([1, 2, 1])
    cohort = Cohort(names, offsets, np.full(3, 7.0), channels, np.ones(3), np.empty((4, 0)))
    query = Query.at(cohort)
    assert query.point_offsets.tolist() == [0, 0, 1, 2, 2]
    assert pairs(query) == [[], [(7.0, 1), (7.0, 2)], [(7.0, 1)], []]


@given(ASKED, st.data())
def test_what_is_selected_is_what_was_asked_of_the_series(
    asked: list[tuple[list[float], list[int]]], data: st.DataObject
) -> None:
    choice = st.lists(st.integers(0, max(len(asked) - 1, 0)), max_size=5 if asked else 0)
    chosen = data.draw(choice)
    query = grid(asked)
    found = query.select(np.array(chosen, dtype=np.int64))
    assert pairs(found) == [pairs(query)[index] for index in chosen]
    expected = grid([asked[index] for index in chosen])
    for field in fields(Query):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name))


def test_regrouped_points_keep_their_queries() -> None:
    query = grid([([1.0, 2.0], [3, 5]), ([4.0], [6])])
    order = np.array([2, 0, 1])
    found = query.regroup(order, np.array([0, 2, 2, 3]))
    assert pairs(found) == [[(4.0, 6), (1.0, 3), (1.0, 5)], [], [(2.0, 3), (2.0, 5)]]
    np.testing.assert_array_equal(found.channels, query.channels[query.queries_of(order)])


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 5)), max_size=8))
def test_joined_ranges_are_the_ranges_one_after_another(ranges: list[tuple[int, int]]) -> None:
    starts, counts = np.array(ranges, dtype=np.int64).reshape(-1, 2).T
    found = joined_ranges(starts, counts)
    assert found.tolist() == [start + step for start, count in ranges for step in range(count)]
    assert len(found) == offsets_from_counts(counts)[-1]
