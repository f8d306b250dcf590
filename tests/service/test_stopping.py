"""The stop signal, against a real server: what has begun is finished, what is new is refused."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from model.runtime.predictor import Predictor
from tests.service.cases import Case, make_cases
from tests.service.raw_connection import SECONDS, RawConnection, Reply
from tests.service.server_process import server_process

NUM_CLIENTS = 24


@pytest.fixture(scope="module")
def cases(predictor: Predictor) -> list[Case]:
    return make_cases(predictor, NUM_CLIENTS)


def assert_refused(reply: Reply | None) -> None:
    assert reply is not None
    assert (reply.status, reply.document["code"]) == (503, "shutting_down")
    assert reply.headers["connection"] == "close"
    assert reply.headers["content-type"] == "application/problem+json"


async def has_turned(port: int) -> Reply:
    """Ask for readiness until it turns."""
    while True:
        connection = await RawConnection.open(port)
        reply = await connection.get("/health/ready")
        connection.close()
        assert reply is not None
        if reply.status != 200:
            return reply


def test_a_request_in_flight_is_answered_and_every_later_one_refused(
    tiny_artifact: Path, tmp_path: Path, cases: list[Case]
) -> None:
    with server_process(tiny_artifact, tmp_path / "log.txt", drain_seconds=5) as server:

        async def run() -> None:
            begun, kept, living = [await RawConnection.open(server.port) for _ in range(3)]
            await begun.begin(cases[0].content)
            for connection in (kept, living):
                ready = await connection.get("/health/ready")
                assert ready is not None
                assert ready.status == 200
            server.terminate()
            assert_refused(await has_turned(server.port))
            assert_refused(await kept.post(cases[1].content))
            assert await kept.has_ended()
            live = await living.get("/health/live")
            assert live is not None
            assert (live.status, live.headers["connection"]) == (200, "close")
            begun.end(cases[0].content)
            answer = await begun.reply()
            assert answer is not None
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            cases[0].check(answer.document)
            for connection in (begun, kept, living):
                connection.close()

        asyncio.run(asyncio.wait_for(run(), SECONDS))
        assert server.exit_status() == 0
        assert server.error_lines() == []
        with pytest.raises(ConnectionRefusedError):
            asyncio.run(RawConnection.open(server.port))


@dataclass
class Tally:
    """What the clients got."""

    answered: int = 0
    refused: int = 0
    closed: int = 0


async def ask_until_the_end(port: int, case: Case, tally: Tally, under_load: asyncio.Event) -> None:
    """Ask without a pause until nobody listens; every answer must be whole and right."""
    while True:
        try:
            connection = await RawConnection.open(port)
        except ConnectionError:
            return
        while (reply := await connection.post(case.content)) is not None:
            if reply.status != 200:
                assert_refused(reply)
                tally.refused += 1
                break
            case.check(reply.document)
            tally.answered += 1
            if tally.answered > 3 * NUM_CLIENTS:
                under_load.set()
            if reply.headers.get("connection") == "close":
                break
        else:
            tally.closed += 1
        connection.close()


def test_under_load_no_answer_is_lost_or_wrong(
    tiny_artifact: Path, tmp_path: Path, cases: list[Case]
) -> None:
    log = tmp_path / "log.txt"
    with server_process(tiny_artifact, log, drain_seconds=0.5) as server:
        tally = Tally()

        async def run() -> None:
            under_load = asyncio.Event()
            clients = [
                asyncio.ensure_future(ask_until_the_end(server.port, case, tally, under_load))
                for case in cases
            ]
            await under_load.wait()
            server.terminate()
            await asyncio.gather(*clients)

        asyncio.run(asyncio.wait_for(run(), SECONDS))
        assert server.exit_status() == 0
        assert server.error_lines() == []
        assert tally.answered > 3 * NUM_CLIENTS
        assert tally.refused > 0


def test_a_body_that_never_ends_does_not_hold_up_the_end(
    tiny_artifact: Path, tmp_path: Path, cases: list[Case]
) -> None:
    with server_process(
        tiny_artifact,
        tmp_path / "log.txt",
        body_timeout_seconds=2,
        drain_seconds=0,
        shutdown_seconds=50,
    ) as server:

        async def run() -> Reply | None:
            connection = await RawConnection.open(server.port)
            await connection.begin(cases[0].content)
            server.terminate()
            reply = await connection.reply()
            connection.close()
            return reply

        reply = asyncio.run(asyncio.wait_for(run(), SECONDS))
        assert reply is not None
        assert (reply.status, reply.document["code"]) == (408, "body_timed_out")
        assert server.exit_status() == 0
        assert server.error_lines() == []


def events_of(client: httpx.Client, path: str, after: str = "") -> Iterator[tuple[str, ...]]:
    """Yield the lines of the frames of a stream of events, until the server ends it."""
    with client.stream("GET", f"{path}/events", headers={"Last-Event-ID": after}) as answer:
        assert answer.status_code == 200
        frame: list[str] = []
        for line in answer.iter_lines():
            if line:
                frame.append(line)
            else:
                yield tuple(frame)
                frame.clear()
        assert frame == []


def test_an_open_stream_of_events_ends_at_once_and_goes_on_at_the_next_server(
    tiny_artifact: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "jobs_dir": tmp_path / "jobs",
        "job_workers": 0,
        "drain_seconds": 0,
        "shutdown_seconds": 50,
    }
    form = {"request": (None, '{"format": "csv", "fill": {"kind": "own_times"}}'), "input": b"a\n"}
    with (
        server_process(tiny_artifact, tmp_path / "log.txt", **settings) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=SECONDS) as client,
    ):
        job = client.post("/v1/jobs", files=form).headers["location"]  # type: ignore[arg-type]
        frames = events_of(client, job)
        last_id = next(frames)[0].removeprefix("id: ")
        server.terminate()
        assert list(frames) == [(": to be continued",)]
        assert server.process.wait(timeout=settings["shutdown_seconds"] / 2) == 0
        assert server.error_lines() == []
    with (
        server_process(tiny_artifact, tmp_path / "log.txt", **settings) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=SECONDS) as client,
    ):
        frames = events_of(client, job, last_id)
        assert client.post(f"{job}/cancel").status_code == 200
        (frame,) = frames
        assert frame[0] == f"id: {int(last_id) + 1}"
