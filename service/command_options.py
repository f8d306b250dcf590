"""Options that several commands share, and what they do with them."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from model.runtime.predictor import Predictor
    from service.settings import Settings


class DeviceName(StrEnum):
    """Where the network runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class BackendName(StrEnum):
    """What computes the answers."""

    AUTO = "auto"
    ONNX = "onnx"
    TORCH = "torch"


ArtifactOption = Annotated[
    Path | None,
    typer.Option(
        "--artifact",
        help="Directory of the artifact, or of a registry [env: LACUNA_ARTIFACT].",
        show_default=False,
        file_okay=False,
    ),
]
DeviceOption = Annotated[
    DeviceName | None, typer.Option(help="Where to run [env: LACUNA_DEVICE; default: auto].")
]
BackendOption = Annotated[
    BackendName | None,
    typer.Option(help="What computes [env: LACUNA_BACKEND; default: auto]."),
]


def read_settings(**given: Any) -> "Settings":
    """Take what the command line gave, then the environment, then the defaults."""
    from pydantic import ValidationError

    from service.settings import Settings

    named = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**named)
    except ValidationError as error:
        faults = "; ".join(
            f"LACUNA_{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}"
            for item in error.errors(include_url=False)
        )
        raise typer.BadParameter(faults) from None


def load(settings: "Settings") -> "Predictor":
    """Load before anything else starts, so that a bad artifact is an error of the command."""
    from service.registry.loading import open_as_set

    if settings.artifact is None:
        raise typer.BadParameter("give --artifact DIR, or set LACUNA_ARTIFACT")
    return open_as_set(settings.artifact, settings, own_process=settings.model_process)


def failed(message: str) -> typer.Exit:
    """Say why the command failed, and return its end."""
    typer.echo(f"error: {message}", err=True)
    return typer.Exit(1)
