"""The batch against a brute-force reading of the same series."""

import numpy as np
import pytest

from model.data.batch import Batch, Query, build_batch
from model.data.catalogue import CATALOGUE
from model.data.normalization import Normalization
from model.data.series import Cohort, offsets_from_counts
from tests.series import random_cohort

COHORT = random_cohort(7, np.random.default_rng(5))
NORMALIZATION = Normalization.fit(COHORT, CATALOGUE)


def _query(cohort: Cohort, generator: np.random.Generator, num_queries: int = 25) -> Query:
    """Ask at random times, at observation times and outside the record, in no order."""
    times, channels = [], []
    for series in cohort:
        own = generator.choice(series.times_hours, num_queries // 2)
        free = generator.uniform(-3, 60, num_queries - len(own))
        times.append(generator.permutation(np.concatenate([own, free])))
        channels.append(generator.integers(0, len(CATALOGUE), num_queries))
    return Query(
        offsets_from_counts(np.full(len(cohort), num_queries)),
        np.concatenate(times),
        np.concatenate(channels),
    )


QUERY = _query(COHORT, np.random.default_rng(6))


@pytest.fixture(scope="module")
def batch() -> "Batch[np.ndarray]":
    return build_batch(COHORT, QUERY, NORMALIZATION)


def test_neighbors_are_the_nearest_values_on_either_side(batch: "Batch[np.ndarray]") -> None:
    for index, series in enumerate(COHORT):
        values = NORMALIZATION.apply(series.values, series.channels)
        for entry in range(QUERY.offsets[index], QUERY.offsets[index + 1]):
            point, time = batch.query_points[entry], QUERY.times_hours[entry]
            for channel in range(len(CATALOGUE)):
                own = series.channels == channel
                before = np.flatnonzero(own & (series.times_hours <= time))
                after = np.flatnonzero(own & (series.times_hours >= time))
                for found, side, ages in (
                    (before[-1:], batch.last_values, batch.last_ages),
                    (after[:1], batch.next_values, batch.next_ages),
                ):
                    value = values[found[0]] if len(found) else 0.0
                    age = abs(time - series.times_hours[found[0]]) if len(found) else np.inf
                    assert side[point, channel] == pytest.approx(value, abs=1e-6)
                    assert ages[point, channel] == pytest.approx(age, abs=1e-5)


def test_every_query_finds_its_own_time_and_series(batch: "Batch[np.ndarray]") -> None:
    owners = np.repeat(np.arange(len(COHORT)), np.diff(QUERY.offsets))
    origins = COHORT.times_hours[COHORT.offsets[:-1]][owners]
    assert np.array_equal(batch.point_series[batch.query_points], owners)
    np.testing.assert_allclose(
        batch.point_times[batch.query_points], QUERY.times_hours - origins, atol=1e-5
    )


def test_rows_hold_each_observation_once_at_its_own_time(batch: "Batch[np.ndarray]") -> None:
    num_rows = batch.row_times.shape[1]
    series, row = np.divmod(batch.cell_rows, num_rows)
    assert np.array_equal(series, COHORT.series_indices)
    origins = COHORT.times_hours[COHORT.offsets[:-1]][series]
    np.testing.assert_allclose(
        batch.row_times[series, row], COHORT.times_hours - origins, atol=1e-5
    )
    pairs = set(zip(batch.cell_rows, batch.cell_channels, strict=True))
    assert len(pairs) == len(COHORT.values)
    assert [len(np.unique(one.times_hours)) for one in COHORT] == batch.row_counts.tolist()
    assert batch.row_counts.max() == num_rows


def test_nearest_rows_are_those_of_the_neighboring_times(batch: "Batch[np.ndarray]") -> None:
    num_rows = batch.row_times.shape[1]
    for point, (series, time) in enumerate(zip(batch.point_series, batch.point_times, strict=True)):
        times = batch.row_times[series, : batch.row_counts[series]]
        before, after = np.flatnonzero(times <= time), np.flatnonzero(times >= time)
        start = series * num_rows
        assert batch.last_rows[point] == (start + before[-1] if len(before) else -1)
        assert batch.next_rows[point] == (start + after[0] if len(after) else -1)


def test_a_common_shift_of_all_times_changes_no_bit(batch: "Batch[np.ndarray]") -> None:
    for shift in (0.1, 1234.56789, -77.7):
        cohort = Cohort(
            COHORT.subject_ids,
            COHORT.offsets,
            COHORT.times_hours + shift,
            COHORT.channels,
            COHORT.values,
            COHORT.statics,
        )
        query = Query(QUERY.offsets, QUERY.times_hours + shift, QUERY.channels)
        shifted = build_batch(cohort, query, NORMALIZATION)
        for name in vars(batch):
            assert np.array_equal(getattr(batch, name), getattr(shifted, name)), name


def test_a_series_alone_has_the_features_that_it_has_in_company(batch: "Batch[np.ndarray]") -> None:
    for index in range(len(COHORT)):
        chosen = slice(QUERY.offsets[index], QUERY.offsets[index + 1])
        query = Query(
            np.array([0, chosen.stop - chosen.start]),
            QUERY.times_hours[chosen],
            QUERY.channels[chosen],
        )
        alone = build_batch(COHORT.select([index]), query, NORMALIZATION)
        points = batch.query_points[chosen]
        for name in ("last_values", "last_ages", "next_values", "next_ages", "point_times"):
            mine = getattr(alone, name)[alone.query_points]
            assert np.array_equal(mine, getattr(batch, name)[points]), name


def test_an_empty_series_is_refused() -> None:
    empty = COHORT.keep(COHORT.series_indices != 3)
    with pytest.raises(ValueError, match="at least one observation"):
        build_batch(empty, QUERY, NORMALIZATION)
    with pytest.raises(ValueError, match="as many series"):
        build_batch(COHORT.select([0, 1]), QUERY, NORMALIZATION)
