"""The lines that a job prints where there is no terminal."""

import itertools
import re
from pathlib import Path

import pytest

from service.jobs.account import Account, NotUsed, Remarked
from service.jobs.command_line.console import JobConsole
from service.jobs.command_line.done import Done
from service.jobs.planning.plan import Plan

PLAN = Plan("", num_rows=4_000, num_subjects=400, ignored={}, remarks={}, chunks=())


def lines_of(capsys: pytest.CaptureFixture[str], *num_subjects: int) -> list[str]:
    console = JobConsole()
    with console:
        for number, subjects in enumerate(num_subjects):
            console.on_chunk(Done(PLAN, number, subjects, 10 * subjects, 0, 0, Account()))
    return capsys.readouterr().err.splitlines()


def test_every_line_says_how_far_it_is_and_how_long_it_will_take(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, *middle, last = lines_of(capsys, 100, 101, 102, 200, 400)
    assert first == " 25 %  100/400 subjects  1000 rows  0 quarantined"
    (half,) = middle  # one subject is no percent
    assert re.fullmatch(
        r" 50 %  200/400 subjects  2000 rows  0 quarantined  [\d.]+ subjects/s  0:00:00 left", half
    )
    assert last.startswith("100 %  400/400 subjects  4000 rows")
    assert "left" not in last


def test_rows_are_told_when_there_are_a_quarter_more(capsys: pytest.CaptureFixture[str]) -> None:
    console = JobConsole()
    with console:
        for num_rows in range(0, 1_001, 10):
            console.on_read(num_rows)
    numbers = [
        int(line.removesuffix(" rows read")) for line in capsys.readouterr().err.splitlines()
    ]
    assert numbers[0] == 10
    assert len(numbers) < 25
    assert all(after > 1.25 * before for before, after in itertools.pairwise(numbers))


def test_what_was_not_used_and_what_was_remarked_is_told_at_the_end(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    account = Account(
        (NotUsed("duplicate", "HR", 2), NotUsed("missing_subject", "", 30)),
        (Remarked("unit_assumed", "HR", "", "no unit was given", 7),),
    )
    JobConsole().on_end(Done(PLAN, 1, 400, 4_000, 0, 0, account), tmp_path)
    assert capsys.readouterr().err.splitlines()[1:] == [
        "30 of 4000 input rows not used: missing_subject",
        "2 of 4000 input rows not used: duplicate HR",
        "7 input rows, unit_assumed: no unit was given",
    ]
