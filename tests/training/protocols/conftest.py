"""Records for the protocols: made up, a sample of real ones, and sets A and B."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.protocols.challenge import write_made_up, write_real

NUM_MADE_UP = 80


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a made-up set A of 80 records; not to be changed by a test."""
    folder = tmp_path_factory.mktemp("made-up")
    write_made_up(folder, np.random.default_rng(0), num_records=NUM_MADE_UP)
    return folder


@pytest.fixture(scope="session")
def sample(data_root: Path) -> Path:
    """Folder with the set-a of 50 real records."""
    return data_root / "physionet2012" / "raw-sample"


@pytest.fixture(scope="session")
def sets_a_and_b(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with all 8,000 real records as text files."""
    folder = tmp_path_factory.mktemp("challenge")
    write_real(data_root / "physionet2012", folder)
    return folder
