"""A whole job in this process: planned, chunk after chunk, and taken up again where it stopped.

request.json                what is asked, and the hash of the model that answers
plan.json, chunks/          see `service.jobs.planning.plan`; the chunks go when the job is done
parts/000000.parquet        the output, in the order of the subjects
quarantine/000000.ndjson    subjects without an answer, and why
results/000000.json         what became of a chunk; a chunk that has it is done
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from model.runtime.predictor import Predictor
from service.jobs.errors import JobInputError
from service.jobs.filling.done import Done
from service.jobs.filling.filling import ChunkResult, fill_chunk
from service.jobs.planning.chunks import Chunk
from service.jobs.planning.plan import load_plan, make_plan
from service.jobs.planning.source import Source
from service.jobs.publishing import publish, write_atomically
from service.jobs.request import JobRequest

_FOLDERS = ("parts", "quarantine", "results")


def run_job(
    predictor: Predictor,
    source: Source,
    request: JobRequest,
    folder: Path,
    watch: Callable[[Done], None],
) -> Done:
    """Do what is left of a job, and tell `watch` after every chunk.

    Raises
    ------
    JobInputError
        If the input cannot be read, or the folder holds another job, or the input or the model is
        not the one that the job began with.
    TooManyQuarantinedError
        If more subjects than the request allows have no answer.
    """
    _claim(folder, request, predictor.artifact.sha256)
    plan = load_plan(folder)
    if plan is None:
        plan = make_plan(
            source.path, request, folder, predictor.artifact.catalogue, times=source.times
        )
    elif plan.input_sha256 != source.sha256:
        raise JobInputError(
            "the input is not the one that this job began with; put it back, or start the job again "
            "in another folder"
        )
    results: list[ChunkResult] = []
    for chunk in plan.chunks:
        known = _known_result(folder, chunk)
        results.append(known or _run_chunk(predictor, request, folder, chunk))
        done = Done.of(plan, results)
        plan.check_quarantined(done.num_quarantined, request)
        watch(done)
    shutil.rmtree(folder / "chunks", ignore_errors=True)
    return Done.of(plan, results)


def _claim(folder: Path, request: JobRequest, artifact_sha256: str) -> None:
    """Make the folder this job's; one that holds anything else is not touched."""
    wanted = {"request": request.model_dump(mode="json"), "artifact_sha256": artifact_sha256}
    file = folder / "request.json"
    if file.is_file():
        found = json.loads(file.read_bytes())
        if found != wanted:
            differs = "request" if found.get("request") != wanted["request"] else "artifact"
            raise JobInputError(
                f"the folder holds a job with another {differs}; take that one, or another folder"
            )
    elif folder.exists() and any(folder.iterdir()):
        raise JobInputError(
            "the folder for the output is not empty and holds no job; choose another"
        )
    for name in _FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps(wanted, indent=1).encode() + b"\n")


def _known_result(folder: Path, chunk: Chunk) -> ChunkResult | None:
    try:
        return ChunkResult(**json.loads(_result_file(folder, chunk).read_bytes()))
    except FileNotFoundError:
        return None


def _run_chunk(
    predictor: Predictor, request: JobRequest, folder: Path, chunk: Chunk
) -> ChunkResult:
    part = folder / "parts" / f"{chunk.index:06d}.{request.output.format}"
    quarantine = folder / "quarantine" / f"{chunk.index:06d}.ndjson"
    partial_part, partial_quarantine = (
        file.with_name(f".{file.name}.partial") for file in (part, quarantine)
    )
    result = fill_chunk(predictor, request, folder, chunk, partial_part, partial_quarantine)
    publish(partial_part, part)
    publish(partial_quarantine, quarantine)
    write_atomically(_result_file(folder, chunk), json.dumps(asdict(result)).encode() + b"\n")
    return result


def _result_file(folder: Path, chunk: Chunk) -> Path:
    return folder / "results" / f"{chunk.index:06d}.json"
