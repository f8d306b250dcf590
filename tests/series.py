"""Random but plausible series for tests. Everything comes from the generator that is passed in."""

import numpy as np

from model.data.cleaning import Observations, clean
from model.data.series import AT_OR_ABOVE, AT_OR_BELOW, MEASURED, Cohort, offsets_from_counts
from tests.catalogues import CHALLENGE


def random_cohort(
    num_series: int,
    generator: np.random.Generator,
    *,
    span_hours: float = 48.0,
    mean_observations: int = 60,
    limits_share: float = 0.0,
) -> Cohort:
    """Series with irregular times, values in the middle of the plausible ranges, some statics unknown.

    A share of the values are limits, of either side.
    """
    counts = 3 + generator.poisson(mean_observations, num_series)
    series = np.repeat(np.arange(num_series), counts)
    channels = generator.integers(0, len(CHALLENGE), len(series))
    low, high = np.array([variable.plausible_range for variable in CHALLENGE])[channels].T
    values = low + (high - low) * generator.beta(4, 4, len(series))
    minutes = generator.integers(0, int(60 * span_hours), len(series))
    cleaned = clean(Observations(series, minutes / 60, channels, values), CHALLENGE).observations
    statics = np.array([np.mean(static.plausible_range) for static in CHALLENGE.statics])
    known = generator.random((num_series, len(statics))) < 0.7
    is_limit = generator.random(len(cleaned)) < limits_share
    sides = generator.choice([AT_OR_BELOW, AT_OR_ABOVE], len(cleaned))
    return Cohort(
        tuple(f"s{index}" for index in range(num_series)),
        offsets_from_counts(np.bincount(cleaned.series_indices, minlength=num_series)),
        cleaned.times_hours,
        cleaned.channels,
        cleaned.values,
        np.where(known, statics, np.nan),
        np.where(is_limit, sides, MEASURED).astype(np.int8),
    )
