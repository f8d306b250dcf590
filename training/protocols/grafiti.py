"""P3, `grafiti-forecast`: hourly bins to hour 36 given, the next three bins asked.

Yalavarthi et al. 2024, "GraFITi: Graphs for Forecasting Irregularly Sampled Time Series", AAAI;
the same task in ProFITi and MOSES. Their code, https://github.com/yalavarthivk/GraFITi:
tsdm/datasets/physionet2012.py, tsdm/tasks/physionet2012.py.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from training.protocols.cells import Cells, Masked, mean_of_cells
from training.protocols.draws import train_test_split
from training.protocols.protocol import Protocol
from training.protocols.raw import PARAMETERS, STATICS, Stays, read_stays

LAST_CONTEXT_HOUR = 36
NUM_TARGET_BINS = 3
LIMIT_DEVIATIONS = 5.0
HOURS_PER_KEY = 64
VARIABLES = (
    *("pH", "PaCO2", "PaO2", "FiO2", "MechVent", "DiasABP", "HR", "MAP", "SysABP", "Temp", "GCS"),
    *("Urine", "Weight", "HCT", "BUN", "Creatinine", "Glucose", "HCO3", "Mg", "Platelets", "K"),
    *("Na", "WBC", "NIDiasABP", "NIMAP", "NISysABP", "RespRate", "ALP", "ALT", "AST"),
    *("Bilirubin", "SaO2", "Lactate", "Albumin", "TroponinT", "Cholesterol", "TroponinI"),
)


def load(data: Path, *, seed: int = 0, legacy_reader: bool = True) -> Protocol:
    """Load the protocol: `seed` is of the split, 0 in all five published folds.

    Values are averaged in hourly bins, standardized over all records (test included), and those
    at five deviations or more are dropped; a variable without spread is no channel. With
    `legacy_reader` the two faults of the published reader are repeated, see `_read`.
    """
    reading = _read(read_stays(data), is_legacy=legacy_reader)
    lines, bins = reading.lines, reading.bins
    cells = mean_of_cells(lines.stays, lines.minutes // 60, lines.channels(VARIABLES), lines.values)
    loc, deviation = cells.moments(len(VARIABLES))
    kept = np.flatnonzero(deviation > 0)
    loc, scale = loc[kept], deviation[kept]
    cells = _standardized(cells, kept, loc, scale)
    hours = cells.times
    masked = Masked(
        lines, cells, hours.astype(float), hours <= LAST_CONTEXT_HOUR, _is_target(cells, bins)
    )
    # Only a record with a bin is in the published table.
    stays = np.unique(bins.stays)
    outer = train_test_split(len(stays), seed=seed, test_size=0.15)
    inner = train_test_split(len(outer.train), seed=seed, test_size=0.2)
    return Protocol(
        name="grafiti-forecast",
        variables=tuple(VARIABLES[channel] for channel in kept),
        train=masked.part(stays[np.sort(outer.train[inner.train])]),
        validation=masked.part(stays[np.sort(outer.train[inner.test])]),
        test=masked.part(stays[np.sort(outer.test)]),
        seed=seed,
        loc=loc,
        scale=scale,
        sets=lines.sets,
        num_records=len(lines),
        options=(("reader", "legacy" if legacy_reader else "correct"),),
    )


@dataclass(frozen=True)
class _Bins:
    """The hours of each stay that are rows of the published table, in order."""

    stays: Int[np.ndarray, " bin"]
    hours: Int[np.ndarray, " bin"]


@dataclass(frozen=True)
class _Reading:
    lines: Stays
    bins: _Bins


def _read(raw: Stays, *, is_legacy: bool) -> _Reading:
    """Keep the lines of the series, and say which hours exist.

    Every static at minute 0 is a descriptor. The published reader writes an hour down when the
    next one begins, and so loses the line that begins it and the whole last hour. An hour without
    a line left is still a row.
    """
    is_static = np.array([name in STATICS for name in PARAMETERS])[raw.parameters]
    is_series = (raw.channels(VARIABLES) >= 0) & ~(is_static & (raw.minutes == 0))
    lines = raw.take(is_series)
    hours = lines.minutes // 60
    is_first_line = np.diff(lines.stays, prepend=-1) != 0
    begins = is_first_line | (np.diff(hours, prepend=-1) != 0)
    bins = _Bins(lines.stays[begins], hours[begins])
    if not is_legacy:
        return _Reading(lines, bins)
    is_last_bin = np.diff(bins.stays, append=-1) != 0
    is_in_last_bin = is_last_bin[np.cumsum(begins) - 1]
    is_read = ~(begins & ~is_first_line) & ~is_in_last_bin
    return _Reading(lines.take(is_read), _Bins(bins.stays[~is_last_bin], bins.hours[~is_last_bin]))


def _standardized(
    cells: Cells,
    kept: Int[np.ndarray, " channel"],
    loc: Float[np.ndarray, " channel"],
    scale: Float[np.ndarray, " channel"],
) -> Cells:
    """Renumber the channels that are kept, standardize, and drop what is far out."""
    position = np.full(len(VARIABLES), -1)
    position[kept] = np.arange(len(kept))
    channels = position[cells.channels]
    cells = replace(cells, channels=channels).take(channels >= 0).scaled(loc, scale)
    return cells.take(np.abs(cells.values) < LIMIT_DEVIATIONS)


def _is_target(cells: Cells, bins: _Bins) -> Bool[np.ndarray, " cell"]:
    """Return which cells are in the next three bins after the context, empty ones counted."""
    is_after = bins.hours > LAST_CONTEXT_HOUR
    stays, hours = bins.stays[is_after], bins.hours[is_after]
    is_new = np.diff(stays, prepend=-1) != 0
    first = np.flatnonzero(is_new)[np.cumsum(is_new) - 1]
    is_asked = np.arange(len(stays)) - first < NUM_TARGET_BINS
    asked = stays[is_asked] * HOURS_PER_KEY + hours[is_asked]
    return np.isin(cells.stays * HOURS_PER_KEY + cells.times, asked)
