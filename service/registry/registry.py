"""The registry on disk: a folder with one artifact for each version, and which of them is active.

    registry.json     {"active": "3", "earlier": ["1", "2"]}
    1/  2/  3/        artifacts, each named by its version; never changed once they are there
    .lock             held by whoever changes registry.json

Whatever is written appears whole or not at all, so that a server may read at any time.
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from model.errors import ArtifactError
from model.files import publish_directory, write_atomically

RECORD_NAME = "registry.json"

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class RegistryError(ArtifactError):
    """Raised for a registry that cannot be read, or that has not what was asked of it."""

    code = "invalid_registry"


@dataclass(frozen=True)
class Activation:
    """Which version is active, and which were before: each once, the latest at the end."""

    active: str | None = None
    earlier: tuple[str, ...] = ()

    def activate(self, version: str) -> "Activation":
        """Return what holds once this version is active."""
        past = [*self.earlier, *([self.active] if self.active is not None else [])]
        return Activation(version, tuple(one for one in past if one != version))

    def roll_back(self) -> "Activation":
        """Return what holds once the latest earlier version is active again.

        Raises
        ------
        RegistryError
            If none was active before.
        """
        if not self.earlier:
            raise RegistryError("no version was active before this one; activate one by name")
        return Activation(self.earlier[-1], self.earlier[:-1])


@final
class Registry:
    """Reads and changes one registry folder.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     registry = Registry.open_or_make(Path(folder))
    ...     with registry.adding(artifact, "2"):
    ...         pass
    ...     with registry.locked():
    ...         registry.write(registry.read().activate("2"))
    ...     registry.versions(), active_artifact_dir(Path(folder)).name
    (['2'], '2')
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def open(cls, directory: Path) -> "Registry":
        """Open a folder that is a registry.

        Raises
        ------
        RegistryError
            If it is none.
        """
        if not is_registry(directory):
            raise RegistryError(
                f"{directory} is not a registry: {RECORD_NAME} is missing; `registry add` makes one"
            )
        return cls(directory)

    @classmethod
    def open_or_make(cls, directory: Path) -> "Registry":
        """Open a registry; a folder that is empty or missing becomes one.

        Raises
        ------
        RegistryError
            If the folder holds something else.
        """
        registry = cls(directory)
        if is_registry(directory):
            return registry
        directory.mkdir(parents=True, exist_ok=True)
        if any(not path.name.startswith(".") for path in directory.iterdir()):
            raise RegistryError(
                f"{directory} is not a registry and holds other files; choose an empty folder"
            )
        with registry.locked():
            if not is_registry(directory):
                registry.write(Activation())
        return registry

    @property
    def record_path(self) -> Path:
        """The file that says which version is active."""
        return self.directory / RECORD_NAME

    def read(self) -> Activation:
        """Read which version is active.

        Raises
        ------
        RegistryError
            If the file is missing, or is not whole.
        """
        try:
            return _parse(json.loads(self.record_path.read_bytes()))
        except OSError as error:
            raise RegistryError(f"{RECORD_NAME} cannot be read ({error.strerror})") from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RegistryError(
                f'{RECORD_NAME} is not whole; expected {{"active": ..., "earlier": [...]}} as '
                "`registry activate` writes it"
            ) from error

    def write(self, activation: Activation) -> None:
        """Replace `registry.json` at once. Only while `locked`."""
        write_atomically(self.record_path, json.dumps(asdict(activation)).encode() + b"\n")

    def versions(self) -> list[str]:
        """Return the versions that are there, by name."""
        found = (path.name for path in self.directory.iterdir() if path.is_dir())
        return sorted(name for name in found if _VERSION.fullmatch(name))

    def artifact_dir(self, version: str) -> Path:
        """Return the directory of a version.

        Raises
        ------
        RegistryError
            If there is none.
        """
        directory = self.directory / version
        if not _VERSION.fullmatch(version) or not directory.is_dir():
            raise RegistryError(
                f"version {version} is not in the registry; it has {', '.join(self.versions())}"
            )
        return directory

    @contextmanager
    def adding(self, source: Path, version: str) -> Iterator[Path]:
        """Copy an artifact into the registry; it becomes `version` when the block ends well.

        Gives the directory of the copy, to be checked before that.

        Raises
        ------
        RegistryError
            If the version is taken, or cannot be the name of a directory.
        """
        if not _VERSION.fullmatch(version):
            raise RegistryError(
                "a version is named by up to 64 letters, digits, dots, dashes and underscores, not "
                f"{version!r}; fit again with another --version"
            )
        target = self.directory / version
        taken = RegistryError(f"version {version} is taken; fit again with another --version")
        if target.exists():
            raise taken
        staging = self.directory / f".{version}.{os.getpid()}.adding"
        try:
            shutil.copytree(source, staging)
            yield staging
            try:
                publish_directory(staging, target, replaces=False)
            except OSError:  # another process was faster
                raise taken from None
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold off everyone else who changes which version is active; readers need no lock."""
        with (self.directory / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def is_registry(directory: Path) -> bool:
    """Return whether a folder is a registry, and not an artifact itself."""
    return (directory / RECORD_NAME).is_file()


def active_artifact_dir(directory: Path) -> Path:
    """Return the artifact to serve: the active version of a registry, or the directory itself.

    Raises
    ------
    RegistryError
        If it is a registry without an active version.
    """
    if not is_registry(directory):
        return directory
    registry = Registry(directory)
    active = registry.read().active
    if active is None:
        raise RegistryError(f"{directory} has no active version; `registry activate` one")
    return registry.artifact_dir(active)


def _parse(content: Any) -> Activation:
    active, earlier = content["active"], content["earlier"]
    if not isinstance(earlier, list):
        raise TypeError
    names = [*earlier, *([] if active is None else [active])]
    if not all(isinstance(name, str) and _VERSION.fullmatch(name) for name in names):
        raise ValueError
    return Activation(active, tuple(earlier))
