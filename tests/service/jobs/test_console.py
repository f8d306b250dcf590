"""The lines that a job prints where there is no terminal."""

import itertools
import re

import pytest

from service.jobs.command_line.console import JobConsole
from service.jobs.command_line.done import Done
from service.jobs.planning.plan import Plan

PLAN = Plan("", num_rows=4_000, num_subjects=400, ignored={}, chunks=())


def lines_of(capsys: pytest.CaptureFixture[str], *num_subjects: int) -> list[str]:
    console = JobConsole()
    with console:
        for number, subjects in enumerate(num_subjects):
            console.on_chunk(Done(PLAN, number, subjects, 10 * subjects, 0, 0, 0))
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
