"""How long the next Radau step may be: from the errors of the last two.

Gustafsson's predictive controller as in Hairer, Wanner, Solving ODEs II, section IV.8.
"""

import numpy as np

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
