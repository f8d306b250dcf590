"""P2, `tpatchgnn-forecast`: 24 hours given, the next 24 hours asked.

Zhang et al. 2024, "Irregular Multivariate Time Series Forecasting: A Transformable Patching Graph
Neural Networks Approach", ICML. Their code, https://github.com/usail-hkust/t-PatchGNN:
lib/physionet.py, lib/parse_datasets.py, lib/evaluation.py.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from training.protocols.cells import Cells, Masked, mean_of_cells
from training.protocols.draws import train_test_split
from training.protocols.protocol import Protocol
from training.protocols.raw import PARAMETERS, read_stays

PUBLISHED_SEED = 42
HISTORY_MINUTES = 24 * 60


def load(data: Path, *, seed: int = PUBLISHED_SEED) -> Protocol:
    """Load the protocol; any seed but 42 gives another split.

    All 41 parameters with the descriptors at minute 0 (-1 is a value), lines of one minute
    averaged, scaled by the range over train and validation. 80 % of the records are train (the
    first three quarters) and validation, 20 % test.
    """
    raw = read_stays(data)
    cells = mean_of_cells(raw.stays, raw.minutes, raw.parameters, raw.values)
    split = train_test_split(len(raw), seed=seed, train_size=0.8)
    num_train = int(0.75 * len(split.train))
    is_seen = np.zeros(len(raw), dtype=bool)
    is_seen[split.train] = True
    loc, scale = _range(cells.take(is_seen[cells.stays]))
    cells = cells.scaled(loc, scale)
    is_context = cells.times < HISTORY_MINUTES
    masked = Masked(raw, cells, cells.times / 60, is_context, ~is_context)
    return Protocol(
        name="tpatchgnn-forecast",
        variables=PARAMETERS,
        train=masked.part(split.train[:num_train]),
        validation=masked.part(split.train[num_train:]),
        test=masked.part(split.test),
        seed=seed,
        loc=loc,
        scale=scale,
        sets=raw.sets,
        num_records=len(raw),
    )


def _range(
    cells: Cells,
) -> tuple[Float[np.ndarray, " channel"], Float[np.ndarray, " channel"]]:
    """Return minimum and range; the published code divides a constant by 1e-8."""
    low, high = cells.minimum(len(PARAMETERS)), cells.maximum(len(PARAMETERS))
    is_seen = np.isfinite(low)
    low, high = np.where(is_seen, low, 0.0), np.where(is_seen, high, 1.0)
    return low, np.where(high > low, high - low, 1e-8)
