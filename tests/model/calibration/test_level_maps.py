"""Level maps: coverage on new subjects, monotone levels, pooling of thin cells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from model.calibration import KNOTS, LevelMaps
from model.calibration.cells import CELLS_PER_CHANNEL
from model.calibration.level_maps import POOLING_SUBJECTS

NOMINAL = (0.5, 0.8, 0.9, 0.95)


def transforms_of(values: np.ndarray, spread: float, shift: float) -> np.ndarray:
    """What a model with a wrong location and spread says about standard normal values."""
    return stats.norm.cdf(values, shift, spread)


def zeros(size: int) -> np.ndarray:
    return np.zeros(size, dtype=np.int64)


def apply(maps: LevelMaps, levels: np.ndarray, cell: int = 0) -> np.ndarray:
    return maps.apply(levels[:, None], np.array([cell]))[:, 0]


@pytest.mark.parametrize(
    ("spread", "shift"), [(0.5, 0.0), (2.0, 0.0), (1.0, 0.7), (0.6, -0.5)], ids=str
)
@pytest.mark.parametrize("nominal", NOMINAL)
def test_new_subjects_are_covered_as_asked(spread: float, shift: float, nominal: float) -> None:
    # Both the table and the judged share vary by chance: four standard deviations of their sum.
    generator = np.random.default_rng(3)
    fitted, judged = 1500, 20_000
    values = generator.standard_normal(fitted + judged)
    transforms = transforms_of(values, spread, shift)
    maps = LevelMaps.fit(transforms[:fitted], zeros(fitted), np.arange(fitted), CELLS_PER_CHANNEL)
    ends = np.array([(1 - nominal) / 2, (1 + nominal) / 2])
    low, high = apply(maps, ends)
    inside = (transforms[fitted:] >= low) & (transforms[fitted:] <= high)
    deviation = np.sqrt(nominal * (1 - nominal) * (1 / fitted + 1 / judged))
    assert abs(inside.mean() - nominal) < 4 * deviation + 0.005
    before = np.mean((transforms[fitted:] >= ends[0]) & (transforms[fitted:] <= ends[1]))
    assert abs(inside.mean() - nominal) < abs(before - nominal)


def test_a_handful_of_subjects_is_covered_on_average_over_their_draws() -> None:
    # The law of order statistics, seen without pooling: the k-th of n stands at k / (n + 1).
    generator = np.random.default_rng(4)
    values = transforms_of(generator.standard_normal((600, 20)), 0.5, 0.3)
    covered = [
        new <= np.interp(0.95, KNOTS, _unpooled(own))
        for own, new in zip(values[:, :19], values[:, 19], strict=True)
    ]
    assert np.mean(covered) == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 600))


def _unpooled(transforms: np.ndarray) -> np.ndarray:
    """Take out what pooling mixes in: all four groups hold these targets, and so does each weight."""
    size = len(transforms)
    maps = LevelMaps.fit(transforms, zeros(size), np.arange(size), CELLS_PER_CHANNEL)
    left = (POOLING_SUBJECTS / (size + POOLING_SUBJECTS)) ** 4
    return (maps.table[0] - left * KNOTS) / (1 - left)


def test_a_right_model_is_left_alone() -> None:
    uniform = np.random.default_rng(5).random(4000)
    maps = LevelMaps.fit(uniform, zeros(4000), np.arange(4000), CELLS_PER_CHANNEL)
    # The Kolmogorov distance of 4000 uniform numbers is above 1.95 / sqrt(4000) once in a thousand.
    assert np.abs(maps.table[0] - KNOTS).max() < 1.95 / np.sqrt(4000)


def test_mirrored_transforms_have_mirrored_levels() -> None:
    generator = np.random.default_rng(6)
    transforms, subjects = generator.beta(2, 5, 300), generator.integers(0, 40, 300)
    one = LevelMaps.fit(transforms, zeros(300), subjects, CELLS_PER_CHANNEL)
    other = LevelMaps.fit(1 - transforms, zeros(300), subjects, CELLS_PER_CHANNEL)
    np.testing.assert_allclose(other.table, 1 - one.table[:, ::-1], atol=1e-6)


def test_a_subject_with_many_targets_is_one_subject() -> None:
    # A thousand targets of two subjects prove little: the table stays near the identity.
    transforms = np.full(1000, 0.9)
    maps = LevelMaps.fit(transforms, zeros(1000), np.arange(1000) % 2, CELLS_PER_CHANNEL)
    many = LevelMaps.fit(transforms, zeros(1000), np.arange(1000), CELLS_PER_CHANNEL)
    assert abs(apply(maps, np.array([0.5]))[0] - 0.5) < 0.15
    assert apply(many, np.array([0.5]))[0] > 0.89


def test_a_thin_cell_borrows_from_its_variable_and_an_empty_variable_from_all() -> None:
    generator = np.random.default_rng(7)
    size = 2000
    transforms = generator.beta(5, 2, size)
    cells = np.where(np.arange(size) < 3, 1, 0)
    maps = LevelMaps.fit(transforms, cells, np.arange(size), 2 * CELLS_PER_CHANNEL)
    full, thin, empty_cell, empty_variable = (maps.table[row] for row in (0, 1, 9, 12))
    np.testing.assert_allclose(thin, full, atol=0.06)
    np.testing.assert_allclose(empty_cell, full, atol=0.01)
    np.testing.assert_allclose(empty_variable, full, atol=0.01)
    assert np.abs(empty_variable - KNOTS).max() > 0.2


def test_cells_of_one_variable_may_differ() -> None:
    generator = np.random.default_rng(8)
    transforms = np.concatenate([generator.beta(5, 2, 3000), generator.beta(2, 5, 3000)])
    cells = np.repeat([0, 1], 3000)
    maps = LevelMaps.fit(transforms, cells, np.arange(6000), CELLS_PER_CHANNEL)
    for cell, law in ((0, stats.beta(5, 2)), (1, stats.beta(2, 5))):
        found = apply(maps, np.array([0.1, 0.5, 0.9]), cell)
        np.testing.assert_allclose(found, law.ppf([0.1, 0.5, 0.9]), atol=0.03)


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 2 * CELLS_PER_CHANNEL - 1), st.integers(0, 5)),
        max_size=40,
    ),
    st.lists(st.floats(0.0001, 0.9999), min_size=2, max_size=6),
)
def test_any_targets_make_maps_that_never_cross(
    targets: list[tuple[float, int, int]], levels: list[float]
) -> None:
    columns = list(zip(*targets, strict=True)) if targets else [(), (), ()]
    maps = LevelMaps.fit(
        np.array(columns[0], dtype=float),
        np.array(columns[1], dtype=np.int64),
        np.array(columns[2], dtype=np.int64),
        2 * CELLS_PER_CHANNEL,
    )
    asked = np.repeat(np.sort(levels)[:, None], len(maps.table), axis=1)
    found = maps.apply(asked, np.arange(len(maps.table)))
    assert np.all(np.diff(found, axis=0) >= 0)
    assert np.all((found > 0) & (found < 1))


def test_identity_maps_change_no_level() -> None:
    levels = np.random.default_rng(9).uniform(0.0001, 0.9999, 50)
    np.testing.assert_allclose(apply(LevelMaps.identity(1), levels), levels, atol=1e-15)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda table: table[:, :-1], "levels a cell"),
        (lambda table: table[:, ::-1], "cell 0 must rise"),
        (lambda table: np.where(table == table[1, 40], np.nan, table), "must rise"),
        (lambda table: table * 0.9, "must rise"),
    ],
)
def test_a_table_that_is_no_map_is_refused(spoil: object, expected: str) -> None:
    assert callable(spoil)
    with pytest.raises(ValueError, match=expected):
        LevelMaps(spoil(LevelMaps.identity(2).table))
