"""The predictor whose model runs in a process of its own."""

import logging
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import final

from model.artifact import Artifact
from model.runtime.backends import Backend, Device
from model.runtime.predictor import Prediction, Request
from service.model_process.messages import Failed, ModelProcessError, Opened, Opening, Reply

_CLOSING_SECONDS = 5.0
# Of a socket whose other end is gone, or whose own end was closed when no process could be started.
_GONE = (EOFError, OSError)
_logger = logging.getLogger("service.model_process")


@final
class ProcessPredictor:
    """Answers as the predictor of the artifact does, from another process.

    A process that dies is replaced, and asked once more: one that the system killed for another's
    memory costs nobody an answer, and a request that kills it fails alone. The process ends with
    this object, and with the server, however that ends.

    Raises
    ------
    ArtifactError
        If the backend or the device is not there, or the artifact has no graph for it.
    ModelProcessError
        If the process ends before the model is loaded.
    """

    def __init__(
        self, artifact: Artifact, *, backend: Backend, device: Device, num_threads: int
    ) -> None:
        self._opening = Opening(artifact, backend, device, num_threads)
        self._lock = threading.Lock()
        self._child = self._start()

    @property
    def artifact(self) -> Artifact:
        """The artifact that answers."""
        return self._opening.artifact

    @property
    def computed_by(self) -> str:
        """Library and device that run the network, for people."""
        return self._child.computed_by

    @property
    def process_id(self) -> int:
        """The process that answers now."""
        return self._child.process_id

    def predict(self, request: Request) -> Prediction:
        """Answer every query of the request; see `Predictor`.

        Raises
        ------
        ModelProcessError
            If the model raised an error, or the process ended twice over this request.
        """
        with self._lock:
            reply = self._ask(request)
        if isinstance(reply, Failed):
            raise reply.to_error()
        assert isinstance(reply, Prediction)
        return reply

    def _ask(self, request: Request) -> Reply:
        try:
            return self._child.ask(request)
        except _GONE:
            self._replace()
        try:
            return self._child.ask(request)
        except _GONE:
            raise ModelProcessError(
                f"the process of the model ended twice over one request of {len(request.context)} "
                "series; see the log for its status"
            ) from None

    def _replace(self) -> None:
        _logger.error("the process of the model %s; starting another", self._child.close())
        self._child = self._start()

    def _start(self) -> "_Child":
        child = _Child(self._opening)
        weakref.finalize(self, child.close)
        _logger.info("process %d has the model, for %s", child.process_id, child.computed_by)
        return child


@final
class _Child:
    """One process, and this end of the socket pair."""

    def __init__(self, opening: Opening) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            self._process = _run(theirs)
        try:
            reply = self.ask(opening)
        except _GONE:
            status = self.close()
            raise ModelProcessError(f"before it had loaded, the process {status}") from None
        if isinstance(reply, Failed):
            self.close()
            raise reply.to_error()
        assert isinstance(reply, Opened)
        self.computed_by = reply.computed_by

    @property
    def process_id(self) -> int:
        return self._process.pid

    def ask(self, question: Opening | Request) -> Reply:
        self._connection.send(question)
        reply: Reply = self._connection.recv()
        return reply

    def close(self) -> str:
        """End the process, and say how it ended."""
        with suppress(OSError):
            self._connection.close()
        try:
            status = self._process.wait(_CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        return f"ended with status {status}" if status >= 0 else f"was killed by signal {-status}"


def _run(connection: Connection) -> "subprocess.Popen[bytes]":
    number = connection.fileno()
    words = [sys.executable, "-m", "service.model_process", str(number)]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, pass_fds=[number])
