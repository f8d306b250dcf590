"""Between a stop signal and the end: what is new is refused, what has begun is finished.

The server stops listening only after a while (`drain_seconds`), so that a load balancer sees the
readiness turn and clients get an answer that says why, instead of a reset connection. Plain ASGI,
like the rest of the middleware.
"""

import asyncio
import time
from contextlib import suppress
from typing import final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ShuttingDownError, problem_response
from service.slices import Part

# The process is alive until its end: a supervisor must not kill it for finishing its work.
_LIVE_PATH = "/health/live"
_DISCARD_SECONDS = 1.0


@final
class Stopping:
    """Whether the server was told to stop, and when. Set by a signal handler."""

    def __init__(self) -> None:
        self._begun: float | None = None

    @property
    def has_begun(self) -> bool:
        """Whether it was told."""
        return self._begun is not None

    def begin(self) -> None:
        """Note the first signal."""
        if self._begun is None:
            self._begun = time.monotonic()

    def has_lasted(self, seconds: float) -> bool:
        """Return whether `seconds` have passed since; also True if it was never told."""
        return self._begun is None or time.monotonic() >= self._begun + seconds


STOPPING = Part[Stopping]("stopping")


@final
class RefusalWhenStopping:
    """Answers what comes after the stop signal with 503, and closes every connection."""

    def __init__(self, app: ASGIApp, stopping: Stopping) -> None:
        self._app = app
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; anything but HTTP passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self._stopping.has_begun:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        if self._stopping.has_begun and scope["path"] != _LIVE_PATH:
            await _discard_body(receive)
            error = ShuttingDownError(
                "the server is being stopped; ask another one, or again later"
            )
            await problem_response(error)(scope, receive, send_closing)
        else:
            await self._app(scope, receive, send_closing)


async def _discard_body(receive: Receive) -> None:
    """Read what is being sent: closing on unread bytes resets, and can overtake the answer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            while (await receive()).get("more_body", False):
                pass
