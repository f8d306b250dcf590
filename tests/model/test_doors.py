"""The examples in the docstrings of the doors of `model` run; `model.files` has a test of its own."""

import doctest
import importlib
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "name",
    [
        "artifact",
        "data.batch",
        "data.catalogue",
        "data.catalogue_table",
        "data.cleaning",
        "data.series",
        "data.units",
        "data.variables",
        "data.windows",
        "metrics",
        "runtime.backends",
    ],
)
def test_the_examples_run(name: str, tiny_artifact: Path) -> None:
    module = importlib.import_module(f"model.{name}")
    found = doctest.testmod(module, extraglobs={"artifact": tiny_artifact})
    assert found.attempted
    assert not found.failed
