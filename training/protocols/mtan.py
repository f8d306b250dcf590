"""P1, `mtan-interpolation`: a share of a record's rows given, every observation asked.

Shukla and Marlin 2021, "Multi-Time Attention Networks for Irregularly Sampled Time Series", ICLR,
on the reader of Rubanova et al. 2019. Their code: https://github.com/reml-lab/mTAN (src/utils.py,
src/physionet.py, src/tan_interpolation.py), https://github.com/YuliaRubanova/latent_ode.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from training.protocols.cells import Cells, Masked, mean_of_cells
from training.protocols.draws import train_test_split
from training.protocols.protocol import Protocol
from training.protocols.raw import MINUTES, PARAMETERS, Stays, read_stays

SPLIT_SEED = 42
QUANTIZATION_HOURS = 0.016


def load(data: Path, *, seed: int = 0, fraction: float = 0.5) -> Protocol:
    """Load the protocol: `seed` is of the draw of the rows, `fraction` the share that is given.

    All 41 parameters, the descriptors of minute 0 included (-1 is a value); minimum and maximum
    over all records, and values are divided by the maximum, not by the range. Published are train
    and test only; the last fifth of train is set aside for validation. The statics of a series are
    known only where its row of minute 0 is given: otherwise they would tell what is asked.

    Raises
    ------
    ValueError
        If `fraction` is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"mtan-interpolation: expected a fraction between 0 and 1, got {fraction}")
    raw = read_stays(data)
    cells = mean_of_cells(raw.stays, raw.minutes, raw.parameters, raw.values)
    loc, scale = cells.minimum(len(PARAMETERS)), cells.maximum(len(PARAMETERS))
    loc = np.where(np.isfinite(loc), loc, 0.0)
    scale = np.where(np.isfinite(scale) & (scale != 0), scale, 1.0)
    is_given = draw_rows(cells, fraction, np.random.default_rng(seed))
    times_hours = np.rint(cells.times / 60 / QUANTIZATION_HOURS) * QUANTIZATION_HOURS
    masked = Masked(
        _hide_statics(raw, cells, is_given),
        cells.scaled(loc, scale),
        times_hours,
        is_given,
        np.ones(len(is_given), dtype=bool),
    )
    split = train_test_split(len(raw), seed=SPLIT_SEED, train_size=0.8)
    num_train = int(0.8 * len(split.train))
    return Protocol(
        name="mtan-interpolation",
        variables=PARAMETERS,
        train=masked.part(split.train[:num_train]),
        validation=masked.part(split.train[num_train:]),
        test=masked.part(split.test),
        seed=seed,
        loc=loc,
        scale=scale,
        sets=raw.sets,
        num_records=len(raw),
        options=(("fraction", f"{fraction:g}"),),
    )


def draw_rows(
    cells: Cells, fraction: float, generator: np.random.Generator
) -> Bool[np.ndarray, " cell"]:
    """Choose `int(fraction * n)` of the n rows of each stay; a larger fraction keeps the same rows.

    A row is a minute with at least one value.
    """
    rows, row_of_cell = np.unique(cells.stays * MINUTES + cells.times, return_inverse=True)
    stays = rows // MINUTES
    order = np.lexsort((generator.random(len(rows)), stays))
    counts = np.bincount(stays)
    first = np.cumsum(counts) - counts
    rank = np.empty(len(rows), dtype=np.int64)
    rank[order] = np.arange(len(rows)) - first[stays]
    is_kept = rank < np.floor(fraction * counts)[stays]
    return np.asarray(is_kept[row_of_cell])


def _hide_statics(raw: Stays, cells: Cells, is_given: Bool[np.ndarray, " cell"]) -> Stays:
    is_known = np.zeros(len(raw), dtype=bool)
    is_known[cells.stays[is_given & (cells.times == 0)]] = True
    return replace(raw, statics=np.where(is_known[:, None], raw.statics, np.nan))
