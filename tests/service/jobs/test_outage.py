"""The database of the ledger is away: the server predicts, jobs wait, and all recovers by itself."""

import logging
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from model.runtime.predictor import Predictor
from service.jobs.ledger.database import Database, DatabaseAwayError
from tests.end_to_end.commands import free_port
from tests.service.conftest import serving
from tests.service.jobs.postgres import postgres_server
from tests.service.jobs.test_processes import wait_until
from tests.service.requests import FUTURE, body, series
from tests.service.server_process import server_process

PASSWORD = "Xanadu-4711"


def with_password(url: str) -> str:
    return url.replace("tests@", f"tests:{PASSWORD}@")


def has_jobs(client: httpx.Client) -> bool:
    answer = client.get("/v1/jobs")
    if answer.status_code == 200:
        return True
    assert (answer.status_code, answer.json()["code"]) == (503, "jobs_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    return False


def assert_predicts(client: httpx.Client) -> None:
    assert client.get("/health/ready").status_code == 200
    assert client.post("/v1/forecast", json=body(series(query=FUTURE))).status_code == 200


def test_a_server_starts_without_its_ledger_and_takes_jobs_when_it_comes(
    predictor: Predictor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with postgres_server() as postgres:
        url = with_password(postgres.create("jobs"))
        postgres.stop()
        settings: dict[str, Any] = {
            "jobs_dir": tmp_path / "jobs",
            "jobs_database_url": url,
            "job_workers": 0,
        }
        with caplog.at_level(logging.INFO), serving(predictor, **settings) as client:
            assert not has_jobs(client)
            assert_predicts(client)
            postgres.start()
            wait_until(lambda: has_jobs(client))
            postgres.stop()
            assert not has_jobs(client)
            assert_predicts(client)
            postgres.start()
            wait_until(lambda: has_jobs(client))
    said = [one.getMessage() for one in caplog.records if one.name.startswith("service.jobs")]
    assert len(said) == 4, said
    assert PASSWORD not in caplog.text


def test_a_refusal_does_not_wait_for_the_ledger(predictor: Predictor, tmp_path: Path) -> None:
    url = f"postgresql+psycopg://tests@127.0.0.1:{free_port()}/jobs"
    settings: dict[str, Any] = {
        "jobs_dir": tmp_path / "jobs",
        "jobs_database_url": url,
        "job_workers": 0,
    }
    with serving(predictor, **settings) as client:
        begun = time.monotonic()
        for _ in range(20):
            assert not has_jobs(client)
        assert time.monotonic() - begun < 20  # asking each time would take 100 s


def test_workers_wait_for_the_ledger_and_are_not_started_again(
    tiny_onnx_artifact: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    url = f"postgresql+psycopg://tests:{PASSWORD}@127.0.0.1:{free_port()}/jobs"
    settings: dict[str, Any] = {
        "jobs_dir": tmp_path / "jobs",
        "jobs_database_url": url,
        "job_workers": 2,
    }
    with server_process(tiny_onnx_artifact, log, **settings) as server:
        # The server and its two workers, each once.
        wait_until(lambda: log.read_text().count("trying again until it answers") == 3)
        server.terminate()
        assert server.exit_status() == 0
    assert "ended with status" not in log.read_text()
    assert PASSWORD not in log.read_text()


def test_an_outage_is_said_once_and_its_end_as_well(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "absent"
    database = Database(f"sqlite:///{folder / 'ledger.sqlite'}", patience_seconds=0)
    for _ in range(3):
        with pytest.raises(DatabaseAwayError):
            database.create_tables()
        assert not database.is_usable
    folder.mkdir()
    for _ in range(3):
        database.create_tables()
        assert database.is_usable
    database.close()
    assert len(caplog.records) == 2
