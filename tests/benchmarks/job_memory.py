"""`python -m tests.benchmarks.job_memory --artifact DIR --data MEDS`: does memory grow with a job?

Inputs of more and more stays, which are those of a MEDS data set under new subject ids. Each is
planned in a process of its own, and the first chunks are filled in another; the figure is the
process's largest resident memory, with what it imports and the files that it maps. Linux only.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from model.artifact import load_artifact
from model.records.sources.options import SourceFormat
from service.jobs.filling.filling import fill_chunk
from service.jobs.planning.plan import load_plan, make_plan
from service.jobs.request import JobRequest
from service.registry.loading import open_predictor
from tests.benchmarks.environment import Environment
from tests.benchmarks.replicated_stays import StayPool, Written
from tests.benchmarks.table import Table

_PATIENCE_SECONDS = 15.0
_HEADER = (
    "stays",
    "rows",
    "input MiB",
    "chunks",
    "planning s",
    "planning peak MiB",
    "chunks filled",
    "filling s",
    "filling peak MiB",
)


@dataclass(frozen=True)
class Measured:
    """What a process did: `num_chunks` are those that it cut or filled."""

    num_chunks: int
    seconds: float
    peak_mib: float


def main(arguments: list[str]) -> None:
    """Print a page in Markdown, and how far it is on stderr."""
    given = _parse(arguments)
    environment = Environment.look(
        "tests.benchmarks.job_memory",
        arguments,
        placement="one process at a time",
        packages=("pyarrow", "numpy", "onnxruntime"),
    )
    request = JobRequest(format=SourceFormat.MEDS, chunk_subjects=given.chunk_subjects)
    pool = StayPool.read(given.data, rows_per_stay=given.rows_per_stay)
    rows = [_measure(given, request, pool, num_stays) for num_stays in given.stays]
    thinned = "whole" if given.rows_per_stay is None else f"the first {given.rows_per_stay} rows"
    notes = (
        f"{pool.num_stays} stays ({thinned} of each), repeated under new subject ids, the rows of "
        "thousands of stays interleaved in the order of arrival. Planning and filling ran in fresh "
        f"processes; of the chunks of {given.chunk_subjects} stays only the first "
        f"{given.chunks} were filled, with the hourly grid of the variables observed of a stay."
    )
    print(f"# Memory of a batch job\n\n{Table('Peak by size of the input', notes, _HEADER, rows)}")
    print(environment)


def _measure(
    given: argparse.Namespace, request: JobRequest, pool: StayPool, num_stays: int
) -> list[str]:
    with TemporaryDirectory(dir=given.working) as name:
        folder, source = Path(name), Path(name) / "stays.parquet"
        written = pool.write(
            source, num_stays, lambda done: _say(f"{num_stays:,} stays: {done:,} written")
        )
        planned = _alone(
            f"{num_stays:,} stays: planning",
            partial(plan_job, given.artifact, source, request, folder),
        )
        filled = _alone(
            f"{num_stays:,} stays: filling",
            partial(fill_some, given.artifact, request, folder, given.chunks),
        )
    return _row(written, planned, filled)


def _row(written: Written, planned: Measured, filled: Measured) -> list[str]:
    sizes = (written.num_stays, written.num_rows, round(written.num_bytes / 2**20))
    return [
        *(f"{size:,}" for size in (*sizes, planned.num_chunks)),
        f"{planned.seconds:.1f}",
        f"{planned.peak_mib:.0f}",
        str(filled.num_chunks),
        f"{filled.seconds:.1f}",
        f"{filled.peak_mib:.0f}",
    ]


def _alone(label: str, work: Callable[[], Measured]) -> Measured:
    """Call in a process that has done nothing before, and say from time to time that it is at it."""
    context = multiprocessing.get_context("spawn")
    start = time.monotonic()
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        future = executor.submit(work)
        while not wait([future], _PATIENCE_SECONDS).done:
            _say(f"{label} for {timedelta(seconds=round(time.monotonic() - start))}")
        measured = future.result()
    _say(f"{label} took {measured.seconds:.1f} s, peak {measured.peak_mib:.0f} MiB")
    return measured


def plan_job(artifact: Path, source: Path, request: JobRequest, folder: Path) -> Measured:
    """Plan the whole input."""
    catalogue = load_artifact(artifact).catalogue
    start = time.perf_counter()
    plan = make_plan(source, request, folder, catalogue)
    return Measured(len(plan.chunks), time.perf_counter() - start, _peak_mib())


def fill_some(artifact: Path, request: JobRequest, folder: Path, num_chunks: int) -> Measured:
    """Fill the first chunks of a plan, on one thread."""
    predictor = open_predictor(artifact, backend="auto", device="cpu", num_threads=1)
    start = time.perf_counter()
    plan = load_plan(folder)
    assert plan is not None
    chosen = plan.chunks[:num_chunks]
    for chunk in chosen:
        fill_chunk(predictor, request, folder, chunk, folder / "part", folder / "quarantine")
    return Measured(len(chosen), time.perf_counter() - start, _peak_mib())


def _peak_mib() -> float:
    """Return the peak of this process's own memory; `getrusage` may tell that of its parent."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) / 1024


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.job_memory", description=__doc__
    )
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="MEDS dataset")
    parser.add_argument("--stays", type=int, nargs="+", default=[8_000, 80_000, 800_000])
    parser.add_argument("--rows-per-stay", type=int, help="keep so many rows of a stay, not all")
    parser.add_argument("--chunks", type=int, default=20, help="so many chunks are filled")
    parser.add_argument("--chunk-subjects", type=int, default=256)
    parser.add_argument("--working", type=Path, help="where the input and the chunks are written")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
