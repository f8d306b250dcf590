"""Small random networks for tests."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from model.config import LatentODEConfig
from model.data.batch import build_batch
from model.data.normalization import Normalization
from model.data.query import Query
from model.data.series import Cohort
from model.latent_ode import LatentODE, LatentODEOutput
from tests.catalogues import CHALLENGE
from tests.series import random_cohort

COHORT = random_cohort(6, np.random.default_rng(11), limits_share=0.15)
NORMALIZATION = Normalization.fit(COHORT, CHALLENGE)
CONFIG = LatentODEConfig(
    num_channels=len(CHALLENGE),
    num_statics=len(CHALLENGE.statics),
    latent_dim=6,
    encoder_dim=12,
    encoder_heads=2,
    dynamics_dim=8,
    decoder_dim=14,
    reads_limits=True,
)
NUM_SAMPLES = 3
NOISE = torch.randn(NUM_SAMPLES, 1, 6, generator=torch.Generator().manual_seed(0))


def untrained_network(config: LatentODEConfig, seed: int = 1) -> LatentODE:
    """Return a network as training finds it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # noqa: TID251  a fixed network, undone by the fork
        return LatentODE(config)


def random_network(seed: int = 1, *, std: float = 0.2, **changes: object) -> LatentODE:
    """Return a network in which every weight matters: no head that starts at zero."""
    network = untrained_network(replace(CONFIG, **changes), seed)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in (*network.parameters(), network.decoder.base.weights):
            weights.add_(std * torch.randn(weights.shape, generator=generator))
    return network.eval()


def grid_query(num_series: int, times: np.ndarray, channels: tuple[int, ...]) -> Query:
    """Ask every series for some channels at some times."""
    return Query.grid([times] * num_series, [np.array(channels)] * num_series)


def answer(
    network: LatentODE, cohort: Cohort, query: Query, noise: Tensor = NOISE
) -> LatentODEOutput:
    """Ask a network about a cohort."""
    batch = build_batch(
        cohort,
        query,
        NORMALIZATION,
        knot_hours=network.config.knot_hours,
        is_causal=network.config.direction == "filter",
    )
    output: LatentODEOutput = network(batch.map(torch.from_numpy), noise)
    return output
