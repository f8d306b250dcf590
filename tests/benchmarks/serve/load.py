"""A bounded load on one address: raw connections, so that the client takes little of the processor."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Measured:
    """Latencies of the requests that were answered with 200, and how many were not."""

    latencies_ms: np.ndarray
    num_failed: int
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


class Connection:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, message: bytes) -> int:
        """Send a request; return the status of its answer, which is read to its end."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(message)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        if b"connection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


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
    latencies: list[float] = []
    failed = 0

    async def client(number: int) -> None:
        nonlocal failed
        connection, place = Connection(port), number
        while time.perf_counter() < end:
            started = time.perf_counter()
            status = await connection.post(messages[place % len(messages)])
            place += num_clients
            if status == 200:
                latencies.append(1e3 * (time.perf_counter() - started))
            else:
                failed += 1
        connection.close()

    started = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(num_clients)))
    return Measured(np.array(latencies), failed, time.perf_counter() - started)


async def open_loop(
    port: int, messages: Sequence[bytes], *, per_second: float, seconds: float
) -> Measured:
    """Ask at fixed times, whether there are answers or not; latencies count from those times."""
    num_requests = int(per_second * seconds)
    idle = [Connection(port) for _ in range(64)]
    latencies: list[float] = []
    failed = 0
    begin = time.perf_counter()

    async def ask(number: int) -> None:
        nonlocal failed
        due = begin + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        connection = idle.pop() if idle else Connection(port)
        status = await connection.post(messages[number % len(messages)])
        idle.append(connection)
        if status == 200:
            latencies.append(1e3 * (time.perf_counter() - due))
        else:
            failed += 1

    await asyncio.gather(*(ask(number) for number in range(num_requests)))
    for connection in idle:
        connection.close()
    return Measured(np.array(latencies), failed, time.perf_counter() - begin)
