"""P4, `csdi-imputation`: hourly cells of set A, a share of them hidden.

Tashiro et al. 2021, "CSDI: Conditional Score-based Diffusion Models for Probabilistic Time Series
Imputation", NeurIPS. Their code, https://github.com/ermongroup/CSDI: dataset_physio.py, utils.py.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from training.protocols.cells import Cells, Masked, last_of_cells
from training.protocols.draws import legacy_generator
from training.protocols.protocol import Protocol
from training.protocols.raw import Stays, read_set_a

HOURS = 48
VARIABLES = (
    *("DiasABP", "HR", "Na", "Lactate", "NIDiasABP", "PaO2", "WBC", "pH", "Albumin", "ALT"),
    *("Glucose", "SaO2", "Temp", "AST", "Bilirubin", "HCO3", "BUN", "RespRate", "Mg", "HCT"),
    *("SysABP", "FiO2", "K", "GCS", "Cholesterol", "NISysABP", "TroponinT", "MAP", "TroponinI"),
    *("PaCO2", "Platelets", "Urine", "NIMAP", "Creatinine", "ALP"),
)
"""In the published order: the draw of the hidden cells depends on it."""


def load(data: Path, *, seed: int = 1, fold: int = 0, hidden: float = 0.1) -> Protocol:
    """Load the protocol: `seed` is of the masks and of the folds, `hidden` the share of cells.

    35 variables in 48 hourly bins, the last value of a bin wins; standardized by mean and
    deviation over all records, test and hidden cells included. The reader drops the records that
    have no cell at all before it divides the rest: 70 % train, 20 % test (the fold), the rest
    validation.

    Raises
    ------
    ValueError
        If `fold` is not 0 to 4 or `hidden` not between 0 and 1.
    """
    if fold not in range(5) or not 0 < hidden < 1:
        raise ValueError(
            f"csdi-imputation: expected fold 0 to 4 and hidden between 0 and 1, got {fold}, {hidden}"
        )
    raw = read_set_a(data)
    cells = hourly_last(raw, VARIABLES)
    loc, deviation = cells.moments(len(VARIABLES))
    scale = np.where(deviation > 0, deviation, 1.0)
    counts = np.bincount(cells.stays, minlength=len(raw))
    is_hidden = _draw_hidden(counts, hidden, seed)
    folds = _draw_folds(np.flatnonzero(counts), fold, seed)
    masked = Masked(raw, cells.scaled(loc, scale), cells.times.astype(float), ~is_hidden, is_hidden)
    return Protocol(
        name="csdi-imputation",
        variables=VARIABLES,
        train=masked.part(folds.train),
        validation=masked.part(folds.validation),
        test=masked.part(folds.test),
        seed=seed,
        loc=loc,
        scale=scale,
        sets=raw.sets,
        num_records=len(raw),
        options=(("fold", str(fold)), ("hidden", f"{hidden:g}")),
    )


def hourly_last(raw: Stays, variables: tuple[str, ...]) -> Cells:
    """Return the last value of each of the 48 hours; minute 2880 is in none of them."""
    channels = raw.channels(variables)
    kept = (channels >= 0) & (raw.minutes < HOURS * 60)
    return last_of_cells(raw.stays[kept], raw.minutes[kept] // 60, channels[kept], raw.values[kept])


def _draw_hidden(
    counts: Int[np.ndarray, " stay"], share: float, seed: int
) -> Bool[np.ndarray, " cell"]:
    """Hide `int(share * n)` of the n cells of each record, one record after the other."""
    generator = legacy_generator(seed)
    is_hidden = np.zeros(counts.sum(), dtype=bool)
    start = 0
    for count in counts[counts > 0].tolist():
        chosen = generator.choice(count, int(count * share), replace=False)
        is_hidden[start + chosen] = True
        start += count
    return is_hidden


@dataclass(frozen=True)
class _Folds:
    """Positions of the stays of each part."""

    train: Int[np.ndarray, " train"]
    validation: Int[np.ndarray, " validation"]
    test: Int[np.ndarray, " test"]


def _draw_folds(stays: Int[np.ndarray, " stay"], fold: int, seed: int) -> _Folds:
    count = len(stays)
    order = np.arange(count)
    legacy_generator(seed).shuffle(order)
    start, stop = int(fold * 0.2 * count), int((fold + 1) * 0.2 * count)
    rest = np.delete(order, np.arange(start, stop))
    legacy_generator(seed).shuffle(rest)
    num_train = int(count * 0.7)
    return _Folds(stays[rest[:num_train]], stays[rest[num_train:]], stays[order[start:stop]])
