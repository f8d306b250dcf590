"""Fits the residual base before training: ridge least squares per variable and regime.

The rules are fitted on the training tasks themselves (one epoch of them), so that they know how far
away neighbors usually are. The ridge pulls towards interpolation: a rule with few targets stays
there.
"""

import numpy as np
import torch
from jaxtyping import Float, Int

from model.decoder import NUM_FEATURES, NUM_REGIMES, Record
from model.latent_ode import LatentODE
from training.loader import Loader
from training.ranks import Rank

_RIDGE = 20.0
# An epoch that training itself never reaches, so that the base is not fitted on its very batches.
_EPOCH = 1_000_000


class _NormalEquations:
    """Sums of products for every rule, [channel * regime, feature]."""

    def __init__(self, num_channels: int) -> None:
        size = num_channels * NUM_REGIMES
        self.gram = np.zeros((size, NUM_FEATURES, NUM_FEATURES))
        self.moment = np.zeros((size, NUM_FEATURES))

    def add(
        self,
        rules: Int[np.ndarray, " query"],
        features: Float[np.ndarray, "query feature"],
        residuals: Float[np.ndarray, " query"],
    ) -> None:
        order = np.argsort(rules, kind="stable")
        found, starts = np.unique(rules[order], return_index=True)
        for rule, rows in zip(found, np.split(order, starts[1:]), strict=True):
            self.gram[rule] += features[rows].T @ features[rows]
            self.moment[rule] += features[rows].T @ residuals[rows]

    def solve(self, rank: Rank) -> Float[np.ndarray, "rule feature"]:
        gram, moment = (
            rank.sum(torch.from_numpy(part)).numpy() for part in (self.gram, self.moment)
        )
        solved: np.ndarray = np.linalg.solve(
            gram + _RIDGE * np.eye(NUM_FEATURES), moment[..., None]
        )
        return solved[..., 0]


def fit_residual_base(network: LatentODE, loader: Loader) -> None:
    """Set the weights of the network's residual base."""
    weights = network.decoder.base.weights
    start = weights.detach().cpu().double().numpy().reshape(-1, NUM_FEATURES)
    equations = _NormalEquations(len(weights))
    limit = loader.config.largest_target
    for training_batch in loader.epoch(_EPOCH):
        if training_batch is None:
            continue
        batch = training_batch.batch.map(torch.from_numpy)
        record = Record.of(batch)
        features = record.features.double().numpy()
        rules = (batch.query_channels * NUM_REGIMES + record.regime).numpy()
        targets = np.clip(training_batch.values, -limit, limit)
        equations.add(rules, features, targets - (start[rules] * features).sum(-1))
    solved = start + equations.solve(loader.rank)
    weights.copy_(torch.from_numpy(solved.reshape(weights.shape)))
