"""`python -m service impute IN OUT`: a batch job without a server."""

import os
import threading
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.command_options import (
    ArtifactOption,
    BackendOption,
    DeviceOption,
    failed,
    read_settings,
)

if TYPE_CHECKING:
    from service.jobs.request import JobRequest
    from service.settings import Settings


class ExecutorName(StrEnum):
    """Where to work."""

    LOCAL = "local"
    PROCESS = "process"
    RAY = "ray"


def impute(
    source: Annotated[
        Path, typer.Argument(metavar="IN", exists=True, help="A file, or a folder of files.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", file_okay=False, help="Folder of the job.")],
    artifact: ArtifactOption = None,
    input_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="csv, parquet, ndjson, fhir, meds, omop or physionet2012 (default: by the ending, "
            "meds for a data set).",
        ),
    ] = None,
    grid_minutes: Annotated[int, typer.Option(help="Distance of the times.")] = 60,
    forecast_hours: Annotated[
        float, typer.Option(help="How far the grid goes on after the last observation.")
    ] = 0,
    own_times: Annotated[
        bool, typer.Option("--own-times", help="Fill the times of the record instead of a grid.")
    ] = False,
    times: Annotated[
        Path | None,
        typer.Option(exists=True, help="Table of subject_id and time to fill instead of a grid."),
    ] = None,
    variables: Annotated[
        str, typer.Option(help="`observed`, `all`, or names or LOINC codes with commas between.")
    ] = "observed",
    quantile_levels: Annotated[str, typer.Option(help="With commas between.")] = "0.05,0.5,0.95",
    output_format: Annotated[str, typer.Option(help="parquet, csv or ndjson.")] = "parquet",
    shape: Annotated[str, typer.Option(help="long or wide.")] = "long",
    columns: Annotated[
        str, typer.Option(help="Ours=theirs with commas between: time=charttime,subject_id=stay.")
    ] = "",
    codes: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="CSV of code,variable,unit."),
    ] = None,
    catalogue: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Table of variables (`python -m training catalogue`): what the source calls them.",
        ),
    ] = None,
    time_format: Annotated[
        str | None, typer.Option(help="As of strptime: '%d/%m/%Y %H:%M'.")
    ] = None,
    time_unit: Annotated[
        str, typer.Option(help="Of times in numbers: seconds, minutes, hours or days.")
    ] = "hours",
    time_zone: Annotated[
        str | None, typer.Option(help="Of times without an offset: Europe/Berlin.")
    ] = None,
    accept_suspected: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VARIABLE=UNIT",
            help="Read a variable that came without a unit, or in a suspected one, in this unit.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Quarantine a subject if a row of it cannot be used as it is given."
        ),
    ] = False,
    max_quarantined_share: Annotated[
        float, typer.Option(help="Fail if more of the subjects have no answer.")
    ] = 0.05,
    chunk_subjects: Annotated[int, typer.Option(help="Subjects of one part.")] = 256,
    seed: Annotated[int, typer.Option(help="Same input, options, seed, model: same bytes.")] = 0,
    executor: Annotated[
        ExecutorName,
        typer.Option(help="Where to work: in this process, in several, or on a Ray cluster."),
    ] = ExecutorName.LOCAL,
    num_workers: Annotated[
        int, typer.Option("--workers", min=1, help="Workers of the executors process and ray.")
    ] = 2,
    database: Annotated[
        str | None,
        typer.Option(
            help="URL of a ledger of the job's own; workers on several machines need PostgreSQL "
            "(default: SQLite in OUT)."
        ),
    ] = None,
    backend: BackendOption = None,
    device: DeviceOption = None,
) -> None:
    """Fill the gaps of many records. Run it again with the same options to take up a job that stopped."""
    _check_paths(source, out, times)
    settings = read_settings(artifact=artifact, backend=backend, device=device)
    if settings.artifact is None:
        raise typer.BadParameter("give --artifact DIR, or set LACUNA_ARTIFACT")
    request = _request(
        **_reading(source, input_format, columns, codes, catalogue, accept_suspected, settings),
        time={"format": time_format, "unit": time_unit, "zone": time_zone},
        strict=strict,
        fill=_fill(own_times, times, grid_minutes, forecast_hours),
        variables=variables if variables in ("observed", "all") else variables.split(","),
        quantile_levels=quantile_levels.split(","),
        output={"format": output_format, "shape": shape},
        seed=seed,
        max_quarantined_share=max_quarantined_share,
        chunk_subjects=chunk_subjects,
    )
    place = _Place(out, database, executor, num_workers)
    _run(settings, settings.artifact, source, times, request, place)


