"""`python -m service impute`: whatever ends it, the same command goes on, with the same bytes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.service.jobs.csv_tables import csv_table

WAIT_SECONDS = 300.0
NUM_CHUNKS = 16
LISTENING = "0A"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", f"{'0' * 24}01000000"}


@dataclass(frozen=True)
class Task:
    """An input, a model, and the output of a run that nothing happened to."""

    source: Path
    artifact: Path
    expected: dict[str, bytes]

    def start(self, out: Path, *options: str, **environment: str) -> "subprocess.Popen[str]":
        words = ["impute", str(self.source), str(out), "--artifact", str(self.artifact)]
        words += ["--chunk-subjects", "10", "--grid-minutes", "5", *options]
        return subprocess.Popen(
            [sys.executable, "-m", "service", *words],
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "LACUNA_JOB_LEASE_SECONDS": "2",
                "OMP_NUM_THREADS": "1",
                **environment,
            },
        )

    def run(self, out: Path, *options: str, **environment: str) -> tuple[int, str]:
        with self.start(out, *options, **environment) as process:
            _, error = process.communicate(timeout=WAIT_SECONDS)
        return process.returncode, error


def published(out: Path) -> dict[str, bytes]:
    files = [*(out / "parts").iterdir(), *(out / "quarantine").iterdir()]
    return {f"{file.parent.name}/{file.name}": file.read_bytes() for file in files}


def num_done(out: Path) -> int:
    return len(list(out.glob(".job/*/parts/0*")))


def wait_for_parts(out: Path, least: int, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while num_done(out) < least and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def task(tiny_onnx_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Task:
    folder = tmp_path_factory.mktemp("standalone")
    source = folder / "table.csv"
    source.write_bytes(csv_table(10 * NUM_CHUNKS, num_rows=40))
    code, error = Task(source, tiny_onnx_artifact, {}).run(folder / "out")
    assert code == 0, error
    assert f"{10 * NUM_CHUNKS} of {10 * NUM_CHUNKS} subjects answered" in error
    expected = published(folder / "out")
    assert len(expected) == 2 * NUM_CHUNKS
    return Task(source, tiny_onnx_artifact, expected)


@pytest.mark.parametrize("executors", [("local", "process"), ("process", "local")])
def test_a_killed_command_is_taken_up_by_the_next(
    task: Task, tmp_path: Path, executors: tuple[str, str]
) -> None:
    out = tmp_path / "out"
    with task.start(out, "--executor", executors[0]) as process:
        wait_for_parts(out, 4, process)
        process.kill()
    code, error = task.run(out, "--executor", executors[1])
    assert code == 0, error
    assert published(out) == task.expected


@pytest.mark.parametrize("executor", ["local", "process", "ray"])
def test_every_executor_and_database_gives_the_same_bytes(
    task: Task, tmp_path: Path, database_url: str, executor: str
) -> None:
    code, error = task.run(tmp_path / "out", "--executor", executor, "--database", database_url)
    assert code == 0, error
    assert published(tmp_path / "out") == task.expected


def descendants(process_id: int) -> Iterator[int]:
    for file in Path(f"/proc/{process_id}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            yield child
            yield from descendants(child)


def ray_workers(process_id: int) -> list[int]:
    return [
        found
        for found in descendants(process_id)
        if Path(f"/proc/{found}/cmdline").read_bytes().startswith(b"ray::_work_there")
    ]


def listening_addresses(process_ids: Iterable[int]) -> set[str]:
    """Return the addresses, as the kernel writes them, on which processes accept connections."""
    sockets = {
        str(file.readlink())
        for process_id in process_ids
        for file in Path(f"/proc/{process_id}/fd").iterdir()
        if file.is_symlink()
    }
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return {
        words[1].split(":")[0]
        for words in lines
        if words[3] == LISTENING and f"socket:[{words[9]}]" in sockets
    }


def assert_is_private(process_id: int) -> None:
    """Check that a cluster is reached from this machine alone, reports to nobody, and is small."""
    processes = list(descendants(process_id))
    addresses = listening_addresses(processes)
    assert addresses
    assert addresses <= LOOPBACK
    commands = {one: Path(f"/proc/{one}/cmdline").read_bytes() for one in processes}
    (node,) = [one for one, words in commands.items() if b"--object_store_memory=" in words]
    assert b"--object_store_memory=104857600" in commands[node]
    assert b"RAY_USAGE_STATS_ENABLED=0" in Path(f"/proc/{node}/environ").read_bytes()


def test_killed_ray_workers_are_replaced_and_no_chunk_that_was_done_is_done_again(
    task: Task, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with task.start(out, "--executor", "ray", "--workers", "2") as process:
        wait_for_parts(out, 6, process)
        assert_is_private(process.pid)
        done = {file.name[:6]: file.stat().st_mtime_ns for file in out.glob(".job/*/parts/0*")}
        killed = ray_workers(process.pid)
        for worker in killed:
            os.kill(worker, signal.SIGKILL)
        _, error = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0, error
    assert len(killed) == 2
    assert len(done) < NUM_CHUNKS
    assert published(out) == task.expected
    kept = {file.stem: file.stat().st_mtime_ns for file in (out / "parts").iterdir()}
    # A part is written before the ledger knows it: those in hand, two a worker, may be done twice.
    assert len(done.items() - kept.items()) <= 2 * len(killed)


def test_an_interrupted_command_says_how_to_go_on(task: Task, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with task.start(out) as process:
        wait_for_parts(out, 2, process)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 1
    assert "run the same command again" in error
    assert task.run(out)[0] == 0
    assert published(out) == task.expected


def test_a_chunk_that_hangs_ends_the_command_and_the_next_one_fills_it(
    task: Task, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with task.start(out) as process:
        wait_for_parts(out, 1, process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=WAIT_SECONDS)
    (parts,) = out.glob(".job/*/parts")
    os.mkfifo(parts / f".{NUM_CHUNKS - 1:06d}-1.parquet")  # nobody reads what is written there
    code, error = task.run(out, LACUNA_JOB_CHUNK_TIMEOUT_SECONDS="20")
    assert code == 1
    assert f"chunk {NUM_CHUNKS - 1} of job {parts.parent.name} took longer than 20 s" in error
    assert "Start again to go on" in error
    assert task.run(out)[0] == 0
    assert published(out) == task.expected


def test_a_finished_job_is_not_done_again_and_another_is_refused(
    task: Task, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert task.run(out)[0] == 0
    times = {file: file.stat().st_mtime_ns for file in (out / "parts").iterdir()}
    assert task.run(out)[0] == 0
    assert {file: file.stat().st_mtime_ns for file in (out / "parts").iterdir()} == times
    code, error = task.run(out, "--seed", "1")
    assert (code, "another request" in error) == (1, True)
    source = tmp_path / "table.csv"
    source.write_bytes(csv_table(2))
    code, error = Task(source, task.artifact, {}).run(out)
    assert (code, "the input is not the one" in error) == (1, True)


def test_parts_that_were_lost_are_made_again(task: Task, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert task.run(out)[0] == 0
    (out / "parts" / "000003.parquet").unlink()
    altered = out / "parts" / "000005.parquet"
    altered.write_bytes(altered.read_bytes()[:-1] + b"x")
    (out / "quarantine" / "000007.ndjson").unlink()
    (out / "quarantine" / "000009.ndjson").write_text("{}\n")
    times = {file.stem: file.stat().st_mtime_ns for file in (out / "parts").iterdir()}
    code, error = task.run(out)
    assert code == 0, error
    assert "made again: 4 of" in error
    assert published(out) == task.expected
    now = {file.stem: file.stat().st_mtime_ns for file in (out / "parts").iterdir()}
    made_again = {name for name, time_ns in now.items() if times.get(name) != time_ns}
    assert made_again == {"000003", "000005", "000007", "000009"}
    assert "made again" not in task.run(out)[1]


def test_a_part_that_is_lost_before_the_end_is_made_again(task: Task, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with task.start(out) as process:
        wait_for_parts(out, 2, process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=WAIT_SECONDS)
    (out / "parts" / "000000.parquet").unlink()
    code, error = task.run(out)
    assert code == 0, error
    assert "made again: 1 of" in error
    assert published(out) == task.expected


def test_input_that_cannot_be_read_fails_the_command(task: Task, tmp_path: Path) -> None:
    source = tmp_path / "table.csv"
    source.write_bytes(b"a,b\n1,Xanadu\n")
    code, error = Task(source, task.artifact, {}).run(tmp_path / "out")
    assert code == 1
    assert "error: " in error
    assert "Xanadu" not in error
