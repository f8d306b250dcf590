"""The index of decisions lists every record once, under its number and its title."""

import re

from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "docs" / "decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))


def test_the_numbers_are_those_of_the_files_without_a_gap() -> None:
    numbers = [int(record.name[:4]) for record in RECORDS]
    assert numbers == list(range(1, len(RECORDS) + 1))


def test_every_record_is_listed_by_its_title() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d+) \| \[(.*)\]\((.*)\) \| .+ \|$", index, re.MULTILINE)
    expected = []
    for record in RECORDS:
        heading = re.match(r"# (\d+)\. (.*)", record.read_text(encoding="utf-8"))
        assert heading is not None, record.name
        expected.append((heading[1], heading[2], record.name))
    assert listed == expected


def test_every_record_has_a_date_and_a_status() -> None:
    for record in RECORDS:
        text = record.read_text(encoding="utf-8")
        assert re.search(r"^Date: \d{4}-\d\d-\d\d\. Status: .+", text, re.MULTILINE), record.name
