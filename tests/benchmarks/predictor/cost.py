"""What one request costs, in time and in processor time, and how much of it is the network's."""

import time
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from model.artifact import Artifact
from model.config import LatentODEConfig
from model.data.batch import Batch
from model.runtime.mixture_predictor import MixturePredictor
from model.runtime.network import Network, NetworkOutput
from model.runtime.predictor import Request

_FEWEST, _MOST = 3, 200


@dataclass(frozen=True)
class Cost:
    """Seconds of one request: medians over the repetitions. `network` is a part of `wall`."""

    wall: float
    cpu: float
    network: float

    @classmethod
    def measure(
        cls, artifact: Artifact, network: Network, request: Request, *, seconds: float
    ) -> "Cost":
        """Repeat for about so long, at least three times, after one that is not counted."""
        timed = _TimedNetwork(network)
        predictor = MixturePredictor(artifact, timed)
        predictor.predict(request)
        found: list[tuple[float, float, float]] = []
        end = time.perf_counter() + seconds
        while len(found) < _FEWEST or (len(found) < _MOST and time.perf_counter() < end):
            before = _now(timed)
            predictor.predict(request)
            found.append(tuple(np.subtract(_now(timed), before)))
        return cls(*map(float, np.median(found, axis=0)))


def _now(timed: "_TimedNetwork") -> tuple[float, float, float]:
    return time.perf_counter(), time.process_time(), timed.seconds


@final
class _TimedNetwork:
    """A network that notes how long it runs."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.seconds = 0.0

    @property
    def config(self) -> LatentODEConfig:
        return self._network.config

    @property
    def computed_by(self) -> str:
        return self._network.computed_by

    @property
    def max_queries(self) -> int:
        """That of the network inside."""
        return self._network.max_queries

    def run(
        self, batch: Batch[np.ndarray], noise: Float[np.ndarray, "draw 1 latent"]
    ) -> NetworkOutput:
        started = time.perf_counter()
        output = self._network.run(batch, noise)
        self.seconds += time.perf_counter() - started
        return output
