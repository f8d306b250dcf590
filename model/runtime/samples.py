"""Joint samples of a series' answers: one course of the latent state, one course of the noise.

Each sample has a posterior draw of its own, and a noise that is a random function of time for each
variable (`courses`), so that the errors at two and at three hours go together. Its value is the
draw's quantile at the noise's level. Calibration moves the value to the level that has the asked
coverage, in the distribution that the summaries are made of: over many samples the shares below
the quantiles of an answer are the quantiles' levels.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from model.calibration import Calibration, Surroundings
from model.runtime.courses import normal_cdf
from model.runtime.inversion import invert_mixture
from model.runtime.mixture import LaplaceMixture

_EXTREME_LEVEL = 1e-9
# Samples of queries that are moved together: tens of megabytes.
_MAX_NUMBERS = 2**21


@dataclass(frozen=True)
class Draws:
    """The components of each sample's own posterior draw, in standardized units."""

    loc: Float[np.ndarray, "sample component query"]
    scale: Float[np.ndarray, "sample component query"]
    weight: Float[np.ndarray, "sample component query"]


def joint_samples(
    draws: Draws,
    courses: Float[np.ndarray, "sample query"],
    mixture: LaplaceMixture,
    calibration: Calibration,
    surroundings: Surroundings,
) -> Float[np.ndarray, "sample query"]:
    """Return samples in standardized units; `courses` are standard normal."""
    levels = np.clip(normal_cdf(courses), _EXTREME_LEVEL, 1 - _EXTREME_LEVEL)
    result = np.empty(levels.shape)
    num_rows = max(1, _MAX_NUMBERS // max(1, mixture.loc.size))
    for start in range(0, len(levels), num_rows):
        rows = slice(start, start + num_rows)
        parts = (draws.loc[rows], draws.scale[rows], draws.weight[rows])
        loc, scale, weight = (part.swapaxes(0, 1).reshape(part.shape[1], -1) for part in parts)
        raw = invert_mixture(levels[rows].reshape(1, -1), loc, scale, weight)
        reached = mixture.cdf(raw.reshape(levels[rows].shape))
        moved = calibration.levels(reached, surroundings)
        guess = raw.reshape(moved.shape)
        result[rows] = invert_mixture(moved, mixture.loc, mixture.scale, mixture.weight, guess)
    return result
