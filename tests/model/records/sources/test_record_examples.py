"""The examples in the docstrings of the readers of records run as they stand."""

import doctest
from importlib import import_module

import pytest

_MODULES = ["persons", "choosing"]
_SOURCES = ["fhir", "fhir_bundle", "fhir_values", "meds", "omop", "challenge", "sides"]


@pytest.mark.parametrize("name", [*_MODULES, *(f"sources.{one}" for one in _SOURCES)])
def test_examples_run(name: str) -> None:
    found = doctest.testmod(import_module(f"model.records.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
