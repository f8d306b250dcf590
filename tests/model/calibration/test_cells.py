"""Where a query lies: the gap to its own variable's nearest observation, the side, the cell."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.calibration import GAP_EDGES_HOURS, Surroundings
from model.calibration.cells import CELLS_PER_CHANNEL, parent_groups
from model.data.query import Query
from model.data.series import offsets_from_counts
from tests.catalogues import CHALLENGE
from tests.series import random_cohort

NUM_CHANNELS = len(CHALLENGE)


def random_query(num_series: int, generator: np.random.Generator) -> Query:
    counts = generator.integers(0, 12, num_series)
    total = int(counts.sum())
    return Query(
        offsets_from_counts(counts),
        np.round(generator.uniform(-5, 70, total), 3),
        np.arange(total + 1),
        generator.integers(0, NUM_CHANNELS, total),
    )


@given(st.integers(0, 2**32 - 1))
def test_the_gap_is_the_distance_to_the_nearest_own_observation(seed: int) -> None:
    generator = np.random.default_rng(seed)
    cohort = random_cohort(6, generator)
    query = random_query(6, generator)
    found = Surroundings.of(cohort, query, NUM_CHANNELS)
    position = 0
    for index, series in enumerate(cohort):
        for place in range(*query.query_offsets[index : index + 2]):
            time = query.times_hours[query.points_of_queries[place]]
            channel = query.channels[place]
            own = series.times_hours[series.channels == channel]
            expected = np.min(np.abs(own - time), initial=np.inf)
            assert found.gap_hours[position] == pytest.approx(expected, abs=1e-8)
            assert found.is_after[position] == (time > series.times_hours[-1])
            position += 1
    assert position == len(found.cells)


def test_a_series_does_not_depend_on_the_others() -> None:
    generator = np.random.default_rng(1)
    cohort, query = random_cohort(5, generator), random_query(5, generator)
    together = Surroundings.of(cohort, query, NUM_CHANNELS)
    for index in range(5):
        own = slice(*query.query_offsets[index : index + 2])
        alone = query.select(np.array([index]))
        found = Surroundings.of(cohort.select([index]), alone, NUM_CHANNELS)
        np.testing.assert_array_equal(found.gap_hours, together.gap_hours[own])
        np.testing.assert_array_equal(found.cells, together.cells[own])


def test_no_query_has_no_surroundings() -> None:
    cohort = random_cohort(2, np.random.default_rng(2))
    none = Query.grid([np.empty(0)] * 2, [np.array([14])] * 2)
    assert len(Surroundings.of(cohort, none, NUM_CHANNELS).cells) == 0


def test_every_variable_side_and_gap_has_a_cell_of_its_own() -> None:
    gaps = [0.5, *(edge + 0.1 for edge in GAP_EDGES_HOURS), np.inf]
    channels, sides, hours = (
        part.ravel() for part in np.meshgrid(np.arange(3), [False, True], gaps, indexing="ij")
    )
    cells = Surroundings(channels, hours, sides).cells
    np.testing.assert_array_equal(cells, np.arange(3 * CELLS_PER_CHANNEL))


def test_a_gap_on_an_edge_belongs_to_the_shorter_bin() -> None:
    edges = np.array(GAP_EDGES_HOURS)
    at = Surroundings(np.zeros(3, dtype=np.int64), edges, np.zeros(3, dtype=bool)).cells
    below = Surroundings(np.zeros(3, dtype=np.int64), edges - 1e-6, np.zeros(3, dtype=bool)).cells
    np.testing.assert_array_equal(at, below)


def test_groups_are_nested_from_all_cells_to_one() -> None:
    groups = parent_groups(4 * CELLS_PER_CHANNEL)
    assert [len(np.unique(group)) for group in groups] == [1, 4, 8, 4 * CELLS_PER_CHANNEL]
    for wide, narrow in pairwise(groups):
        parents = {(int(a), int(b)) for a, b in zip(narrow, wide, strict=True)}
        assert len(parents) == len(np.unique(narrow))
