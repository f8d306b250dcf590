"""Observations and places as flat arrays, before anything is said about them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Places:
    """Times of series: (series, time) pairs in any order."""

    series: Int[np.ndarray, " place"]
    times: Float[np.ndarray, " place"]


@dataclass(frozen=True)
class Cells:
    """Observations: where, which channel, standardized value. Sorted by series and time."""

    places: Places
    channels: Int[np.ndarray, " cell"]
    values: Float[np.ndarray, " cell"]
