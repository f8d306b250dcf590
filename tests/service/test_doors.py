"""The examples in the docstrings of the doors run."""

import doctest
import importlib
from pathlib import Path

import pytest

from tests.catalogues import CHALLENGE


@pytest.mark.parametrize(
    "name",
    [
        "app",
        "inference.deadline",
        "inference.requests",
        "jobs.account",
        "jobs.command_line.reading_options",
        "jobs.folder",
        "jobs.ledger.ledger",
        "jobs.planning.plan",
        "jobs.request",
        "jobs.submitting",
        "openapi",
        "registry.loading",
        "registry.registry",
        "serialization",
        "server",
        "slices",
        "wire",
    ],
)
def test_the_examples_run(name: str, tiny_artifact: Path, tmp_path: Path) -> None:
    given = {"artifact": tiny_artifact, "catalogue": CHALLENGE, "folder": tmp_path}
    module = importlib.import_module(f"service.{name}")
    found = doctest.testmod(module, extraglobs=given)
    assert found.attempted
    assert not found.failed
