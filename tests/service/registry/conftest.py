"""Three versions of a tiny model whose answers differ, and a registry of two of them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from service.registry.registry import Registry
from tests.service.registry.versions import add


@pytest.fixture(scope="session")
def versions(tiny_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Directory of the artifact of each version; not to be changed by a test."""
    from tests.artifacts import write_version  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("versions")
    for version in ("1", "2", "3"):
        write_version(tiny_artifact, folder / version, version)
    return {version: folder / version for version in ("1", "2", "3")}


@pytest.fixture
def registry(versions: Mapping[str, Path], tmp_path: Path) -> Registry:
    """A registry with versions 1 and 2, of which 1 is active."""
    made = Registry.open_or_make(tmp_path / "registry")
    for version in ("1", "2"):
        add(made, versions[version], version)
    made.write(made.read().activate("1"))
    return made
