"""The random draws of the published code, repeated without its libraries."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True)
class Split:
    """Positions of train and test, in the order in which they were drawn."""

    train: Int[np.ndarray, " train"]
    test: Int[np.ndarray, " test"]


def train_test_split(
    count: int, *, seed: int, train_size: float | None = None, test_size: float | None = None
) -> Split:
    """Split `count` positions as scikit-learn's function of this name with `random_state=seed`.

    One of the two sizes is given: a share of train is rounded down, a share of test up. The test
    positions are the first of `RandomState(seed).permutation(count)`, train are the rest.
    """
    if train_size is not None:
        num_test = count - math.floor(train_size * count)
    elif test_size is not None:
        num_test = math.ceil(test_size * count)
    else:
        raise ValueError("train_test_split: give train_size or test_size")
    order = legacy_generator(seed).permutation(count)
    return Split(order[num_test:], order[:num_test])


def legacy_generator(seed: int) -> np.random.RandomState:
    """Return numpy's generator of 2019: only it repeats the draws of the published code."""
    return np.random.RandomState(seed)
