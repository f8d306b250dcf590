"""The batch against a brute-force reading of the same series."""

from dataclasses import replace

import numpy as np
import pytest

from model.data.batch import LARGEST_INPUT, SOLVER_BLOCK, Batch, build_batch, num_knots
from model.data.cells import AFTER, BEFORE
from model.data.neighborhoods import Neighborhoods
from model.data.normalization import Normalization
from model.data.own_records import OwnRecords
from model.data.query import Query
from model.data.series import Cohort, offsets_from_counts
from tests.catalogues import CHALLENGE
from tests.series import random_cohort

COHORT = random_cohort(7, np.random.default_rng(5))
NORMALIZATION = Normalization.fit(COHORT, CHALLENGE)


def _query(cohort: Cohort, generator: np.random.Generator, num_points: int = 25) -> Query:
    """Ask at random times, at observation times and outside the record, in no order."""
    times = []
    for series in cohort:
        own = generator.choice(series.times_hours, num_points // 2)
        free = generator.uniform(-3, 60, num_points - len(own))
        times.append(generator.permutation(np.concatenate([own, free])))
    counts = generator.integers(1, 4, num_points * len(cohort))
    return Query(
        offsets_from_counts(np.full(len(cohort), num_points)),
        np.concatenate(times),
        offsets_from_counts(counts),
        generator.integers(0, len(CHALLENGE), counts.sum()),
    )


QUERY = _query(COHORT, np.random.default_rng(6))


@pytest.fixture(scope="module")
def batch() -> "Batch[np.ndarray]":
    return build_batch(COHORT, QUERY, NORMALIZATION)


def _assert_nearest(
    around: "Neighborhoods[np.ndarray]", place: int, index: int, time: float
) -> None:
    """Compare what is said about a place with a search through its series."""
    series = COHORT[index]
    values = NORMALIZATION.apply(series.values, series.channels)
    for channel in range(len(CHALLENGE)):
        own = series.channels == channel
        before = np.flatnonzero(own & (series.times_hours <= time))
        after = np.flatnonzero(own & (series.times_hours >= time))
        for found, side, ages in (
            (before[-1:], around.values[:, BEFORE], around.ages[:, BEFORE]),
            (after[:1], around.values[:, AFTER], around.ages[:, AFTER]),
        ):
            value = values[found[0]] if len(found) else 0.0
            age = abs(time - series.times_hours[found[0]]) if len(found) else np.inf
            assert side[place, channel] == pytest.approx(value, abs=1e-6)
            assert ages[place, channel] == pytest.approx(age, abs=1e-5)
        mean = values[own].mean() if own.any() else 0.0
        assert around.means[place, channel] == pytest.approx(mean, abs=1e-6)
        assert around.counts[place, channel] == own.sum()


def test_points_know_the_nearest_values_on_either_side(batch: "Batch[np.ndarray]") -> None:
    for index in range(len(COHORT)):
        for point in range(*QUERY.point_offsets[index : index + 2]):
            _assert_nearest(batch.points, point, index, QUERY.times_hours[point])


def test_knots_know_the_nearest_values_on_either_side(batch: "Batch[np.ndarray]") -> None:
    for knot in range(0, len(batch.knot_series), 7):
        index = int(batch.knot_series[knot])
        origin = COHORT[index].times_hours[0]
        _assert_nearest(batch.knots, knot, index, origin + batch.knot_places[knot])


@pytest.mark.parametrize("knot_hours", [0.5, 1.0, 6.0])
def test_knots_cover_the_context_and_no_more(knot_hours: float) -> None:
    made = build_batch(COHORT, QUERY, NORMALIZATION, knot_hours=knot_hours)
    assert np.all(np.diff(made.knot_series) >= 0)
    for index, series in enumerate(COHORT):
        span = series.times_hours[-1] - series.times_hours[0]
        mine = made.knot_places[made.knot_series == index]
        assert mine.tolist() == list(range(made.knot_counts[index]))
        assert mine[-1] * knot_hours >= span - 1e-6
        assert (mine[-1] - 1) * knot_hours < span


def test_the_number_of_knots_is_exact_at_whole_knots() -> None:
    spans = np.array([0.0, 0.5, 1.0, 1.0 + 1 / 3600, 24.0, 0.1 * 30])
    assert num_knots(spans, 1.0).tolist() == [1, 2, 2, 3, 25, 4]
    assert num_knots(spans[[0, 5]], 0.1).tolist() == [1, 31]


def test_knots_depend_on_the_context_alone(batch: "Batch[np.ndarray]") -> None:
    other = build_batch(COHORT, _query(COHORT, np.random.default_rng(60), 3), NORMALIZATION)
    _assert_equal(other.knots, batch.knots)
    assert np.array_equal(other.knot_counts, batch.knot_counts)


def test_every_query_finds_its_own_time_and_series(batch: "Batch[np.ndarray]") -> None:
    owners = QUERY.series_of_points
    origins = COHORT.times_hours[COHORT.offsets[:-1]][owners]
    assert np.array_equal(batch.point_series, owners)
    assert np.array_equal(batch.query_points, QUERY.points_of_queries)
    np.testing.assert_allclose(batch.point_times, QUERY.times_hours - origins, atol=1e-5)
    assert np.array_equal(batch.query_channels, QUERY.channels)


def test_a_point_is_a_time_of_a_series_as_it_is_asked(batch: "Batch[np.ndarray]") -> None:
    """One that is asked twice is two points, about which the same is said."""
    assert len(batch.point_times) == len(QUERY.times_hours) < QUERY.num_queries
    _, first, owners = np.unique(
        np.stack([QUERY.series_of_points, QUERY.times_hours]),
        axis=1,
        return_index=True,
        return_inverse=True,
    )
    assert len(first) < len(QUERY.times_hours)
    _assert_equal(_rows(batch.points, first[owners]), batch.points)


def test_arrays_have_the_sizes_and_types_of_their_levels(batch: "Batch[np.ndarray]") -> None:
    knots, points, channels = len(batch.knot_series), len(batch.point_times), len(CHALLENGE)
    assert knots == batch.knot_counts.sum()
    for around, size in ((batch.knots, knots), (batch.points, points)):
        for name, array in vars(around).items():
            has_sides = name in ("values", "ages", "censoring")
            assert array.shape == ((size, 2, channels) if has_sides else (size, channels)), name
            assert array.dtype == (np.int8 if name == "censoring" else np.float32), name
    assert batch.statics.shape == batch.known_statics_mask.shape == COHORT.statics.shape
    assert np.array_equal(batch.known_statics_mask, ~np.isnan(COHORT.statics))
    assert np.all(batch.statics[~batch.known_statics_mask] == 0)
    blocks = batch.solver_blocks
    assert len(blocks) == batch.point_times.max() // (SOLVER_BLOCK) + 1
    assert np.array_equal(blocks, np.arange(len(blocks)))
    for name in ("knot_counts", "knot_series", "knot_places", "query_points", "query_channels"):
        assert getattr(batch, name).dtype == np.int64, name


def test_the_same_is_said_of_a_query_however_points_are_gone_through() -> None:
    times, channels, size = np.array([1.0, 2.5, 2.0]), np.array([3, 5]), len(COHORT)
    by_point = Query.grid([times] * size, [channels] * size)
    by_channel = Query(
        offsets_from_counts(np.full(size, 6)),
        np.tile(np.tile(times, 2), size),
        np.arange(6 * size + 1),
        np.tile(np.repeat(channels, 3), size),
    )
    expected, found = (
        build_batch(COHORT, query, NORMALIZATION) for query in (by_point, by_channel)
    )
    assert len(expected.point_times) == 3 * size
    assert len(found.point_times) == 6 * size
    order = np.arange(6 * size).reshape(size, 3, 2).swapaxes(1, 2).ravel()
    np.testing.assert_array_equal(found.query_channels, expected.query_channels[order])
    points = expected.query_points[order]
    for name in ("point_series", "point_times"):
        np.testing.assert_array_equal(
            getattr(found, name)[found.query_points], getattr(expected, name)[points]
        )
    _assert_equal(_rows(found.points, found.query_points), _rows(expected.points, points))
    _assert_equal(found.records, expected.records.map(lambda array: array[order]))
    _assert_equal(found.knots, expected.knots)


def test_a_map_reaches_every_array(batch: "Batch[np.ndarray]") -> None:
    doubled = batch.map(lambda array: array.astype(float) * 2)
    for name, array in vars(batch).items():
        if isinstance(array, Neighborhoods | OwnRecords):
            for part, values in vars(array).items():
                np.testing.assert_array_equal(getattr(getattr(doubled, name), part), 2.0 * values)
        else:
            np.testing.assert_array_equal(getattr(doubled, name), array * 2.0)


def test_no_value_is_larger_than_the_largest_input() -> None:
    values = COHORT.values.copy()
    values[::5] *= 1e6
    wild = build_batch(replace(COHORT, values=values), QUERY, NORMALIZATION)
    for around in (wild.knots, wild.points):
        for array in (around.values, around.means):
            assert np.abs(array).max() <= LARGEST_INPUT
    assert wild.points.values.max() == LARGEST_INPUT


def test_causally_nothing_is_said_about_the_future() -> None:
    causal = build_batch(COHORT, QUERY, NORMALIZATION, is_causal=True)
    for around in (causal.knots, causal.points):
        assert np.all(np.isinf(around.ages[:, AFTER]))
        assert np.all(around.values[:, AFTER] == 0)
    smooth = build_batch(COHORT, QUERY, NORMALIZATION)
    np.testing.assert_array_equal(causal.points.values[:, BEFORE], smooth.points.values[:, BEFORE])
    assert np.all(causal.points.counts <= smooth.points.counts)
    assert np.any(causal.points.counts < smooth.points.counts)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("shift", [0.1, 1234.56789, -77.7])
def test_a_common_shift_of_all_times_changes_no_bit(shift: float, is_causal: bool) -> None:
    made = build_batch(COHORT, QUERY, NORMALIZATION, is_causal=is_causal)
    cohort = replace(COHORT, times_hours=COHORT.times_hours + shift)
    query = replace(QUERY, times_hours=QUERY.times_hours + shift)
    _assert_equal(build_batch(cohort, query, NORMALIZATION, is_causal=is_causal), made)


def test_a_series_alone_has_the_features_that_it_has_in_company(batch: "Batch[np.ndarray]") -> None:
    for index in range(len(COHORT)):
        query = QUERY.select(np.array([index]))
        alone = build_batch(COHORT.select([index]), query, NORMALIZATION)
        mine = slice(*QUERY.point_offsets[index : index + 2])
        assert np.array_equal(alone.point_times, batch.point_times[mine])
        _assert_equal(alone.points, _rows(batch.points, mine))
        _assert_equal(alone.knots, _rows(batch.knots, np.flatnonzero(batch.knot_series == index)))


def test_an_empty_series_is_refused() -> None:
    empty = COHORT.keep(COHORT.series_indices != 3)
    with pytest.raises(ValueError, match="at least one observation"):
        build_batch(empty, QUERY, NORMALIZATION)
    with pytest.raises(ValueError, match="as many series"):
        build_batch(COHORT.select([0, 1]), QUERY, NORMALIZATION)


def test_no_queries_are_no_points() -> None:
    nothing = Query.grid([np.empty(0)] * len(COHORT), [np.array([3])] * len(COHORT))
    made = build_batch(COHORT, nothing, NORMALIZATION)
    assert made.points.means.shape == (0, len(CHALLENGE))
    assert len(made.query_channels) == 0


def _rows(
    around: "Neighborhoods[np.ndarray]", rows: np.ndarray | slice
) -> "Neighborhoods[np.ndarray]":
    return around.map(lambda array: array[rows])


def _assert_equal(found: object, expected: object) -> None:
    """Compare two batches or neighborhoods bit by bit."""
    for name, array in vars(expected).items():
        if isinstance(array, Neighborhoods | OwnRecords):
            _assert_equal(getattr(found, name), array)
        else:
            np.testing.assert_array_equal(getattr(found, name), array, err_msg=name)
