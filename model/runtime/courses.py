"""Random courses: observation noise as a function of time, so that samples of one series are joint.

Errors of a forecast at two and at three hours are not independent. The noise of one sample is a
random function g(t) with correlation exp(-|t - s| / tau) and standard normal margins, approximated
by random Fourier features (Rahimi & Recht 2007; the spectral density of the exponential kernel is
Cauchy). It is drawn once for each (seed, sample, channel) and evaluated where asked: adding a query
changes no other sample, and neither does another series.
"""

import numpy as np
from jaxtyping import Float, Int

_NUM_FEATURES = 64
# Cosines that are held at once: 32 MB.
_MAX_WAVES = 2**22


def normal_courses(
    times_hours: Float[np.ndarray, " query"],
    channels: Int[np.ndarray, " query"],
    *,
    error_hours: Float[np.ndarray, " channel"],
    num_samples: int,
    seed: int,
) -> Float[np.ndarray, "sample query"]:
    """Return g(t) for each sample and query."""
    result = np.empty((num_samples, len(times_hours)))
    for channel in np.unique(channels):
        generator = np.random.default_rng([seed, int(channel)])
        # Sample by sample, so that asking for more samples leaves the first ones as they are.
        uniform = generator.random((num_samples, 2, _NUM_FEATURES))
        frequencies = np.tan(np.pi * (uniform[:, 0] - 0.5)) / error_hours[channel]
        phases = 2 * np.pi * uniform[:, 1]
        asked = np.flatnonzero(channels == channel)
        for piece in np.array_split(asked, 1 + asked.size * frequencies.size // _MAX_WAVES):
            waves = np.cos(frequencies[:, None] * times_hours[piece][:, None] + phases[:, None])
            result[:, piece] = np.sqrt(2 / _NUM_FEATURES) * waves.sum(axis=-1)
    return result


def normal_cdf(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return the standard normal distribution function, to 7.5e-8 (Abramowitz & Stegun, 26.2.17)."""
    t = 1 / (1 + 0.2316419 * np.abs(values))
    series = (0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429)
    tail = sum(factor * t**power for power, factor in enumerate(series, start=1))
    tail = tail * np.exp(-(values**2) / 2) / np.sqrt(2 * np.pi)
    return np.where(values >= 0, 1 - tail, tail)
