"""The floor: the time of the network's multiply-adds alone, at the rate that this machine reaches.

Two rates of float32 products in numpy on one thread. The highest: 512 x 512 matrices, which stay in
the cache. And that of matrices of the sizes that the network really multiplies, kind by kind; the
small ones are far from the highest rate whoever multiplies them. Neither counts reading a weight
from memory, an activation function or a copy: no program for this network is faster than the first.
"""

import time
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.predictor.kernels import Kernels, Product

_SECONDS = 0.05
_HIGHEST = Product(count=1, rows=512, inner=512, columns=512)
_NUM_SIZES = 24
_MOST_NUMBERS = 2**22


@dataclass(frozen=True)
class Floor:
    """Seconds of the multiply-adds of one request, at either rate, and the rates in 1/s."""

    highest: float
    of_these_sizes: float
    highest_rate: float
    rate_of_these_sizes: float

    @classmethod
    def of(cls, kernels: Kernels) -> "Floor":
        """Measure for the products of a profile.

        The sizes with the most multiply-adds are measured, the rest is taken at their mean rate.
        """
        work = {one: one.multiply_adds * times for one, times in kernels.products.items()}
        largest = sorted(work, key=lambda one: work[one], reverse=True)[:_NUM_SIZES]
        seconds = sum(work[one] / rate(one) for one in largest)
        mean_rate = sum(work[one] for one in largest) / seconds
        highest = max(rate(_HIGHEST) for _ in range(3))
        asked = kernels.multiply_adds
        return cls(asked / highest, asked / mean_rate, highest, mean_rate)


def rate(one: Product) -> float:
    """Return multiply-adds per second of a product, the best of many."""
    # Of many equal small matrices a part says it all.
    count = max(1, min(one.count, _MOST_NUMBERS // (one.rows * (one.inner + one.columns))))
    generator = np.random.default_rng(0)
    left = generator.standard_normal((count, one.rows, one.inner), dtype=np.float32)
    # Weights are shared by all; the factors of attention are not, and have an outer length.
    shared = 1 if one.count == 1 else count
    right = generator.standard_normal((shared, one.inner, one.columns), dtype=np.float32)
    result = np.empty((count, one.rows, one.columns), dtype=np.float32)
    best = np.inf
    end = time.perf_counter() + _SECONDS
    while time.perf_counter() < end or not np.isfinite(best):
        started = time.perf_counter()
        np.matmul(left, right, out=result)
        best = min(best, time.perf_counter() - started)
    return count * one.rows * one.inner * one.columns / best
