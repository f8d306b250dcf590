"""A server as an object: bound first, then run, here or in a thread beside the caller."""

import gc
import signal
import socket
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Self, final

import uvicorn

from service.app import Application
from service.operations.stopping import Stopping
from service.settings import Settings


@final
class DrainingServer(uvicorn.Server):
    """After a stop signal it goes on listening for a while, to say no, and then stops.

    Uvicorn alone closes the port and every idle connection at once: a request on its way there is
    answered with a reset.
    """

    def __init__(self, config: uvicorn.Config, stopping: Stopping, *, drain_seconds: float) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._drain_seconds = drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a stop signal; a second SIGINT ends everything at once."""
        self._stopping.begin()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Return whether it is time to stop; asked ten times a second."""
        is_told = await super().on_tick(counter)
        return is_told and (self.force_exit or self._stopping.has_lasted(self._drain_seconds))


def make_server(app: Application, settings: Settings) -> DrainingServer:
    """Make a server that logs no paths, sends no banner, and finishes what it has begun."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    return DrainingServer(config, app.stopping, drain_seconds=settings.drain_seconds)


def bind(settings: Settings) -> socket.socket:
    """Take the address of the settings.

    Raises
    ------
    OSError
        If it cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family)


def run_until_stopped(server: uvicorn.Server, listener: socket.socket) -> bool:
    """Serve until SIGINT or SIGTERM; return whether the server ever started."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # What is loaded stays: the collector need not walk through it in the middle of a request.
    gc.collect()
    gc.freeze()
    # After its own orderly end uvicorn raises the signal once more, for whoever handled it before.
    signal.signal(signal.SIGTERM, stop)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    return server.started


@final
class BackgroundServer:
    """Serves in a thread while the `with` block runs. `url` is where.

    >>> import urllib.request
    >>> from service.app import create_app
    >>> settings = Settings(port=0, artifact=artifact, model_process=False)
    >>> with BackgroundServer(create_app(settings), settings) as server:
    ...     urllib.request.urlopen(f"{server.url}/health/live").status
    200
    """

    def __init__(self, app: Application, settings: Settings) -> None:
        self._socket = bind(settings)
        self._server = make_server(app, settings)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="server"
        )
        host, port = self._socket.getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    @property
    def is_running(self) -> bool:
        """Whether the server has not stopped by itself."""
        return self._thread.is_alive()

    def wait(self) -> None:
        """Serve until the server stops or the caller is interrupted."""
        self._thread.join()
