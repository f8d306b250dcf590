"""One altered byte, in whichever file: the server does not start, and says which file it was."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from service.__main__ import app

FILES = (
    "calibration.json",
    "card.md",
    "config.json",
    "manifest.json",
    "metrics.json",
    "model.onnx",
    "normalization.json",
    "subjects.json",
    "variables.json",
    "weights.safetensors",
)
NUM_PLACES = 12
# Belongs to nobody: whatever passed the check would end here instead of serving for ever.
NO_ADDRESS = "192.0.2.1"


@pytest.fixture(scope="module")
def artifact(tiny_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Imported here: torch takes seconds.
    from tests.artifacts import add_graph  # noqa: PLC0415

    directory = tmp_path_factory.mktemp("altered") / "tiny"
    shutil.copytree(tiny_artifact, directory)
    add_graph(directory, bytes(range(256)))
    return directory


def starting(artifact: Path) -> tuple[int, str]:
    command = ["serve", "--artifact", str(artifact), "--backend", "torch", "--device", "cpu"]
    result = CliRunner().invoke(app, [*command, "--host", NO_ADDRESS])
    return result.exit_code, result.stderr


def altered(content: bytes, generator: np.random.Generator) -> Iterator[bytes]:
    """The first byte, the last and some between, each changed into any other."""
    places = [0, len(content) - 1, *generator.integers(len(content), size=NUM_PLACES)]
    for place in places:
        copy = bytearray(content)
        copy[place] ^= generator.integers(1, 256)
        yield bytes(copy)


def test_these_are_all_files(artifact: Path) -> None:
    assert sorted(path.name for path in artifact.iterdir()) == sorted(FILES)


def test_the_unaltered_one_would_start(artifact: Path) -> None:
    status, words = starting(artifact)
    assert status == 1
    assert not any(name in words for name in FILES)


@pytest.mark.parametrize("name", FILES)
def test_an_altered_byte_is_refused_by_name(artifact: Path, name: str) -> None:
    content = (artifact / name).read_bytes()
    try:
        for copy in altered(content, np.random.default_rng(len(name))):
            (artifact / name).write_bytes(copy)
            status, words = starting(artifact)
            assert status == 1
            assert words.startswith("error: ")
            assert name in words
    finally:
        (artifact / name).write_bytes(content)
