"""Whatever is killed, frozen, restarted or full: the output is the same, byte for byte."""

import os
import random
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from model.records.sources.options import SourceFormat
from service.jobs.folder import JobFolder
from service.jobs.request import Grid, JobRequest
from service.jobs.workers.processes import WorkerProcesses
from service.settings import Settings
from tests.service.jobs.chaos import Output, Plant, plant
from tests.service.jobs.csv_tables import csv_table
from tests.service.jobs.postgres import postgres_server

NUM_KILLS = 5
REQUEST = JobRequest(format=SourceFormat.CSV, fill=Grid(minutes=5), chunk_subjects=10)


@dataclass(frozen=True)
class Case:
    """An input, the model, and what comes out when nothing happens."""

    source: Path
    artifact: Path
    expected: Output


@pytest.fixture(scope="module")
def case(tiny_onnx_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("case")
    source = folder / "table.csv"
    source.write_bytes(csv_table(240, num_rows=40))
    with plant(folder / "plant", tiny_onnx_artifact) as calm:
        expected = calm.finish(calm.submit(source, REQUEST))
    assert len(expected.parts) == 24
    return Case(source, tiny_onnx_artifact, expected)


@pytest.fixture
def shop(case: Case, tmp_path: Path) -> Iterator[Plant]:
    with plant(tmp_path, case.artifact) as made:
        yield made


def test_kills_at_random_points_change_no_byte(shop: Plant, case: Case) -> None:
    generator = random.Random(20120101)
    job_id = shop.submit(case.source, REQUEST)
    for kill in range(NUM_KILLS):
        worker = shop.start_worker()
        wanted = max(shop.num_done(job_id), generator.randint(4 * kill, 4 * kill + 3))
        shop.wait_until(lambda least=wanted: shop.num_done(job_id) >= least)  # type: ignore[misc]
        # Somewhere within the next chunks.
        threading.Event().wait(generator.uniform(0, 0.3))
        worker.kill()
        worker.wait()
    assert shop.job(job_id).state == "running"
    assert shop.finish(job_id) == case.expected


def test_a_kill_while_the_plan_is_made_loses_nothing(shop: Plant, case: Case) -> None:
    job_id = shop.submit(case.source, REQUEST)
    worker = shop.start_worker()
    folder = shop.jobs_dir / job_id
    shop.wait_until(lambda: any(folder.glob("plan-*")))
    worker.kill()
    worker.wait()
    assert shop.finish(job_id) == case.expected


def test_when_one_of_two_workers_is_killed_the_other_ends_the_job(shop: Plant, case: Case) -> None:
    job_id = shop.submit(case.source, REQUEST)
    victim, heir = shop.start_worker(), shop.start_worker()
    shop.wait_until(lambda: shop.num_running(job_id) >= 3)  # each has two slots
    victim.kill()
    assert heir.wait(shop.patience_seconds) == 0
    assert shop.output(job_id) == case.expected


def test_a_frozen_worker_that_wakes_up_cannot_publish(shop: Plant, case: Case) -> None:
    job_id = shop.submit(case.source, REQUEST)
    zombie = shop.start_worker()
    shop.wait_until(lambda: shop.num_done(job_id) >= 2 and shop.num_running(job_id) == 2)
    os.kill(zombie.pid, signal.SIGSTOP)
    assert shop.finish(job_id) == case.expected
    epochs = [chunk.epoch for chunk in shop.ledger.chunks(job_id)]
    assert max(epochs) > 1
    os.kill(zombie.pid, signal.SIGCONT)
    assert zombie.wait(shop.patience_seconds) == 0
    assert shop.output(job_id) == case.expected
    assert [chunk.epoch for chunk in shop.ledger.chunks(job_id)] == epochs


def test_a_stopped_worker_leaves_at_once_what_another_can_take(shop: Plant, case: Case) -> None:
    shop.lease_seconds = 60
    job_id = shop.submit(case.source, REQUEST)
    worker = shop.start_worker()
    shop.wait_until(lambda: shop.num_done(job_id) >= 2)
    worker.terminate()
    assert worker.wait(shop.patience_seconds) == 0
    assert shop.num_running(job_id) == 0
    assert shop.finish(job_id) == case.expected


def test_a_replaced_model_does_not_touch_a_job(case: Case, tmp_path: Path) -> None:
    served = tmp_path / "served"
    shutil.copytree(case.artifact, served)
    with plant(tmp_path / "plant", served) as shop:
        job_id = shop.submit(case.source, REQUEST)
        shutil.rmtree(served)
        assert shop.finish(job_id) == case.expected


def test_an_altered_model_fails_the_job_until_it_is_restored(shop: Plant, case: Case) -> None:
    job_id = shop.submit(case.source, REQUEST)
    (kept,) = (shop.jobs_dir / "artifacts").glob("*/model.onnx")
    content = kept.read_bytes()
    kept.write_bytes(content[:-1] + b"x")
    assert shop.start_worker().wait(shop.patience_seconds) == 0
    assert shop.job(job_id).error_code == "artifact_unusable"
    kept.write_bytes(content)
    shop.ledger.resume(job_id)
    assert shop.finish(job_id) == case.expected


def test_input_that_changed_fails_the_job_until_it_is_restored(
    shop: Plant, tmp_path: Path, case: Case
) -> None:
    source = tmp_path / "table.csv"
    shutil.copy(case.source, source)
    job_id = shop.submit(source, REQUEST)
    source.write_bytes(csv_table(3))
    assert shop.start_worker().wait(shop.patience_seconds) == 0
    assert shop.job(job_id).error_code == "input_changed"
    shutil.copy(case.source, source)
    shop.ledger.resume(job_id)
    assert shop.finish(job_id) == case.expected


def work_in_processes(shop: Plant) -> None:
    """Work in processes that are replaced, with little time for a chunk, until all is done."""
    settings = Settings(
        jobs_dir=shop.jobs_dir,
        jobs_database_url=shop.url,
        job_lease_seconds=shop.lease_seconds,
        job_chunk_timeout_seconds=20,  # the first chunk of a process waits for the model as well
    )
    processes = WorkerProcesses(settings, 1, "--until-idle", max_restarts=5)
    processes.start()
    try:
        shop.wait_until(lambda: not processes.is_running)
    finally:
        processes.stop()


def test_a_chunk_that_hangs_ends_its_process_and_the_next_one_fills_it(
    shop: Plant, case: Case
) -> None:
    job_id = shop.submit(case.source, REQUEST)
    folder = JobFolder(shop.jobs_dir / job_id)
    folder.make()
    os.mkfifo(folder.parts / ".000003-1.parquet")  # nobody reads what the first attempt writes
    work_in_processes(shop)
    assert shop.output(job_id) == case.expected
    assert shop.ledger.chunks(job_id)[3].num_failures == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here (needs root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_fails_the_job_until_there_is_room(
    case: Case, small_disk: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with plant(small_disk, case.artifact, url=url) as shop:
        job_id = shop.submit(case.source, REQUEST)
        worker = shop.start_worker()
        shop.wait_until(lambda: shop.num_done(job_id) >= 1)
        balloon = small_disk / "balloon"
        with suppress(OSError), balloon.open("wb") as file:
            while True:
                file.write(bytes(4096))
        assert worker.wait(shop.patience_seconds) == 0
        assert shop.job(job_id).error_code == "disk_full"
        balloon.unlink()
        shop.ledger.resume(job_id)
        assert shop.finish(job_id) == case.expected


def test_a_restart_of_postgres_in_the_middle_is_waited_for(case: Case, tmp_path: Path) -> None:
    with (
        postgres_server() as server,
        plant(tmp_path, case.artifact, url=server.create("jobs")) as shop,
    ):
        job_id = shop.submit(case.source, REQUEST)
        worker = shop.start_worker()
        shop.wait_until(lambda: shop.num_done(job_id) >= 3)
        server.stop()
        server.start()
        assert shop.num_done(job_id) < len(case.expected.parts)
        assert worker.wait(shop.patience_seconds) == 0
        assert shop.output(job_id) == case.expected
