"""Comparison of answers."""

import numpy as np

from tests.service.requests import Json

# Of a standard deviation: single precision, in another order of additions.
TOLERANCE = 1e-5


def assert_same(one: Json, other: Json, *, names: tuple[str, ...] = ("HR", "MAP")) -> None:
    """Compare two series' answers in units of the standard deviation."""
    for name in names:
        left, right = one["variables"][name], other["variables"][name]
        deviation = np.array(left["standard_deviation"])
        pairs = [(left[key], right[key]) for key in ("mean", "standard_deviation")]
        pairs += [
            (left["quantiles"][level], right["quantiles"][level]) for level in left["quantiles"]
        ]
        for first, second in pairs:
            assert np.max(np.abs(np.subtract(first, second)) / deviation) < TOLERANCE
