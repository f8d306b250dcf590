"""Standardized units: both directions, and the edges."""

import json

import numpy as np

from model.data.catalogue import CATALOGUE
from model.data.normalization import Normalization
from tests.series import random_cohort

COHORT = random_cohort(40, np.random.default_rng(2))
NORMALIZATION = Normalization.fit(COHORT, CATALOGUE)


def test_inverting_undoes_applying() -> None:
    standardized = NORMALIZATION.apply(COHORT.values, COHORT.channels)
    np.testing.assert_allclose(
        NORMALIZATION.invert(standardized, COHORT.channels), COHORT.values, rtol=1e-12
    )


def test_the_training_cohort_has_mean_zero_and_deviation_one() -> None:
    standardized = NORMALIZATION.apply(COHORT.values, COHORT.channels)
    for channel in range(len(CATALOGUE)):
        values = standardized[COHORT.channels == channel]
        assert abs(values.mean()) < 1e-9
        assert abs(values.std() - 1) < 1e-9


def test_no_answer_leaves_the_plausible_range() -> None:
    channels = np.arange(len(CATALOGUE))
    low, high = np.array([variable.plausible_range for variable in CATALOGUE]).T
    for extreme in (-1e9, -30.0, 30.0, 1e9):
        values = NORMALIZATION.invert(np.full(len(channels), extreme), channels)
        assert np.all((values >= low) & (values <= high))


def test_a_variable_without_values_keeps_a_usable_scale() -> None:
    none = COHORT.keep(COHORT.channels != 4)
    fitted = Normalization.fit(none, CATALOGUE)
    assert np.all(np.isfinite(fitted.loc))
    assert np.all(fitted.scale > 0)


def test_unknown_statics_become_the_mean() -> None:
    known = NORMALIZATION.apply_statics(COHORT.statics)
    assert np.all(known[np.isnan(COHORT.statics)] == 0)
    assert np.all(np.isfinite(known))


def test_json_round_trip_is_exact() -> None:
    text = json.dumps(NORMALIZATION.to_json(), allow_nan=False)
    again = Normalization.from_json(json.loads(text))
    for name in vars(NORMALIZATION):
        np.testing.assert_array_equal(getattr(again, name), getattr(NORMALIZATION, name))
