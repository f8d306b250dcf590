"""The examples in the docstrings of `model.records` run as they stand, in every module that has one."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import model.records

FOLDER = Path(model.records.__file__).parent
MODULES = sorted(
    ".".join(file.relative_to(FOLDER).with_suffix("").parts)
    for file in FOLDER.rglob("*.py")
    if ">>>" in file.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    found = doctest.testmod(import_module(f"model.records.{name}"))
    assert found.attempted > 0
    assert found.failed == 0


def test_the_doors_have_examples() -> None:
    doors = {"reading", "rows", "times", "subjects", "comparators", "codes", "placing", "pieces"}
    doors |= {f"sources.{name}" for name in ("opening", "fhir", "meds", "omop", "challenge")}
    assert doors <= set(MODULES)
