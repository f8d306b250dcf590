"""Batches of an epoch: every series once, little padding, the same for every process and run."""

from dataclasses import replace

import numpy as np
import pytest

from model.data.cells import AFTER, BEFORE
from model.data.neighborhoods import Neighborhoods
from model.data.normalization import Normalization
from model.data.series import Cohort
from tests.catalogues import CHALLENGE
from tests.series import random_cohort
from training.config import TrainingConfig
from training.loader import Loader, TrainingBatch
from training.ranks import Rank

COHORT = random_cohort(70, np.random.default_rng(4), mean_observations=40)
NORMALIZATION = Normalization.fit(COHORT, CHALLENGE)
CONFIG = TrainingConfig(seed=1, batch_size=16)


def loader(
    cohort: Cohort = COHORT, config: TrainingConfig = CONFIG, rank: Rank | None = None
) -> Loader:
    return Loader(cohort, CHALLENGE, NORMALIZATION, config, rank or Rank())


def named(number_of_series: int = 70) -> Cohort:
    """Mark every series by its first static, so that it can be found again in a batch."""
    statics = np.full((number_of_series, len(CHALLENGE.statics)), np.nan)
    statics[:, 0] = np.arange(number_of_series)
    return replace(COHORT, statics=statics)


def series_of(made: TrainingBatch) -> list[int]:
    """Return which series of `named` a batch holds."""
    marks = made.batch.statics[:, 0] * NORMALIZATION.static_scale[0] + NORMALIZATION.static_loc[0]
    return np.rint(marks).astype(int).tolist()


def batches(made: Loader, epoch: int) -> list[TrainingBatch]:
    return [batch for batch in made.epoch(epoch) if batch is not None]


def assert_same(found: object, expected: object) -> None:
    for name, value in vars(expected).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(found, name), value, err_msg=name)
        else:
            assert_same(getattr(found, name), value)


def test_an_epoch_has_every_series_once() -> None:
    """Where each keeps a context and a target: all variables are estimated, none hides everything."""
    config = replace(CONFIG, cells_share=1.0, rows_share=0.0, hidden_fraction=(0.5, 0.5))
    made = batches(loader(named(), config), 0)
    found = [series for batch in made for series in series_of(batch)]
    assert sorted(found) == list(range(70))
    assert len(made) == loader().num_batches == 5
    assert max(len(batch.batch.knot_counts) for batch in made) == CONFIG.batch_size


def test_no_series_comes_twice_with_the_default_tasks() -> None:
    found = [series for batch in batches(loader(named()), 0) for series in series_of(batch)]
    assert len(found) == len(set(found)) >= 60


def test_an_epoch_is_decided_by_seed_and_number() -> None:
    first, again = batches(loader(), 3), batches(loader(), 3)
    for found, expected in zip(again, first, strict=True):
        assert_same(found, expected)
    others = (batches(loader(), 4), batches(loader(config=replace(CONFIG, seed=2)), 3))
    for other in others:
        assert not np.array_equal(other[0].values, first[0].values)


@pytest.mark.parametrize("count", [2, 3])
def test_processes_share_a_batch_without_gap_or_overlap(count: int) -> None:
    whole = list(loader(named()).epoch(2))
    shares = [list(loader(named(), rank=Rank(number, count)).epoch(2)) for number in range(count)]
    for number, together in enumerate(whole):
        parts = [share[number] for share in shares]
        assert together is not None
        found = {
            place: series
            for part in parts
            if part is not None
            for place, series in zip(part.places, series_of(part), strict=True)
        }
        assert found == dict(zip(together.places, series_of(together), strict=True))
        num_targets = sum(len(part.values) for part in parts if part is not None)
        assert num_targets == len(together.values)


def test_a_process_without_a_series_of_a_batch_gets_none() -> None:
    few = COHORT.select(range(17))
    shares = [list(loader(few, rank=Rank(number, 4)).epoch(0)) for number in range(4)]
    assert all(len(share) == 2 for share in shares)
    last = [batch for share in shares for batch in share if batch is not None]
    assert any(batch is None for share in shares for batch in share)
    assert sum(len(batch.places) for batch in last) <= 17


def test_less_than_a_tenth_of_the_knots_is_padding() -> None:
    """Stays of two days, of which the default tasks leave contexts of very different lengths."""
    cohort = random_cohort(512, np.random.default_rng(5), mean_observations=60)
    made = loader(cohort, replace(CONFIG, batch_size=32))
    assert 0 < made.padding(0) < 0.1
    counts = [batch.batch.knot_counts for batch in batches(made, 0)]
    assert min(count.min() for count in counts) < 0.3 * max(count.max() for count in counts)
    padded = sum(len(count) * count.max() for count in counts)
    assert 1 - sum(count.sum() for count in counts) / padded < 0.1


@pytest.mark.parametrize("direction", ["smooth", "filter"])
def test_targets_are_standardized_and_lie_in_their_intervals(direction: str) -> None:
    made_batches = batches(loader(config=replace(CONFIG, direction=direction)), 0)
    for made in made_batches:
        assert made.values.shape == made.batch.query_channels.shape
        assert np.all((made.low <= made.values + 1e-6) & (made.values <= made.high + 1e-6))
        assert np.abs(made.values).max() < 20
        is_stepped = ~np.isnan(NORMALIZATION.resolution[made.batch.query_channels])
        assert np.array_equal(made.low < made.high, is_stepped)
    is_future_seen = [
        bool(np.isfinite(made.batch.points.ages[:, AFTER]).any()) for made in made_batches
    ]
    assert any(is_future_seen) == (direction == "smooth")


def test_a_target_is_not_in_its_own_context() -> None:
    """Values are moved apart so that a target that leaked would be recognized."""
    config = replace(CONFIG, cells_share=1.0, rows_share=0.0, hidden_fraction=(0.5, 0.5))
    for made in batches(loader(config=config), 0):
        at = (made.batch.query_points, made.batch.query_channels)
        around: Neighborhoods[np.ndarray] = made.batch.points
        assert np.all(around.ages[:, BEFORE][at] > 0)
        assert np.all(around.ages[:, AFTER][at] > 0)
