"""Fixtures that every test may use.

Randomness is not here: a test makes its own generator from a seed that it names.
"""

import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import settings

# Many small tensors: a second thread only waits for the first. Read when torch is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parent.parent

# A deadline measures the machine, not the code; fixed examples make a red build repeatable.
settings.register_profile("lacuna", deadline=None, derandomize=True)
settings.load_profile("lacuna")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real data sets (LACUNA_DATA, by default ../shared/data); skips where absent."""
    root = Path(os.environ.get("LACUNA_DATA", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no real data at {root}; set LACUNA_DATA to the folder that holds it")
    return root


@pytest.fixture(scope="session")
def tiny_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of an artifact with random weights; not to be changed by a test."""
    # Imported here: torch takes seconds, and most tests do without.
    from tests.artifacts import write_tiny_artifact  # noqa: PLC0415

    directory = tmp_path_factory.mktemp("artifact") / "tiny"
    write_tiny_artifact(directory)
    return directory


@pytest.fixture(scope="session")
def tiny_onnx_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same artifact with its graph; exporting takes half a minute."""
    # Once for all processes of the tests, whose temporary folders lie in one.
    is_alone = "PYTEST_XDIST_WORKER" not in os.environ
    own = tmp_path_factory.getbasetemp()
    directory = (own if is_alone else own.parent) / "onnx" / "tiny"
    directory.parent.mkdir(exist_ok=True)
    with (directory.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory.parent / "done").exists():
            _write_with_graph(directory)
            (directory.parent / "done").touch()
    return directory


def _write_with_graph(directory: Path) -> None:
    from tests.artifacts import (  # noqa: PLC0415
        add_graph,
        export_in_another_process,
        write_tiny_artifact,
    )

    write_tiny_artifact(directory)
    add_graph(directory, export_in_another_process(directory))
