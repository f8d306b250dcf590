"""Own records against a slow search, and who may influence whom."""

from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.cells import AFTER, BEFORE, Cells, Places
from model.data.own_records import OwnRecords, own_records

NUM_CHANNELS = 3
NUM_NEIGHBORS = 3
NUM_SERIES = 4
FIELDS = [field.name for field in fields(OwnRecords)]


@dataclass(frozen=True)
class Case:
    """Cells of a few series, and queries about the same series in any order."""

    cells: Cells
    asked: Places
    channels: np.ndarray

    def describe(self, *, is_causal: bool) -> "OwnRecords[np.ndarray]":
        """Return what is under test."""
        return own_records(
            self.cells,
            self.asked,
            self.channels,
            num_neighbors=NUM_NEIGHBORS,
            is_causal=is_causal,
        )


def _sides(values: np.ndarray) -> np.ndarray:
    """Return a side that is known from the value alone; 0 for the zero of what is absent."""
    return np.where(values == 0, 0, np.floor(1000 * values) % 3 - 1)


def _cells(places: Places, channels: np.ndarray, values: np.ndarray) -> Cells:
    return Cells(places, channels, values, _sides(values).astype(np.int8))


def random_case(seed: int) -> Case:
    """Coarse times, so that cells and queries often fall together; sometimes no cell at all."""
    generator = np.random.default_rng(seed)
    size, num_queries = generator.integers(0, 60), generator.integers(1, 30)
    series, times, channels = np.unique(
        np.stack([generator.integers(0, high, size) for high in (NUM_SERIES, 12, NUM_CHANNELS)]),
        axis=1,
    )
    return Case(
        _cells(Places(series, times / 2), channels, generator.standard_normal(len(series))),
        Places(
            generator.integers(0, NUM_SERIES, num_queries),
            generator.integers(-4, 16, num_queries) / 2,
        ),
        generator.integers(0, NUM_CHANNELS, num_queries),
    )


def slow_records(case: Case, *, is_causal: bool) -> "OwnRecords[np.ndarray]":
    """Look at every cell for every query."""
    cells = case.cells
    rows = []
    for series, now, channel in zip(
        case.asked.series, case.asked.times, case.channels, strict=True
    ):
        own = (cells.places.series == series) & (cells.channels == channel)
        own &= (cells.places.times <= now) | (not is_causal)
        times, values = cells.places.times[own], cells.values[own]
        before, after = np.flatnonzero(times <= now)[::-1], np.flatnonzero(times >= now)
        after = after[: 0 if is_causal else None]
        sides: list[tuple[np.ndarray, np.ndarray]] = []
        for side in (before, after):
            nearest = side[:NUM_NEIGHBORS]
            absent = NUM_NEIGHBORS - len(nearest)
            ages = np.append(np.abs(now - times[nearest]), [np.inf] * absent)
            sides.append((np.append(values[nearest], [0.0] * absent), ages))
        has_any = len(values) > 0
        moments = [values.mean(), len(values), values.std()] if has_any else [0.0, 0, 0.0]
        rows.append([*(np.stack(arrays) for arrays in zip(*sides, strict=True)), *moments])
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return OwnRecords(*(*columns, _sides(columns[0])))


def assert_same(found: "OwnRecords[np.ndarray]", expected: "OwnRecords[np.ndarray]") -> None:
    for name in FIELDS:
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=0, atol=1e-6, err_msg=name
        )


@pytest.mark.parametrize("is_causal", [False, True])
@given(seed=st.integers(0, 2**32 - 1))
def test_they_are_those_of_a_slow_search(is_causal: bool, seed: int) -> None:
    case = random_case(seed)
    assert_same(case.describe(is_causal=is_causal), slow_records(case, is_causal=is_causal))


def test_a_value_at_the_time_of_the_query_is_on_both_sides() -> None:
    cells = Cells(
        Places(np.zeros(3, dtype=int), np.array([1.0, 2.0, 4.0])),
        np.zeros(3, dtype=int),
        np.array([10.0, 20.0, 60.0]),
    )
    case = Case(cells, Places(np.zeros(1, dtype=int), np.array([2.0])), np.zeros(1, dtype=int))
    found = case.describe(is_causal=False)
    assert found.values[0, BEFORE].tolist() == [20.0, 10.0, 0.0]
    assert found.ages[0, BEFORE].tolist() == [0.0, 1.0, np.inf]
    assert found.values[0, AFTER].tolist() == [20.0, 60.0, 0.0]
    assert found.ages[0, AFTER].tolist() == [0.0, 2.0, np.inf]
    assert (found.means[0], found.counts[0]) == (30.0, 3.0)
    causal = case.describe(is_causal=True)
    assert not np.isfinite(causal.ages[:, AFTER]).any()
    assert (causal.means[0], causal.counts[0], causal.spreads[0]) == (15.0, 2.0, 5.0)


@pytest.mark.parametrize("is_causal", [False, True])
def test_another_query_changes_nothing(is_causal: bool) -> None:
    for seed in range(20):
        case = random_case(seed)
        whole = case.describe(is_causal=is_causal)
        alone = replace(
            case,
            asked=Places(case.asked.series[:1], case.asked.times[:1]),
            channels=case.channels[:1],
        )
        assert_same(alone.describe(is_causal=is_causal), whole.map(lambda array: array[:1]))


@pytest.mark.parametrize("is_causal", [False, True])
def test_other_series_and_channels_change_nothing(is_causal: bool) -> None:
    num_changed = 0
    for seed in range(20):
        case = random_case(seed)
        series, channel = case.asked.series[0], case.channels[0]
        cells = case.cells
        is_other = (cells.places.series != series) | (cells.channels != channel)
        num_changed += int(is_other.sum())
        perturbed = replace(cells, values=np.where(is_other, 1e3, cells.values))
        found = replace(case, cells=perturbed).describe(is_causal=is_causal)
        expected = case.describe(is_causal=is_causal)
        first = [array.map(lambda part: part[:1]) for array in (found, expected)]
        assert_same(*first)
    assert num_changed > 0


def test_causally_nothing_later_changes_anything() -> None:
    num_changed = 0
    for seed in range(30):
        case = random_case(seed)
        cells, now = case.cells, case.asked.times[0]
        is_later = cells.places.times > now
        num_changed += int(is_later.sum())
        perturbed = replace(cells, values=np.where(is_later, 1e3, cells.values))
        found = replace(case, cells=perturbed).describe(is_causal=True)
        first = [
            array.map(lambda part: part[:1]) for array in (found, case.describe(is_causal=True))
        ]
        # Running sums over a large value leave a rounding behind.
        assert_same(*first)
    assert num_changed > 0


def test_the_spread_of_equal_values_is_exactly_zero() -> None:
    times = np.arange(50.0)
    cells = Cells(Places(np.zeros(50, dtype=int), times), np.zeros(50, dtype=int), np.full(50, 0.1))
    case = Case(cells, Places(np.zeros(1, dtype=int), np.array([7.5])), np.zeros(1, dtype=int))
    assert case.describe(is_causal=False).spreads[0] == 0.0
