"""Clients that leave or stall, against a real server: the others get the predictor's own answers."""

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from model.runtime.predictor import Predictor
from tests.service.cases import Case, make_cases
from tests.service.raw_connection import SECONDS, RawConnection, Reply, head
from tests.service.server_process import ServerProcess, server_process

CAPACITY = 8
NUM_KILLS = 3


@pytest.fixture(scope="module")
def server(
    tiny_artifact: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    log = tmp_path_factory.mktemp("chaos") / "log.txt"
    with server_process(tiny_artifact, log, queue_capacity=CAPACITY) as running:
        yield running
        assert running.error_lines() == []


@pytest.fixture(scope="module")
def cases(predictor: Predictor) -> list[Case]:
    return make_cases(predictor, 24)


@pytest.fixture(scope="module")
def heavy_cases(predictor: Predictor) -> list[Case]:
    """Some tens of milliseconds of work each, so that all are in the server at one time."""
    return make_cases(predictor, CAPACITY, num_series=16, num_samples=200)


async def right_answers(port: int, cases: Sequence[Case]) -> None:
    """Ask one after another on one connection; refused ones (429) are asked again."""
    connection = await RawConnection.open(port)
    for case in cases:
        reply: Reply | None = None
        while reply is None or reply.status == 429:
            reply = await connection.post(case.content)
            assert reply is not None
        assert reply.status == 200
        case.check(reply.document)
    connection.close()


async def full_queue(port: int, cases: Sequence[Case]) -> list[int]:
    """Ask everything at one time; return the statuses. What is answered must be right."""
    connections = [await RawConnection.open(port) for _ in cases]
    replies = await asyncio.gather(
        *(one.post(case.content) for one, case in zip(connections, cases, strict=True))
    )
    statuses = []
    for connection, reply, case in zip(connections, replies, cases, strict=True):
        connection.close()
        assert reply is not None
        statuses.append(reply.status)
        if reply.status == 200:
            case.check(reply.document)
    return statuses


async def everyone_is_admitted(port: int, cases: Sequence[Case]) -> None:
    """Every permit is free, at the latest when the work of those who left is over."""
    while await full_queue(port, cases) != [200] * CAPACITY:
        pass


async def leave(port: int, case: Case, number: int) -> None:
    """Leave in the head, in the body or during the answer; orderly or not."""
    connection = await RawConnection.open(port)
    whole = head(case.content) + case.content
    connection.write(whole[: (20, len(whole) // 2, len(whole))[number % 3]])
    if number % 2:
        connection.close()
    else:
        await asyncio.sleep(0)
        connection.reset()


def test_clients_that_leave_harm_nobody_and_keep_no_permit(
    server: ServerProcess, cases: list[Case], heavy_cases: list[Case]
) -> None:
    async def run() -> None:
        leaving = [leave(server.port, cases[number % 24], number) for number in range(150)]
        leaving += [leave(server.port, case, 2) for case in heavy_cases]
        # Each at another place, so that those who are answered together asked for different things.
        staying = [right_answers(server.port, cases[at:] + cases[:at]) for at in (0, 5, 11, 18)]
        await asyncio.gather(*leaving, *staying)
        await everyone_is_admitted(server.port, heavy_cases)

    asyncio.run(asyncio.wait_for(run(), SECONDS))


def test_half_sent_bodies_hold_no_permit_and_are_answered_when_they_end(
    server: ServerProcess, cases: list[Case], heavy_cases: list[Case]
) -> None:
    async def run() -> None:
        slow = [await RawConnection.open(server.port) for _ in range(4 * CAPACITY)]
        bodies = [cases[number % len(cases)] for number in range(len(slow))]
        for connection, case in zip(slow, bodies, strict=True):
            await connection.begin(case.content)
        await everyone_is_admitted(server.port, heavy_cases)
        for connection, case in zip(slow, bodies, strict=True):
            connection.end(case.content)
            reply = await connection.reply()
            assert reply is not None
            assert reply.status == 200
            case.check(reply.document)
            connection.close()

    asyncio.run(asyncio.wait_for(run(), SECONDS))


def test_a_body_that_never_ends_is_given_up_and_so_is_its_connection(
    tiny_artifact: Path, tmp_path: Path, cases: list[Case]
) -> None:
    async def trickle(port: int, case: Case) -> Reply | None:
        """Send a byte whenever there is no answer yet: the whole time counts, not the pause."""
        connection = await RawConnection.open(port)
        await connection.begin(case.content)
        answer = asyncio.ensure_future(connection.reply())
        for _ in range(len(case.content) // 2 - 1):
            done, _ = await asyncio.wait({answer}, timeout=0.05)
            if done:
                break
            connection.write(b" ")
        reply = await answer
        assert await connection.has_ended()
        connection.close()
        return reply

    async def run(port: int) -> None:
        stalled = asyncio.gather(*(trickle(port, case) for case in cases))
        await right_answers(port, cases)
        for reply in await stalled:
            assert reply is not None
            assert (reply.status, reply.document["code"]) == (408, "body_timed_out")
            assert reply.headers["connection"] == "close"
        await right_answers(port, cases)

    log = tmp_path / "log.txt"
    with server_process(tiny_artifact, log, body_timeout_seconds=1) as server:
        asyncio.run(asyncio.wait_for(run(server.port), SECONDS))
        assert server.error_lines() == []


def test_a_model_whose_process_is_killed_under_load_loses_no_answer(
    tiny_artifact: Path, tmp_path: Path, cases: list[Case]
) -> None:
    async def kill(server: ServerProcess) -> None:
        for _ in range(NUM_KILLS):
            # Answers of its own in between: the next process is not killed over the same request.
            await right_answers(server.port, cases[:4])
            os.kill(server.model_process_id(), signal.SIGKILL)
        await right_answers(server.port, cases)

    async def run(server: ServerProcess) -> None:
        loads = [right_answers(server.port, cases[at:] + cases[:at]) for at in (0, 7, 14)]
        await asyncio.gather(kill(server), *loads)

    with server_process(tiny_artifact, tmp_path / "log.txt") as server:
        asyncio.run(asyncio.wait_for(run(server), SECONDS))
        # A line for each death, and no other complaint.
        assert len(server.error_lines()) == NUM_KILLS
        server.terminate()
        assert server.exit_status() == 0
