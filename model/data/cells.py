"""Observations and places as flat arrays, before anything is said about them."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Complex, Float, Int

from model.data.series import all_measured, censoring_of

BEFORE, AFTER = 0, 1
"""The two sides of a place, in arrays that have an axis for them."""


@dataclass(frozen=True)
class Places:
    """Times of series: (series, time) pairs in any order."""

    series: Int[np.ndarray, " place"]
    times: Float[np.ndarray, " place"]

    @property
    def keys(self) -> Complex[np.ndarray, " place"]:
        """One number for each place, in the order of series and time.

        numpy orders complex numbers by their real part, then by the other: both are exact.
        """
        return self.series + 1j * self.times


@dataclass(frozen=True)
class Cells:
    """Observations: where, which channel, standardized value. Sorted by series and time.

    `censoring` is as in `Cohort`: where the true value lies, seen from `values`.
    """

    places: Places
    channels: Int[np.ndarray, " cell"]
    values: Float[np.ndarray, " cell"]
    censoring: Int[np.ndarray, " cell"] = field(default_factory=all_measured)

    def __post_init__(self) -> None:
        object.__setattr__(self, "censoring", censoring_of(self.censoring, len(self.values)))
