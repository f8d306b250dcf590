"""What the floor is computed from: sizes of products, multiply-adds, busy time."""

import numpy as np
import pytest

from tests.benchmarks.predictor.busy import covered
from tests.benchmarks.predictor.kernels import Product, product


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("outer", [(), (5,), (2, 3)])
def test_the_size_of_a_product_is_found_from_one_factor_and_the_result(
    outer: tuple[int, ...], is_turned: bool
) -> None:
    rows, inner, columns = 7, 11, 13
    left = np.zeros((*outer, rows, inner))
    result = left @ np.zeros((*outer, inner, columns))
    shown = np.swapaxes(left, -1, -2) if is_turned else left
    found = product(shown.shape, result.shape)
    count = int(np.prod(outer, dtype=int))
    assert found == Product(count, rows, inner, columns)
    assert found.multiply_adds == count * rows * inner * columns


def test_time_that_two_kernels_share_counts_once() -> None:
    generator = np.random.default_rng(3)
    for _ in range(50):
        starts = generator.integers(0, 60, size=8)
        ends = starts + generator.integers(0, 20, size=8)
        is_busy = np.zeros(100, dtype=bool)
        for start, end in zip(starts, ends, strict=True):
            is_busy[start:end] = True
        pairs = zip(map(float, starts), map(float, ends), strict=True)
        assert covered(list(pairs)) == is_busy.sum()
