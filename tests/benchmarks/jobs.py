"""`python -m tests.benchmarks.jobs --artifact DIR --data MEDS`: a batch job beside its predictor.

Three ways over the same stays, hourly grid, all variables that can be estimated, one thread of
computation: the predictor alone on the batches of the job, the whole path of every chunk (reading,
cleaning, answering, writing Parquet), and the predictor asked for one subject after another. The
chunks are gone through in turn by all three, so that another load on the machine falls on each.
"""

import argparse
import platform
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

from model.artifact import Artifact
from model.records.sources.options import SourceFormat
from model.runtime.predictor import Prediction, Predictor, Request
from service.jobs.filling.choosing import choose_questions
from service.jobs.filling.chunk_reading import read_chunk_rows
from service.jobs.filling.filling import fill_chunk
from service.jobs.ledger.records import Chunk
from service.jobs.planning.chunks import read_chunk
from service.jobs.planning.plan import make_plan
from service.jobs.request import JobRequest
from service.registry.loading import open_predictor


@final
class Recorder:
    """Passes requests on, and keeps them."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.requests: list[Request] = []

    @property
    def artifact(self) -> Artifact:
        return self._predictor.artifact

    def predict(self, request: Request) -> Prediction:
        self.requests.append(request)
        return self._predictor.predict(request)


def main() -> None:
    """Measure and print one table."""
    given = _parse()
    predictor = open_predictor(given.artifact, backend="auto", device=given.device, num_threads=1)
    request = JobRequest(
        format=SourceFormat.MEDS, variables="all", chunk_subjects=given.chunk_subjects
    )
    with TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        plan = make_plan(given.data, request, folder, predictor.artifact.catalogue)
        planned = time.perf_counter() - start
        before = _peak_mib()
        ways = {"predictor alone": 0.0, "whole job": 0.0, "subject by subject": 0.0}
        chosen = plan.chunks[: given.chunks]
        for chunk in chosen:
            recorder = Recorder(predictor)
            ways["whole job"] += _seconds(partial(_fill, recorder, request, folder, chunk))
            ways["predictor alone"] += _seconds(partial(_replay, predictor, recorder.requests))
            ways["subject by subject"] += _seconds(
                partial(_one_by_one, predictor, request, folder, chunk)
            )
        subjects = sum(chunk.num_subjects for chunk in chosen)
    print(f"{platform.machine()}, {subjects} subjects in {len(chosen)} chunks")
    print(f"plan of {plan.num_subjects} subjects, {plan.num_rows} rows: {planned:.1f} s")
    print(f"peak memory {before:.0f} MiB after planning, {_peak_mib():.0f} MiB at the end\n")
    print("| way | subjects/s | of the predictor |\n|---|--:|--:|")
    for way, seconds in ways.items():
        print(f"| {way} | {subjects / seconds:.1f} | {ways['predictor alone'] / seconds:.2f} |")


def _fill(predictor: Predictor, request: JobRequest, folder: Path, chunk: Chunk) -> None:
    fill_chunk(predictor, request, folder, chunk, folder / "part", folder / "quarantine")


def _replay(predictor: Predictor, requests: list[Request]) -> None:
    for one in requests:
        predictor.predict(one)


def _one_by_one(predictor: Predictor, request: JobRequest, folder: Path, chunk: Chunk) -> None:
    catalogue = predictor.artifact.catalogue
    questions = choose_questions(
        read_chunk_rows(read_chunk(folder, chunk), request, catalogue), request, catalogue
    )
    for number in range(len(questions.cohort)):
        one = questions.between(number, number + 1)
        predictor.predict(Request(one.cohort, one.query, request.quantile_levels))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--chunks", type=int, default=4)
    parser.add_argument("--chunk-subjects", type=int, default=128)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
