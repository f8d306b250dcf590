"""Golden series are simulated, plausible, and the same for the same seed."""

import json

import numpy as np
import pytest

from model.data.cleaning import Observations, clean
from model.data.normalization import Normalization
from model.golden import QUANTILE_LEVELS, Golden, Questions, simulate_questions
from tests.catalogues import CHALLENGE
from tests.series import random_cohort

NORMALIZATION = Normalization.fit(random_cohort(60, np.random.default_rng(0)), CHALLENGE)
SEEDS = range(5)


def questions(seed: int) -> Questions:
    return simulate_questions(CHALLENGE, NORMALIZATION, np.random.default_rng(seed))


def golden(seed: int) -> Golden:
    asked = questions(seed)
    generator = np.random.default_rng([seed, 1])
    size = asked.query.num_queries
    return Golden(
        asked,
        generator.normal(size=size),
        generator.exponential(size=size),
        generator.normal(size=(len(QUANTILE_LEVELS), size)),
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_of_a_simulated_series_would_be_dropped(seed: int) -> None:
    context = questions(seed).context
    rows = (context.series_indices, context.times_hours, context.channels, context.values)
    kept = clean(Observations(*rows), CHALLENGE).observations
    np.testing.assert_array_equal(kept.times_hours, context.times_hours)
    np.testing.assert_array_equal(kept.channels, context.channels)
    np.testing.assert_array_equal(kept.values, context.values)
    low, high = np.array([static.plausible_range for static in CHALLENGE.statics]).T
    known = ~np.isnan(context.statics)
    assert np.all((context.statics >= low) | ~known)
    assert np.all((context.statics <= high) | ~known)
    assert known.any()
    assert not known.all()


@pytest.mark.parametrize("seed", SEEDS)
def test_series_differ_in_length_and_are_asked_inside_and_after(seed: int) -> None:
    asked = questions(seed)
    counts = asked.context.counts
    assert 4 <= len(set(counts.tolist())) <= 6
    assert min(counts) == 1
    assert max(counts) > 100
    owner = asked.query.series_of_points
    first = asked.context.times_hours[asked.context.offsets[:-1]][owner]
    last = asked.context.times_hours[asked.context.offsets[1:] - 1][owner]
    times = asked.query.times_hours
    is_inside, is_after = (first <= times) & (times <= last), times > last
    for series in range(len(counts)):
        assert is_inside[owner == series].any()
        assert is_after[owner == series].any()
    assert all(CHALLENGE[int(channel)].is_queryable for channel in asked.query.channels)
    gaps = np.diff(asked.context[len(counts) - 1].times_hours)
    assert len(np.unique(np.round(gaps, 6))) > 10


def test_the_same_seed_simulates_the_same() -> None:
    assert golden(0).to_json() == golden(0).to_json()
    assert golden(0).to_json() != golden(1).to_json()


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_written_is_read(seed: int) -> None:
    written = golden(seed)
    read = Golden.from_json(json.loads(json.dumps(written.to_json(), allow_nan=False)))
    assert read.to_json() == written.to_json()
    np.testing.assert_array_equal(read.questions.context.statics, written.questions.context.statics)


@pytest.mark.parametrize("name", ["mean", "standard_deviation", "quantiles", "context", "query"])
def test_a_part_that_is_missing_or_short_is_refused(name: str) -> None:
    content = golden(0).to_json()
    short = content[name][:-1] if isinstance(content[name], list) else {}
    for broken in ({**content, name: short}, {**content, name: None}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            Golden.from_json(broken)
    del content[name]
    with pytest.raises(KeyError):
        Golden.from_json(content)
