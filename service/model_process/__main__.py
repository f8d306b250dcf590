"""The process: `python -m service.model_process FD`, where FD is its end of a socket pair.

It ends when the other end is closed, and only then: signals that a terminal or a supervisor sends to
the whole group are for the server, which still has requests to answer.
"""

import gc
import logging
import os
import signal
import sys
from multiprocessing.connection import Connection

from model.errors import ArtifactError
from model.runtime.backends import load_predictor
from model.runtime.predictor import Prediction, Predictor, Request
from service.log import log_to_stderr, places_of
from service.model_process.messages import Failed, Opened, Opening

_logger = logging.getLogger("service.model_process")


def main(connection: Connection) -> None:
    """Load what is asked for, and answer until the other end is closed."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    try:
        opening: Opening = connection.recv()
        try:
            predictor = load_predictor(
                opening.artifact,
                backend=opening.backend,
                device=opening.device,
                num_threads=opening.num_threads,
            )
        except Exception as error:  # noqa: BLE001  handed to who asked
            connection.send(_failed(error))
            return
        connection.send(Opened(predictor.computed_by))
        # What is loaded stays: the collector need not walk through it in the middle of a request.
        gc.collect()
        gc.freeze()
        while True:
            request: Request = connection.recv()
            connection.send(_answer(predictor, request))
    except (EOFError, ConnectionError):
        return


def _answer(predictor: Predictor, request: Request) -> Prediction | Failed:
    try:
        return predictor.predict(request)
    except Exception as error:  # noqa: BLE001  handed to who asked
        return _failed(error)


def _failed(error: Exception) -> Failed:
    if isinstance(error, ArtifactError):
        return Failed(str(error), is_of_artifact=True)
    _logger.error("%s: %s", type(error).__name__, places_of(error))
    return Failed(f"{type(error).__name__} in the process of the model; its log says where")


if __name__ == "__main__":
    log_to_stderr()
    main(Connection(int(sys.argv[1])))
    # Nothing is left to tidy up, and the server waits for the end.
    os._exit(0)
