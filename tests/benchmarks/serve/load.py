"""A bounded load on one address: raw connections, so that the client takes little of the processor."""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

# At the end of an answer that says how long it has waited and been computed.
_TIMINGS = re.compile(rb'"timings_ms":{"queue":([0-9.e-]+|null),"predict":([0-9.e-]+)}}$')
_TIMINGS_BYTES = 100


@dataclass(frozen=True)
class Reply:
    """What an answer says of itself; without timings, NaN."""

    status: int
    queue_ms: float
    predict_ms: float


@dataclass(frozen=True)
class Measured:
    """The answers with status 200, one latency and one reply each, and how many were refused."""

    latencies_ms: np.ndarray
    replies: Sequence[Reply]
    num_refused: int
    seconds: float

    @property
    def requests_per_second(self) -> float:
        """Answered requests per second."""
        return len(self.latencies_ms) / self.seconds

    def percentile(self, percent: float) -> float:
        """Return a percentile of the latency, NaN without any."""
        return (
            float(np.percentile(self.latencies_ms, percent)) if len(self.latencies_ms) else np.nan
        )


@final
class _Tally:
    def __init__(self) -> None:
        self._latencies_ms: list[float] = []
        self._replies: list[Reply] = []
        self._num_refused = 0

    def add(self, since: float, reply: Reply) -> None:
        """Note an answer that has just come."""
        if reply.status == 200:
            self._latencies_ms.append(1e3 * (time.perf_counter() - since))
            self._replies.append(reply)
        else:
            self._num_refused += 1

    def measured(self, seconds: float) -> Measured:
        return Measured(np.array(self._latencies_ms), self._replies, self._num_refused, seconds)


@final
class Connection:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, message: bytes) -> Reply:
        """Send a request; read its answer to the end."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(message)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        if b"connection: close" in head:
            self.close()
        found = _TIMINGS.search(body[-_TIMINGS_BYTES:])
        queue, predict = found.groups() if found else (b"null", b"null")
        return Reply(int(head.split(b" ", 2)[1]), _number(queue), _number(predict))

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _number(text: bytes) -> float:
    return np.nan if text == b"null" else float(text)


def message(path: str, body: bytes) -> bytes:
    """Return a whole HTTP request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def closed_loop(
    port: int, messages: Sequence[bytes], *, num_clients: int, seconds: float
) -> Measured:
    """Every client asks again as soon as it has its answer."""
    end = time.perf_counter() + seconds
    tally = _Tally()

    async def client(number: int) -> None:
        connection, place = Connection(port), number
        while time.perf_counter() < end:
            started = time.perf_counter()
            tally.add(started, await connection.post(messages[place % len(messages)]))
            place += num_clients
        connection.close()

    started = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(num_clients)))
    return tally.measured(time.perf_counter() - started)


async def open_loop(
    port: int, messages: Sequence[bytes], *, per_second: float, seconds: float
) -> Measured:
    """Ask at fixed times, whether there are answers or not; latencies count from those times."""
    num_requests = int(per_second * seconds)
    idle = [Connection(port) for _ in range(64)]
    tally = _Tally()
    begin = time.perf_counter()

    async def ask(number: int) -> None:
        due = begin + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        connection = idle.pop() if idle else Connection(port)
        tally.add(due, await connection.post(messages[number % len(messages)]))
        idle.append(connection)

    await asyncio.gather(*(ask(number) for number in range(num_requests)))
    for connection in idle:
        connection.close()
    return tally.measured(time.perf_counter() - begin)
