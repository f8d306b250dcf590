"""A client that may misbehave: it sees every byte, and can stop in the middle of a request."""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

SECONDS = 120.0
"""How long a test or a reply may take before it fails: longer than any machine needs."""


class LostAnswerError(Exception):
    """Raised where an answer has begun and does not end."""


@dataclass(frozen=True)
class Reply:
    """A whole answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    document: Any


@final
class RawConnection:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "RawConnection":
        """Connect; raises `ConnectionRefusedError` where nobody listens."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def write(self, content: bytes) -> None:
        self._writer.write(content)

    async def begin(self, body: bytes) -> None:
        """Send the head and half of the body, once the server says that it waits for it."""
        self.write(head(body, "Expect: 100-continue\r\n"))
        async with asyncio.timeout(SECONDS):
            line = await self._reader.readuntil(b"\r\n\r\n")
        assert line.startswith(b"HTTP/1.1 100"), line
        self.write(body[: len(body) // 2])

    def end(self, body: bytes) -> None:
        """Send the other half."""
        self.write(body[len(body) // 2 :])

    async def post(self, body: bytes) -> Reply | None:
        """Send a request; return its answer, see `reply`."""
        self.write(head(body) + body)
        return await self.reply()

    async def get(self, path: str) -> Reply | None:
        """Ask for a page."""
        self.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return await self.reply()

    async def reply(self) -> Reply | None:
        """Return the whole answer, or None if the connection ended without a byte of it.

        Raises
        ------
        LostAnswerError
            If it ended in the middle of an answer.
        """
        received = b""
        async with asyncio.timeout(SECONDS):
            while (found := _parse(received)) is None:
                try:
                    more = await self._reader.read(65536)
                except ConnectionError:
                    more = b""
                if more:
                    received += more
                elif received:
                    raise LostAnswerError(received[:200])
                else:
                    return None
        return found

    async def has_ended(self) -> bool:
        """Wait for the end of the connection; return whether nothing came before it."""
        async with asyncio.timeout(SECONDS):
            try:
                return not await self._reader.read(1)
            except ConnectionError:
                return True

    def close(self) -> None:
        """Close in an orderly way."""
        self._writer.close()

    def reset(self) -> None:
        """Close without a word: what was sent and not yet read is thrown away."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        self._writer.transport.abort()


def head(body: bytes, further: str = "") -> bytes:
    """Return the head of a request to /v1/impute."""
    return (
        f"POST /v1/impute HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{further}\r\n"
    ).encode()


def _parse(received: bytes) -> Reply | None:
    """Return an answer if it is whole."""
    start, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return None
    status, *lines = start.decode().split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    length = int(headers["content-length"])
    if len(body) < length:
        return None
    assert len(body) == length
    return Reply(int(status.split(" ")[1]), headers, json.loads(body))
