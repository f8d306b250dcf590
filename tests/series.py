"""Random but plausible series for tests. Everything comes from the generator that is passed in."""

import numpy as np

from model.data.cleaning import Observations, clean
from model.data.series import Cohort, offsets_from_counts
from tests.catalogues import CHALLENGE


def random_cohort(
    num_series: int,
    generator: np.random.Generator,
    *,
    span_hours: float = 48.0,
    mean_observations: int = 60,
) -> Cohort:
    """Series with irregular times, values in the middle of the plausible ranges, some statics unknown."""
    counts = 3 + generator.poisson(mean_observations, num_series)
    series = np.repeat(np.arange(num_series), counts)
    channels = generator.integers(0, len(CHALLENGE), len(series))
    low, high = np.array([variable.plausible_range for variable in CHALLENGE])[channels].T
    values = low + (high - low) * generator.beta(4, 4, len(series))
    minutes = generator.integers(0, int(60 * span_hours), len(series))
    cleaned = clean(Observations(series, minutes / 60, channels, values), CHALLENGE).observations
    statics = np.array([np.mean(static.plausible_range) for static in CHALLENGE.statics])
    known = generator.random((num_series, len(statics))) < 0.7
    return Cohort(
        tuple(f"s{index}" for index in range(num_series)),
        offsets_from_counts(np.bincount(cleaned.series_indices, minlength=num_series)),
        cleaned.times_hours,
        cleaned.channels,
        cleaned.values,
        np.where(known, statics, np.nan),
    )
