"""Neighborhoods against a slow reading with dictionaries, and who may influence whom."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.cells import Cells, Places
from model.data.neighborhoods import Neighborhoods, neighborhoods

NUM_CHANNELS = 4
NUMBERS = ("values", "ages", "means", "counts")
FIELDS = (*NUMBERS, "censoring")


@dataclass(frozen=True)
class Case:
    """Cells of a few series and places of the same series, in any order."""

    cells: Cells
    places: Places

    def describe(self, *, is_causal: bool) -> "Neighborhoods[np.ndarray]":
        """Return what is under test."""
        return neighborhoods(self.cells, self.places, NUM_CHANNELS, is_causal=is_causal)


def _sides(values: np.ndarray) -> np.ndarray:
    """Return a side that is known from the value alone; 0 for the zero of what is absent."""
    return np.where(values == 0, 0, np.floor(1000 * values) % 3 - 1)


def _cells(places: Places, channels: np.ndarray, values: np.ndarray) -> Cells:
    return Cells(places, channels, values, _sides(values).astype(np.int8))


def random_case(seed: int, *, num_series: int = 4) -> Case:
    """Coarse times, so that places, cells and channels often fall together."""
    generator = np.random.default_rng(seed)
    size = generator.integers(1, 40)
    keys = np.stack(
        [
            np.concatenate([np.arange(num_series), generator.integers(0, num_series, size)]),
            generator.integers(0, 12, num_series + size),
            generator.integers(0, NUM_CHANNELS, num_series + size),
        ]
    )
    series, times, channels = np.unique(keys, axis=1)
    num_places = generator.integers(1, 30)
    return Case(
        _cells(Places(series, times / 2), channels, generator.standard_normal(len(series))),
        Places(
            generator.integers(0, num_series, num_places),
            generator.integers(-4, 16, num_places) / 2,
        ),
    )


def slow_neighborhoods(case: Case, *, is_causal: bool) -> "Neighborhoods[np.ndarray]":
    """Look at every cell of a series for every place and channel."""
    records: dict[tuple[int, int], dict[float, float]] = {}
    cells = case.cells
    for series, time, channel, value in zip(
        cells.places.series, cells.places.times, cells.channels, cells.values, strict=True
    ):
        records.setdefault((series, channel), {})[time] = value
    rows = [
        [
            _slow_channel(records.get((series, channel), {}), time, is_causal=is_causal)
            for channel in range(NUM_CHANNELS)
        ]
        for series, time in zip(case.places.series, case.places.times, strict=True)
    ]
    last, last_age, following, next_age, means, counts = np.array(rows).transpose(2, 0, 1)
    values, ages = np.stack([last, following], 1), np.stack([last_age, next_age], 1)
    sides = _sides(values).astype(np.int8)
    values, ages, means, counts = (
        array.astype(np.float32) for array in (values, ages, means, counts)
    )
    return Neighborhoods(values, ages, means, counts, sides)


def _slow_channel(record: dict[float, float], now: float, *, is_causal: bool) -> list[float]:
    visible = {time: value for time, value in record.items() if time <= now or not is_causal}
    last = max((time for time in visible if time <= now), default=None)
    following = None if is_causal else min((t for t in visible if t >= now), default=None)
    found: list[float] = []
    for time in (last, following):
        found += [0.0, np.inf] if time is None else [visible[time], abs(now - time)]
    return [*found, sum(visible.values()) / max(len(visible), 1), len(visible)]


def assert_same(
    found: "Neighborhoods[np.ndarray]", expected: "Neighborhoods[np.ndarray]", *, atol: float = 0.0
) -> None:
    for name in FIELDS:
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=0, atol=atol, err_msg=name
        )


def rows_of(found: "Neighborhoods[np.ndarray]", rows: np.ndarray) -> "Neighborhoods[np.ndarray]":
    return found.map(lambda array: array[rows])


@pytest.mark.parametrize("is_causal", [False, True])
@given(seed=st.integers(0, 2**32 - 1))
def test_they_are_those_of_a_slow_search(is_causal: bool, seed: int) -> None:
    case = random_case(seed)
    found = case.describe(is_causal=is_causal)
    assert_same(found, slow_neighborhoods(case, is_causal=is_causal), atol=1e-6)
    assert {getattr(found, name).dtype for name in NUMBERS} == {np.dtype(np.float32)}
    assert found.censoring.dtype == np.int8


def test_a_value_at_the_place_itself_is_last_and_next() -> None:
    cells = Cells(
        Places(np.zeros(3, dtype=int), np.array([1.0, 2.0, 3.0])),
        np.zeros(3, dtype=int),
        np.array([10.0, 20.0, 60.0]),
    )
    case = Case(cells, Places(np.zeros(1, dtype=int), np.array([2.0])))
    found = case.describe(is_causal=False)
    assert found.values[0, :, 0].tolist() == [20.0, 20.0]
    assert found.ages[0, :, 0].tolist() == [0.0, 0.0]
    assert (found.means[0, 0], found.counts[0, 0]) == (30.0, 3.0)
    causal = case.describe(is_causal=True)
    assert causal.values[0, :, 0].tolist() == [20.0, 0.0]
    assert causal.ages[0, :, 0].tolist() == [0.0, np.inf]
    assert (causal.means[0, 0], causal.counts[0, 0]) == (15.0, 2.0)


@pytest.mark.parametrize("is_causal", [False, True])
def test_another_place_changes_nothing_about_a_place(is_causal: bool) -> None:
    for seed in range(20):
        case, more = random_case(seed), random_case(seed + 1000).places
        joined = Places(
            np.concatenate([more.series, case.places.series]),
            np.concatenate([more.times, case.places.times]),
        )
        whole = replace(case, places=joined).describe(is_causal=is_causal)
        _, found = whole.split(len(more.series))
        assert_same(found, case.describe(is_causal=is_causal))


def test_causally_nothing_after_a_place_changes_anything_about_it() -> None:
    num_changed = 0
    for seed in range(30):
        case = random_case(seed)
        now = float(case.places.times[0])
        rows = np.flatnonzero(case.places.times <= now)
        is_later = case.cells.places.times > now
        perturbed = replace(
            case.cells, values=np.where(is_later, 1e3 - case.cells.values, case.cells.values)
        )
        removed = Cells(
            Places(case.cells.places.series[~is_later], case.cells.places.times[~is_later]),
            case.cells.channels[~is_later],
            case.cells.values[~is_later],
            case.cells.censoring[~is_later],
        )
        expected = rows_of(case.describe(is_causal=True), rows)
        # Removed cells of earlier series stand in the running sums: equal but for rounding.
        for cells, atol in ((perturbed, 1e-12), (removed, 1e-6)):
            if len(cells.values):
                found = replace(case, cells=cells).describe(is_causal=True)
                assert_same(rows_of(found, rows), expected, atol=atol)
        num_changed += int(is_later.any())
    assert num_changed > 20


def test_causally_the_future_of_a_single_series_changes_no_bit() -> None:
    for seed in range(30):
        case = random_case(seed, num_series=1)
        now = float(np.median(case.places.times))
        rows = np.flatnonzero(case.places.times <= now)
        values = np.where(case.cells.places.times > now, 1e6, case.cells.values)
        found = replace(case, cells=replace(case.cells, values=values)).describe(is_causal=True)
        assert_same(rows_of(found, rows), rows_of(case.describe(is_causal=True), rows))


@pytest.mark.parametrize("is_causal", [False, True])
def test_a_series_alone_has_the_surroundings_that_it_has_in_company(is_causal: bool) -> None:
    for seed in range(20):
        case = random_case(seed)
        together = case.describe(is_causal=is_causal)
        for series in np.unique(case.places.series):
            cells, places = case.cells.places.series == series, case.places.series == series
            alone = Case(
                Cells(
                    Places(np.zeros(cells.sum(), dtype=int), case.cells.places.times[cells]),
                    case.cells.channels[cells],
                    case.cells.values[cells],
                    case.cells.censoring[cells],
                ),
                Places(np.zeros(places.sum(), dtype=int), case.places.times[places]),
            )
            expected = rows_of(together, np.flatnonzero(places))
            assert_same(alone.describe(is_causal=is_causal), expected, atol=1e-6)


def test_no_places_have_no_neighborhoods() -> None:
    case = replace(random_case(0), places=Places(np.zeros(0, dtype=int), np.zeros(0)))
    for is_causal in (False, True):
        assert case.describe(is_causal=is_causal).means.shape == (0, NUM_CHANNELS)
