"""An artifact recognizes the subjects that it saw, and its file holds none of their identifiers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.subjects import FittedSubjects

IDS = st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=20)


@given(train=IDS, tuning=IDS, held_out=IDS, others=IDS)
def test_who_was_seen_is_recognized_and_nobody_else(
    train: list[str], tuning: list[str], held_out: list[str], others: list[str]
) -> None:
    written = json.dumps(FittedSubjects.of(train, tuning, held_out).to_json())
    found = FittedSubjects.from_json(json.loads(written))
    everybody = [*train, *tuning, *held_out, *others]
    seen = [one in {*train, *tuning} for one in everybody]
    assert found.is_seen(everybody).tolist() == seen
    assert found.is_held_out(everybody).tolist() == [one in held_out for one in everybody]


def test_the_file_names_nobody_and_two_files_cannot_be_joined() -> None:
    ids = ["patient-4711", "Ward 7/Ä"]
    first, second = (FittedSubjects.of(ids, [], []) for _ in range(2))
    text = json.dumps(first.to_json(), ensure_ascii=False)
    assert not any(one in text for one in ids)
    assert not {*first.train} & {*second.train}


def test_a_subject_with_several_series_is_one() -> None:
    assert len(FittedSubjects.of(["a", "a", "b"], [], []).train) == 2


def test_nobody_was_seen_by_a_model_without_data() -> None:
    assert not FittedSubjects.nobody().is_seen(["1", "2"]).any()


@pytest.mark.parametrize("content", [{}, {"salt": "ab", "train": 3, "tuning": [], "held_out": []}])
def test_something_else_is_refused(content: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        FittedSubjects.from_json(content)
