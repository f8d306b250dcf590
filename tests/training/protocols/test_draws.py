"""The draws of the published code, against numbers that its libraries gave."""

import pytest

from training.protocols.draws import train_test_split


def test_a_split_is_that_of_scikit_learn() -> None:
    # scikit-learn: train_test_split(range(10), test_size=.2, random_state=42).
    split = train_test_split(10, seed=42, test_size=0.2)
    assert split.test.tolist() == [8, 1]
    assert split.train.tolist() == [5, 0, 7, 2, 9, 4, 3, 6]


def test_a_share_of_train_is_rounded_down_and_a_share_of_test_up() -> None:
    assert len(train_test_split(9, seed=0, train_size=0.8).train) == 7
    assert len(train_test_split(9, seed=0, test_size=0.15).test) == 2
    with pytest.raises(ValueError, match="train_size or test_size"):
        train_test_split(9, seed=0)