@dataclass(frozen=True)
class _Place:
    """Where a job lies, and where it is worked on."""

    out: Path
    database: str | None
    executor: ExecutorName
    num_workers: int


def _run(
    settings: "Settings",
    artifact_dir: Path,
    source: Path,
    times: Path | None,
    request: "JobRequest",
    place: _Place,
) -> None:
    from model.artifact import load_artifact
    from model.errors import ArtifactError
    from service.errors import ServiceError
    from service.jobs.command_line.console import JobConsole
    from service.jobs.command_line.standalone import run_standalone, standalone_settings
    from service.jobs.ledger.database import DatabaseError
    from service.jobs.planning.source import Source
    from service.jobs.workers.executors import make_executor
    from service.jobs.workers.stalls import WorkerStalledError, end_process
    from service.jobs.workers.working import stop_on_signals
    from service.registry.registry import active_artifact_dir

    settings = standalone_settings(settings, place.out, url=place.database)
    stop = threading.Event()
    stop_on_signals(stop, with_parent=False)
    try:
        with JobConsole() as console:
            done = run_standalone(
                settings,
                load_artifact(active_artifact_dir(artifact_dir)),
                Source(source, times),
                request,
                make_executor(place.executor.value, settings, num_workers=place.num_workers),
                stop,
                console,
            )
            console.on_end(done, place.out)
    except WorkerStalledError as error:
        end_process(error)
    except (ArtifactError, DatabaseError, ServiceError, OSError) as error:
        raise failed(str(error)) from None


def _check_paths(source: Path, out: Path, times: Path | None) -> None:
    """Refuse names that Arrow cannot open, and output that would become input."""
    inside = source.rglob("*") if source.is_dir() else ()
    given = (source, out) if times is None else (source, out, times)
    if not all(_is_text(path) for path in (*(one.resolve() for one in given), *inside)):
        raise typer.BadParameter(
            "the name of a file or folder holds bytes that are no UTF-8; rename it"
        )
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise typer.BadParameter(
            "OUT lies inside IN, so that the output would be read as input; choose another OUT"
        )


def _is_text(path: Path) -> bool:
    try:
        os.fsencode(path).decode()
    except UnicodeDecodeError:
        return False
    return True


def _reading(
    source: Path,
    input_format: str | None,
    columns: str,
    codes: Path | None,
    catalogue: Path | None,
    accept_suspected: list[str] | None,
    settings: "Settings",
) -> dict[str, Any]:
    """Return the fields of a request that say how its source is read."""
    from model.artifact import load_artifact
    from model.errors import ModelError
    from model.records.sources.options import parse_columns
    from service.jobs.command_line.reading_options import (
        accepted_units,
        code_entries,
        guess_format,
        passed_over,
    )
    from service.registry.registry import active_artifact_dir

    try:
        known = None
        if catalogue is not None:
            assert settings.artifact is not None
            known = load_artifact(active_artifact_dir(settings.artifact)).catalogue
        source_format = input_format or guess_format(source)
        not_read = passed_over(source, source_format)
        if not_read is not None:
            typer.echo(not_read, err=True)
        return {
            "format": source_format,
            "columns": dict(parse_columns(columns)),
            "codes": code_entries(codes, catalogue, known),
            "accepted_units": accepted_units(accept_suspected or ()),
        }
    except ModelError as error:
        raise typer.BadParameter(str(error)) from None


def _fill(
    own_times: bool, times: Path | None, grid_minutes: int, forecast_hours: float
) -> dict[str, Any]:
    if own_times and times is not None:
        raise typer.BadParameter("give --own-times or --times, not both")
    if own_times:
        return {"kind": "own_times"}
    if times is not None:
        return {"kind": "times_table"}
    return {"kind": "grid", "minutes": grid_minutes, "forecast_hours": forecast_hours}


def _request(**options: Any) -> "JobRequest":
    from pydantic import ValidationError

    from service.jobs.request import FIELD_NAMES, JobRequest
    from service.wire import faults_of

    try:
        return JobRequest.model_validate(options)
    except ValidationError as error:
        faults = (f"{fault.path}: {fault.detail}" for fault in faults_of(error, FIELD_NAMES))
        raise typer.BadParameter("; ".join(faults)) from None
