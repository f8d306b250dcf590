"""The peer: LitServe, a library that does the batching, with our predictor and our reading.

Its settings are the best for it that we know of. One worker, as ours has one model. How long a batch
waits for company is the one that depends on the load: 1 ms is best for one client, as every request
waits so long even if nobody else asks; 10 ms fill the batches of 32 clients. With 0 its worker asks
the queue without a pause and takes a core for nothing. `fast_queue` is ZeroMQ in place of a managed
queue. An answer leaves the worker as bytes, so that it is neither validated nor turned into JSON a
second time.
"""

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import litserve
from fastapi import Request
from fastapi.responses import Response

from model.runtime.predictor import Predictor
from service.inference.answering import Detail
from service.inference.answers import Answer, AnsweredSeries, ModelIdentity, Timings
from service.inference.asking import Options
from service.inference.batching import Asked, answer_batch
from service.inference.query import Reach
from service.inference.requests import read_request, require_any
from service.inference.schemas import ImputeRequest
from service.inference.status import IMPUTED
from service.registry.loading import open_predictor, warm_up
from service.settings import Settings
from service.wire import json_response

MAX_BATCH_SIZE = 32


@final
class Impute(litserve.LitAPI):  # type: ignore[misc]  # it carries no types
    """POST /v1/impute."""

    predictor: Predictor

    def __init__(self, artifact: Path, *, batch_seconds: float) -> None:
        super().__init__(
            max_batch_size=MAX_BATCH_SIZE, batch_timeout=batch_seconds, api_path="/v1/impute"
        )
        self._artifact = artifact
        self._settings = Settings()
        self._predict_ms = 0.0

    def setup(self, device: str) -> None:
        """Load in the worker."""
        del device
        loaded = open_predictor(self._artifact, backend="onnx", device="cpu", num_threads=1)
        self.predictor = warm_up(loaded)

    def decode_request(self, request: Request) -> Asked:
        """Read a body, which LitServe has parsed: the annotation only tells it to."""
        body = ImputeRequest.model_validate(request)
        catalogue = self.predictor.artifact.catalogue
        read = read_request(
            body, catalogue=catalogue, settings=self._settings, reach=Reach.ANYWHERE
        )
        require_any(read)
        options = Options(tuple(body.quantile_levels), body.num_samples, body.seed)
        return Asked(self.predictor, read.good, options, Detail(IMPUTED))

    def batch(self, inputs: list[Asked]) -> list[Asked]:
        """Leave it to our own joining."""
        return inputs

    def predict(self, x: Sequence[Asked]) -> list[list[AnsweredSeries] | Exception]:
        """Run the model once for all that join, as our server does."""
        started = time.perf_counter()
        answers = answer_batch(x)
        self._predict_ms = 1e3 * (time.perf_counter() - started)
        return answers

    def unbatch(self, output: list[list[AnsweredSeries] | Exception]) -> list[Any]:
        """Give each request its own."""
        return output

    def encode_response(self, output: list[AnsweredSeries] | Exception) -> Response:
        """Write the documented answer."""
        if isinstance(output, Exception):
            raise output
        manifest = self.predictor.artifact.manifest
        identity = ModelIdentity(manifest.name, manifest.version, self.predictor.artifact.sha256)
        # It does not say how long a request has waited: null.
        timings = Timings(math.nan, round(self._predict_ms, 3))
        return json_response(Answer(identity, 0, [*output], timings))


def main(artifact: Path, port: int, *, batch_seconds: float) -> None:
    """Serve until stopped."""
    server = litserve.LitServer(
        Impute(artifact, batch_seconds=batch_seconds),
        accelerator="cpu",
        devices=1,
        workers_per_device=1,
        healthcheck_path="/health/ready",
        fast_queue=True,
    )
    server.run(
        host="127.0.0.1",
        port=port,
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), batch_seconds=1e-3 * float(sys.argv[3]))
