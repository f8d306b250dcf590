"""`python -m service registry add | list | activate | rollback`: which version a server answers with.

Every command that changes something loads and tests the version first, as the server will. A running
server follows within about a second.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from model.errors import ModelError

registry_app = typer.Typer(
    help="Keep versions of the model, and choose the one that answers.", no_args_is_help=True
)

RegistryDir = Annotated[
    Path, typer.Argument(metavar="REGISTRY", help="Folder of the registry.", file_okay=False)
]


@contextmanager
def _reported() -> Iterator[None]:
    """Turn a known error into one line and exit status 1."""
    try:
        yield
    except (ModelError, ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


@registry_app.command()
@_reported()
def add(
    registry: RegistryDir,
    artifact: Annotated[
        Path, typer.Argument(metavar="ARTIFACT", help="Artifact.", exists=True, file_okay=False)
    ],
) -> None:
    """Copy an artifact into the registry, under the version that its manifest names."""
    from model.artifact import read_manifest
    from service.registry.registry import Registry

    version = read_manifest(artifact).version
    with Registry.open_or_make(registry).adding(artifact, version) as copy:
        _check(copy)
    typer.echo(f"added version {version}; `registry activate {registry} {version}` has it answer")


@registry_app.command("list")
@_reported()
def list_versions(registry: RegistryDir) -> None:
    """Print the versions: * answers, < answers after a rollback."""
    from model.artifact import read_manifest
    from model.errors import ArtifactError
    from service.registry.registry import Registry

    opened = Registry.open(registry)
    activation = opened.read()
    latest = activation.earlier[-1:]
    for version in opened.versions():
        mark = "*" if version == activation.active else "<" if version in latest else " "
        try:
            manifest = read_manifest(opened.artifact_dir(version))
            about = f"{manifest.name}, {manifest.created}"
        except ArtifactError as error:
            about = f"cannot be served: {error}"
        typer.echo(f"{mark} {version:<12} {about}")


@registry_app.command()
@_reported()
def activate(
    registry: RegistryDir,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A version of the registry.")],
) -> None:
    """Have a version answer, once it is loaded and has passed its self-test here."""
    from service.registry.registry import Registry

    opened = Registry.open(registry)
    with opened.locked():
        _check(opened.artifact_dir(version))
        opened.write(opened.read().activate(version))
    typer.echo(f"version {version} is active")


@registry_app.command()
@_reported()
def rollback(registry: RegistryDir) -> None:
    """Have the version answer again that was active before."""
    from service.registry.registry import Registry

    opened = Registry.open(registry)
    with opened.locked():
        after = opened.read().roll_back()
        assert after.active is not None
        _check(opened.artifact_dir(after.active))
        opened.write(after)
    typer.echo(f"version {after.active} is active again")


def _check(directory: Path) -> None:
    """Load and test as the server will, with the backend and device of the environment."""
    from service.registry.loading import open_as_set
    from service.settings import Settings

    open_as_set(directory, Settings())
