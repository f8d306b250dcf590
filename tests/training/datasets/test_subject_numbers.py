"""The number of a subject is made from its own identifier and from nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.datasets import subject_numbers as module
from training.datasets.errors import DatasetError
from training.datasets.subject_numbers import subject_numbers

IDS = st.one_of(
    st.integers(-(10**18), 10**18).map(str),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)


@given(ids=st.lists(IDS, unique=True), chosen=st.data())
def test_others_do_not_matter(ids: list[str], chosen: st.DataObject) -> None:
    everybody = dict(zip(ids, subject_numbers(ids).tolist(), strict=True))
    assert len(set(everybody.values())) == len(ids)
    some = chosen.draw(st.permutations(ids)) if ids else []
    some = some[: len(some) // 2]
    assert subject_numbers(some).tolist() == [everybody[one] for one in some]


@pytest.mark.parametrize(
    ("text", "is_itself"),
    [("0", True), ("-12", True), ("9" * 18, True), ("9" * 19, False), ("007", False), ("", False)],
)
def test_a_plain_integer_is_its_own_number(text: str, is_itself: bool) -> None:
    (number,) = subject_numbers([text]).tolist()
    assert (str(number) == text) is is_itself
    assert is_itself or number >= 2**62


def test_two_subjects_with_one_hash_are_refused_and_not_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_HASH_BITS", 1)
    with pytest.raises(DatasetError, match="same hash") as caught:
        subject_numbers(["alpha", "beta", "gamma", "delta"])
    assert "alpha" not in str(caught.value)
