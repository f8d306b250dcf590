"""How long the next Radau step may be: from the errors of the last two.

Gustafsson's predictive controller as in Hairer, Wanner, Solving ODEs II, section IV.8.
"""

import numpy as np
import torch
from torch import Tensor

from model.ode.radau.newton import MAX_ITERATIONS

ERROR_ORDER = 3
_SHRINK_MOST, _GROW_MOST = 0.2, 10.0
_SAFETY = 0.9
# A step that would grow by less keeps its size and with it its factored matrices.
_GROW_LEAST = 1.2
_SMALLEST_ERROR = 1e-10


def next_step_factor(
    error: np.ndarray, last_error: np.ndarray, ratio: np.ndarray, num_iterations: np.ndarray
) -> np.ndarray:
    """Return by what to multiply the step, after an accepted or a rejected one; all are [row].

    `ratio` is the last step over the accepted one before it; where there was none (or to ignore
    it after a jump), `last_error` is infinite. A Newton iteration that was slow makes it smaller.
    """
    error = np.maximum(error, _SMALLEST_ERROR)
    trend = np.minimum((last_error / error) ** (1 / (ERROR_ORDER + 1)) * ratio, 1.0)
    effort = _SAFETY * (2 * MAX_ITERATIONS + 1) / (2 * MAX_ITERATIONS + num_iterations)
    factor = effort * trend * error ** (-1 / (ERROR_ORDER + 1))
    return factor.clip(_SHRINK_MOST, _GROW_MOST)


def hold_small_growth(factor: np.ndarray) -> np.ndarray:
    """Return 1 where the factor is between 1 and 1.2."""
    return np.where((factor >= 1.0) & (factor < _GROW_LEAST), 1.0, factor)


def widening(tolerance: Tensor) -> Tensor:
    """Return by how much the estimate, of order 3, may exceed the tolerance of order 5.

    RADAU5 takes 0.1 tolerance^(2/3) for it. Here it is no less than the tolerance, so that pure
    absolute ones are honored, and no more than ten times it, for the sake of dense output.
    """
    return (0.1 * tolerance ** (-1 / 3)).clamp(1.0, 10.0)


def rms(scaled: Tensor) -> np.ndarray:
    """Return the root mean square of each row, on the host."""
    norm: np.ndarray = torch.linalg.vector_norm(scaled, dim=1).cpu().numpy()
    return norm / scaled.shape[1] ** 0.5
