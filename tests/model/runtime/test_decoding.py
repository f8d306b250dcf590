"""However the work is cut, the components of an answer are the same."""

from dataclasses import fields
from pathlib import Path
from typing import final

import numpy as np
import pytest
from jaxtyping import Float

from model.artifact import Artifact, load_artifact
from model.config import LatentODEConfig
from model.data.batch import Batch
from model.data.query import Query
from model.data.series import offsets_from_counts
from model.runtime.decoding import Decoded, decode
from model.runtime.network import Network, NetworkOutput
from model.runtime.torch_network import TorchNetwork
from tests.catalogues import CHALLENGE
from tests.series import random_cohort

COHORT = random_cohort(6, np.random.default_rng(4))
PER_SERIES = 7
NUM_DRAWS = 40


@final
class SmallNetwork:
    """A network that answers few queries at a time, and counts the rows of every run."""

    computed_by = "a test"

    def __init__(self, network: Network, max_queries: int) -> None:
        self._network = network
        self.max_queries = max_queries
        self.rows: list[int] = []

    @property
    def config(self) -> LatentODEConfig:
        return self._network.config

    def run(
        self, batch: Batch[np.ndarray], noise: Float[np.ndarray, "draw 1 latent"]
    ) -> NetworkOutput:
        self.rows.append(len(noise) * len(batch.query_channels))
        return self._network.run(batch, noise)


@pytest.fixture(scope="module")
def artifact(tiny_artifact: Path) -> Artifact:
    return load_artifact(tiny_artifact)


def decoded(artifact: Artifact, network: Network) -> Decoded:
    generator = np.random.default_rng(5)
    size = len(COHORT) * PER_SERIES
    query = Query(
        offsets_from_counts(np.full(len(COHORT), PER_SERIES)),
        generator.uniform(-3, 60, size),
        np.arange(size + 1),
        generator.integers(0, len(CHALLENGE), size),
    )
    noise = generator.standard_normal((NUM_DRAWS, 1, artifact.config.latent_dim))
    return decode(network, artifact.normalization, COHORT, query, noise)


@pytest.mark.parametrize("max_queries", [1, PER_SERIES, 20, 1000])
def test_pieces_of_series_and_of_draws_change_nothing(artifact: Artifact, max_queries: int) -> None:
    network = TorchNetwork.load(artifact)
    small = SmallNetwork(network, max_queries)
    found, expected = decoded(artifact, small), decoded(artifact, network)
    for field in fields(Decoded):
        np.testing.assert_allclose(
            getattr(found, field.name), getattr(expected, field.name), rtol=1e-4, atol=1e-5
        )
    # One series is never cut, and 32 draws of as many queries as are wanted are held at a time.
    assert max(small.rows) <= max(32 * max_queries, NUM_DRAWS * max_queries, PER_SERIES)
    assert sum(small.rows) == NUM_DRAWS * PER_SERIES * len(COHORT)
