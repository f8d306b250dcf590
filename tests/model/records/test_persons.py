"""Births and sexes as rows."""

from datetime import date

import pytest

from model.records.persons import Person, birth_microseconds, birth_of_text, person_rows
from model.records.rows import TimeKind

DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1980-02-29", date(1980, 2, 29)),
        ("1980-02", date(1980, 2, 15)),
        ("1980", date(1980, 7, 1)),
        (" 1980-02-29 13:00:00 ", date(1980, 2, 29)),
        ("1980-02-29T13:00:00Z", date(1980, 2, 29)),
        ("1850-01-01", date(1850, 1, 1)),
    ],
)
def test_a_birth_is_a_day_or_the_middle_of_what_is_known(text: str, meant: date) -> None:
    assert birth_of_text(text) == (meant - date(1970, 1, 1)).days * DAY


@pytest.mark.parametrize(
    "text", ["", "80", "1980-13", "1979-02-29", "0000", "01.02.1980", "1980-2-3"]
)
def test_what_is_no_day_is_no_birth(text: str) -> None:
    assert birth_of_text(text) is None


def test_a_year_out_of_reach_is_no_birth() -> None:
    assert birth_microseconds(10**6) is None


def test_what_is_not_known_is_no_row() -> None:
    rows = person_rows([Person("1", None, None), Person("2", 0, None), Person(None, None, "male")])
    batch = rows.batch
    assert batch.column("subject_id").to_pylist() == ["2", None]
    assert batch.column("time_kind").to_pylist() == [TimeKind.DATE, TimeKind.MISSING]
    assert batch.column("text").to_pylist() == [None, "male"]
