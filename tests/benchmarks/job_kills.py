"""`python -m tests.benchmarks.job_kills`: kill the worker of a job again and again, compare the bytes.

One run that nothing happens to, then the same job with `kill -9` at random points of it. Both are
timed; the kills cost what was in hand, and the start of another worker.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from model.records.sources.options import SourceFormat
from service.jobs.request import Grid, JobRequest
from tests.service.jobs.chaos import Plant, plant

_PATIENCE_SECONDS = 7_200.0


def main() -> int:
    """Print what happened; 0 if the output is the same."""
    options = _options()
    request = JobRequest(
        format=SourceFormat.MEDS,
        fill=Grid(minutes=options.grid_minutes),
        chunk_subjects=options.chunk_subjects,
    )
    generator = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        with plant(Path(folder) / "calm", options.artifact) as calm:
            calm.patience_seconds = _PATIENCE_SECONDS
            started = time.monotonic()
            expected = calm.finish(calm.submit(options.data.resolve(), request))
            calm_seconds = time.monotonic() - started
        print(f"{len(expected.parts)} chunks in {calm_seconds:.0f} s without a kill", flush=True)
        with plant(Path(folder) / "storm", options.artifact) as storm:
            storm.patience_seconds = _PATIENCE_SECONDS
            started = time.monotonic()
            job_id = storm.submit(options.data.resolve(), request)
            for kill in range(options.kills):
                share = (kill + generator.random()) / options.kills
                _kill(storm, job_id, int(share * len(expected.parts)), generator)
            found = storm.finish(job_id)
            storm_seconds = time.monotonic() - started
            epochs = sum(chunk.epoch for chunk in storm.ledger.chunks(job_id))
        redone = epochs - len(expected.parts)
        print(f"{options.kills} kills: {storm_seconds:.0f} s, {redone} chunks begun again")
        print("byte-identical" if found == expected else "DIFFERENT")
    return 0 if found == expected else 1


def _kill(storm: Plant, job_id: str, least: int, generator: random.Random) -> None:
    """Kill a fresh worker when so many chunks are done, and a random moment later."""
    worker = storm.start_worker()
    storm.wait_until(lambda: storm.num_running(job_id) > 0 or worker.poll() is not None)
    storm.wait_until(lambda: storm.num_done(job_id) >= least or worker.poll() is not None)
    time.sleep(generator.uniform(0, 3))
    worker.kill()
    worker.wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="a MEDS data set")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--grid-minutes", type=int, default=60)
    parser.add_argument("--chunk-subjects", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
