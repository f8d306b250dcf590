"""The examples in the docstrings of the doors of `training` run."""

import doctest
import importlib
from pathlib import Path

import pytest

from training.datasets.simulated_dataset import write_simulated


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set."""
    directory = tmp_path_factory.mktemp("data") / "cohort"
    write_simulated(directory, num_subjects=40, seed=0)
    return directory


@pytest.mark.parametrize(
    "names",
    [
        ("config",),
        ("splits",),
        ("trained_variables",),
        ("catalogue.checking",),
        ("catalogue.from_source",),
        ("datasets.importing",),
        ("datasets.meds",),
        ("datasets.simulated_dataset",),
        ("datasets.subject_numbers",),
        # The second judges what the first has fitted.
        ("fit", "evaluate"),
    ],
    ids="-".join,
)
def test_the_examples_run(names: tuple[str, ...], data: Path, tmp_path: Path) -> None:
    for name in names:
        module = importlib.import_module(f"training.{name}")
        found = doctest.testmod(module, extraglobs={"data": data, "folder": tmp_path})
        assert found.attempted
        assert not found.failed
