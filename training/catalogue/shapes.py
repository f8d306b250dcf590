"""What the values of a variable look like: their step, their skew, the range that holds them.

All of it is about many values together. Numbers that leave this module are rounded outward or to
three digits, so that none is the value of one patient.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.units import Conversion

_STEPS: Final = tuple(10.0**exponent for exponent in range(3, -6, -1))
_SHARE_ON_STEP: Final = 0.99
_MIN_VALUES: Final = 30
_OUTER: Final = (0.001, 0.999)
# What programs write for "not known".
_SENTINELS: Final = (-1.0, *(sign * (10.0**n - 1) for n in range(2, 8) for sign in (1, -1)))
_FAR: Final = 3.0

_MIN_MINORITY: Final = 0.02
_MAX_BETWEEN: Final = 0.2
_FACTOR_TOLERANCE: Final = 0.15
# Pressures in mm[Hg] and cm[H2O] cannot be told apart by their values.
_MIN_FACTOR: Final = 1.7


def rounded(value: float, digits: int = 3) -> float:
    """Round to a number of significant digits.

    Examples
    --------
    >>> rounded(123.456)
    123.0
    """
    return float(f"{value:.{digits - 1}e}") if math.isfinite(value) else value


def outward(value: float, *, is_up: bool) -> float:
    """Round to two significant digits, upward or downward.

    Examples
    --------
    >>> outward(151.3, is_up=True), outward(-37.2, is_up=False), outward(0.0213, is_up=False)
    (160.0, -38.0, 0.021)
    """
    if value == 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    steps = value / step
    whole = math.ceil(steps - 1e-9) if is_up else math.floor(steps + 1e-9)
    return rounded(whole * step, 6)


def quartiles(values: Float[np.ndarray, " value"]) -> tuple[float, float, float]:
    """Return the quartiles, rounded."""
    low, median, high = (rounded(one) for one in np.quantile(values, (0.25, 0.5, 0.75)).tolist())
    return low, median, high


def step_of(values: Float[np.ndarray, " value"]) -> float | None:
    """Return the coarsest decimal step that nearly all values are multiples of, or None.

    Examples
    --------
    >>> step_of(np.array([36.5, 37.0, 38.2])), step_of(np.array([100.0, 70.0]))
    (0.1, 10.0)
    """
    for step in _STEPS:
        steps = values / step
        near = np.abs(steps - np.rint(steps)) <= 1e-6 * np.maximum(1.0, np.abs(steps))
        if len(values) and np.mean(near) > _SHARE_ON_STEP:
            return rounded(step, 1)
    return None


def sentinel_of(values: Float[np.ndarray, " value"]) -> float | None:
    """Return a number that seems to say "not known": frequent, and far from all others."""
    for sentinel in _SENTINELS:
        is_it = values == sentinel
        others = values[~is_it]
        if np.sum(is_it) < _MIN_VALUES or len(others) < _MIN_VALUES:
            continue
        low, high = np.quantile(others, _OUTER)
        if (sentinel < 0 <= others.min()) or sentinel > _FAR * max(high, 0.0) > 0:
            return sentinel
        if sentinel < low - _FAR * (high - low):
            return sentinel
    return None


def log_offset_of(values: Float[np.ndarray, " value"]) -> float | None:
    """Return the offset of a log transform where the values are skewed and not negative, else None.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> log_offset_of(rng.lognormal(size=1000)), log_offset_of(rng.normal(100, 10, 1000))
    (0.0, None)
    """
    if len(values) < _MIN_VALUES or values.min() < 0:
        return None
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95)).tolist()
    if high <= low or (high + low - 2 * middle) / (high - low) < 0.25 or high < 3 * low:
        return None
    if values.min() > 0:
        return 0.0
    return rounded(float(np.median(values[values > 0])) / 4, 1)


def range_of(values: Float[np.ndarray, " value"], log_offset: float | None) -> tuple[float, float]:
    """Return a range beyond the 0.1 and 99.9 % quantiles, with a margin, rounded outward.

    The margin is half of what lies between them, on the logarithmic scale where the values are
    modeled on it. Values that are never negative get no negative range.
    """
    low = float(np.quantile(values, _OUTER[0], method="lower"))
    high = float(np.quantile(values, _OUTER[1], method="higher"))
    if low == high:
        low, high = float(values.min()), float(values.max())
    if log_offset is not None and low > 0:
        margin = min(max(2.0, math.sqrt(high / low)), 100.0)
        return outward(low / margin, is_up=False), outward(high * margin, is_up=True)
    margin = max(0.5 * (high - low), 0.1 * abs(high)) or 1.0
    bottom, top = outward(low - margin, is_up=False), outward(high + margin, is_up=True)
    return (max(bottom, 0.0) if low >= 0 else bottom), (min(top, 0.0) if low < high <= 0 else top)


@dataclass(frozen=True)
class Mixture:
    """Two modes of one variable, in the unit that it came in: their medians and the share of one."""

    low: float
    high: float
    unit: str
    high_share: float


def mixture_of(
    values: Float[np.ndarray, " value"],
    subjects: Int[np.ndarray, " value"],
    units: Iterable[tuple[str, Conversion]],
    least_subjects: int,
) -> Mixture | None:
    """Return the two modes of values that seem to come in two units, or None.

    Parameters
    ----------
    units
        Other units that the variable may come in, each with its conversion to the unit of `values`.
    least_subjects
        Subjects that each mode must have.
    """
    is_positive = values > 0
    values, subjects = values[is_positive], subjects[is_positive]
    split = _valley(values)
    if split is None:
        return None
    is_high = values > split
    if min(len(np.unique(subjects[side])) for side in (is_high, ~is_high)) < least_subjects:
        return None
    low, high = float(np.median(values[~is_high])), float(np.median(values[is_high]))
    for unit, change in units:
        for start, end in ((low, high), (high, low)):
            met = change(start)
            if met > 0 and abs(math.log(met / end)) < _tolerance(values, is_high, start == low):
                return Mixture(rounded(low, 2), rounded(high, 2), unit, float(np.mean(is_high)))
    return None


def _tolerance(
    values: Float[np.ndarray, " value"], is_high: Bool[np.ndarray, " value"], to_high: bool
) -> float:
    """Return how far, in logarithms, a converted mode may lie from the other one."""
    own = np.log(values[is_high if to_high else ~is_high])
    low, high = np.quantile(own, (0.25, 0.75))
    return float(min(max(high - low, 0.02), _FACTOR_TOLERANCE))


def _valley(values: Float[np.ndarray, " value"]) -> float | None:
    """Return a value between two modes of the logarithms, or None where there is one mode."""
    if len(values) < _MIN_VALUES:
        return None
    logs = np.sort(np.log(values))
    counts = np.arange(1, len(logs))
    sums = np.cumsum(logs)
    means = sums[:-1] / counts
    rests = (sums[-1] - sums[:-1]) / (len(logs) - counts)
    # Otsu: the split with the greatest variance between the two sides.
    between = counts * (len(logs) - counts) * (means - rests) ** 2
    place = int(np.argmax(between)) + 1
    minority = min(place, len(logs) - place)
    if minority < _MIN_MINORITY * len(logs):
        return None
    low, high = float(np.median(logs[:place])), float(np.median(logs[place:]))
    third = (high - low) / 3
    middle = np.searchsorted(logs, [low + third, high - third])
    if high - low < math.log(_MIN_FACTOR) or middle[1] - middle[0] > _MAX_BETWEEN * minority:
        return None
    return math.exp((low + high) / 2)
