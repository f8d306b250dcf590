"""`python -m service serve | impute | worker | demo | registry | openapi | settings`.

Exit status: 0, 1 (failed), 2 (usage).
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from service.command_options import (
    ArtifactOption,
    BackendOption,
    DeviceOption,
    failed,
    load,
    read_settings,
)
from service.jobs.command_line.command import impute
from service.registry.commands import registry_app

app = typer.Typer(
    help="Serve a trained model over HTTP.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Markup would swallow what stands in brackets, as in [env: LACUNA_PORT].
    rich_markup_mode=None,
)
app.add_typer(registry_app, name="registry")


Port = Annotated[
    int | None,
    typer.Option(
        help="TCP port, 0 for a free one [env: LACUNA_PORT; default: 8000].", min=0, max=65535
    ),
]


@app.command()
def serve(
    artifact: ArtifactOption = None,
    host: Annotated[
        str | None, typer.Option(help="Address [env: LACUNA_HOST; default: 127.0.0.1].")
    ] = None,
    port: Port = None,
    backend: BackendOption = None,
    device: DeviceOption = None,
    jobs_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder of batch jobs [env: LACUNA_JOBS_DIR; default: no jobs].",
            show_default=False,
            file_okay=False,
        ),
    ] = None,
) -> None:
    """Serve until stopped. `python -m service settings` lists the limits and their variables."""
    from model.errors import ArtifactError
    from service.app import create_app
    from service.log import log_to_stderr
    from service.server import bind, make_server, run_until_stopped

    settings = read_settings(
        artifact=artifact, host=host, port=port, backend=backend, device=device, jobs_dir=jobs_dir
    )
    log_to_stderr()
    try:
        predictor = load(settings)
        listener = bind(settings)
    except (ArtifactError, OSError) as error:
        raise failed(str(error)) from None
    server = make_server(create_app(settings, predictor), settings)
    raise typer.Exit(0 if run_until_stopped(server, listener) else 1)


@app.command()
def demo(
    request: Annotated[
        Path,
        typer.Option(
            help="JSON file: the body of a request to /v1/forecast, or {path, body}.",
            exists=True,
            dir_okay=False,
        ),
    ],
    artifact: ArtifactOption = None,
    port: Port = None,
    backend: BackendOption = None,
    device: DeviceOption = None,
    stop: Annotated[bool, typer.Option("--exit", help="Stop after the answer.")] = False,
) -> None:
    """Serve on 127.0.0.1, ask once over HTTP, and show question and answer."""
    from rich.console import Console

    from model.errors import ArtifactError
    from service.app import create_app
    from service.demo import DemoError, read_demo_request, run_demo
    from service.server import BackgroundServer

    settings = read_settings(
        artifact=artifact, host="127.0.0.1", port=port, backend=backend, device=device
    )
    try:
        question = read_demo_request(request)
        predictor = load(settings)
        with BackgroundServer(create_app(settings, predictor), settings) as server:
            run_demo(server, question, Console(), keeps_serving=not stop)
    except (ArtifactError, DemoError, OSError) as error:
        raise failed(str(error)) from None


@app.command()
def worker(
    jobs_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the jobs [env: LACUNA_JOBS_DIR].", show_default=False, file_okay=False
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="URL of the ledger [env: LACUNA_JOBS_DATABASE_URL; default: SQLite in the folder]."
        ),
    ] = None,
    backend: BackendOption = None,
    device: DeviceOption = None,
    job: Annotated[str | None, typer.Option(help="Work on this job alone.")] = None,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="Stop when nothing is left to do.")
    ] = False,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Work on batch jobs until stopped. Any number of workers may share a folder and a ledger."""
    import threading

    from service.errors import ServiceError
    from service.jobs.ledger.database import DatabaseError
    from service.jobs.workers.stalls import WorkerStalledError, end_process
    from service.jobs.workers.working import stop_on_signals, work
    from service.log import log_to_stderr

    settings = read_settings(
        jobs_dir=jobs_dir, jobs_database_url=database, backend=backend, device=device
    )
    if settings.jobs_dir is None:
        raise typer.BadParameter("give --jobs-dir DIR, or set LACUNA_JOBS_DIR")
    log_to_stderr()
    stop = threading.Event()
    stop_on_signals(stop, with_parent=with_parent)
    try:
        work(settings, stop, job_id=job, ends=until_idle)
    except WorkerStalledError as error:
        end_process(error)
    except (DatabaseError, ServiceError, OSError) as error:
        raise failed(str(error)) from None


@app.command()
def openapi() -> None:
    """Print the OpenAPI document; docs/openapi.json is a copy of it."""
    from service.app import create_app
    from service.settings import Settings

    document = create_app(Settings()).openapi()
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


@app.command("settings")
def list_settings() -> None:
    """Print every setting: its environment variable, its default and what it trades off."""
    from service.settings import Settings

    for name, field in Settings.model_fields.items():
        typer.echo(f"LACUNA_{name.upper()} (default: {field.default})\n    {field.description}\n")


app.command()(impute)

if __name__ == "__main__":
    app()
