"""P5, `saits-imputation`: hourly cells, a tenth of them hidden in validation and test.

Du et al. 2023, "SAITS: Self-Attention-based Imputation for Time Series", Expert Systems with
Applications 219:119619, https://github.com/WenjieDu/SAITS
(dataset_generating_scripts/gene_PhysioNet2012_dataset.py); Du et al. 2024, "TSI-Bench:
Benchmarking Time Series Imputation", https://github.com/WenjieDu/BenchPOTS
(benchpots/datasets/physionet_2012.py) and https://github.com/WenjieDu/Awesome_Imputation
(benchmark_code/data/dataset_generating_point01.py).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from training.datasets.errors import SourceFormatError
from training.protocols import csdi
from training.protocols.cells import Cells, Masked, mean_of_cells
from training.protocols.draws import legacy_generator
from training.protocols.protocol import Protocol
from training.protocols.raw import SERIES, STATICS, Stays, read_set_a, read_stays

HOURS = 48
HIDDEN_SHARE = 0.1


@dataclass(frozen=True)
class Variant:
    """One of the two readings: its variables in the published order, and its published seed."""

    variables: tuple[str, ...]
    seed: int


VARIANTS = {
    "saits": Variant(tuple(sorted((*SERIES, "Weight"))), 26),
    "tsi-bench": Variant(csdi.VARIABLES, 2024),
}


def load(data: Path, *, seed: int | None = None, variant: str = "saits") -> Protocol:
    """Load the protocol, as the SAITS paper or as TSI-Bench reads it.

    Values are averaged in 48 hourly bins and standardized on train; records that have lines in one
    hour only are left out. One stream of random numbers draws the split and then the masks of
    validation and test.

    `saits`: all sets, 37 variables (Weight is one, -1 a value). `tsi-bench`: set A, the 35 variables
    of CSDI, split within the survivors and within the dead, and every cell of the grid is hidden
    with probability .1, the empty ones as well.

    Train has no hidden cells in either: its targets are drawn here last, a tenth, by the rule of the
    test. The static Weight is unknown in `saits`: it would tell a hidden cell.

    Raises
    ------
    ValueError
        If there is no such variant.
    SourceFormatError
        If `tsi-bench` finds no set A or no `Outcomes-a.txt`.
    """
    if variant not in VARIANTS:
        raise ValueError(f"saits-imputation: no variant {variant!r}; expected saits or tsi-bench")
    is_saits, variables = variant == "saits", VARIANTS[variant].variables
    seed = VARIANTS[variant].seed if seed is None else seed
    raw = read_stays(data) if is_saits else read_set_a(data)
    stays, cells = _hourly_means(raw, variables, is_saits=is_saits)
    generator = legacy_generator(seed)
    if is_saits:
        division = _divide(stays, generator)
    else:
        division = _divide_by_outcome(stays, _died(data, raw.record_ids), generator)
    loc, deviation = cells.take(np.isin(cells.stays, division.train)).moments(len(variables))
    loc, scale = np.where(np.isfinite(loc), loc, 0.0), np.where(deviation > 0, deviation, 1.0)
    is_hidden = _hidden(cells, division, generator, None if is_saits else len(variables))
    masked = Masked(
        _without_weight(raw) if is_saits else raw,
        cells.scaled(loc, scale),
        cells.times.astype(float),
        ~is_hidden,
        is_hidden,
    )
    return Protocol(
        name="saits-imputation",
        variables=variables,
        train=masked.part(division.train),
        validation=masked.part(division.validation),
        test=masked.part(division.test),
        seed=seed,
        loc=loc,
        scale=scale,
        sets=raw.sets,
        num_records=len(raw),
        options=(("variant", variant),),
    )


def _hourly_means(
    raw: Stays, variables: tuple[str, ...], *, is_saits: bool
) -> tuple[Int[np.ndarray, " stay"], Cells]:
    """Return the stays that are used and the means of their hours.

    The SAITS script pads a record unless it has 48 distinct hours already: one whose last is hour
    48 then keeps its 48 rows, and those after its missing hour lie one step early.
    """
    hours = raw.minutes // 60
    keys, inverse = np.unique(raw.stays * (HOURS + 1) + hours, return_inverse=True)
    counts = np.bincount(keys // (HOURS + 1), minlength=len(raw))
    is_used = counts > 1
    if is_saits:
        first = np.cumsum(counts) - counts
        rank = np.arange(len(keys)) - first[keys // (HOURS + 1)]
        hours = np.where(counts[raw.stays] == HOURS, rank[inverse], hours)
    channels = raw.channels(variables)
    kept = (channels >= 0) & is_used[raw.stays] & (hours < HOURS)
    cells = mean_of_cells(raw.stays[kept], hours[kept], channels[kept], raw.values[kept])
    return np.flatnonzero(is_used), cells


def _without_weight(raw: Stays) -> Stays:
    is_weight = np.array(STATICS) == "Weight"
    return replace(raw, statics=np.where(is_weight, np.nan, raw.statics))


@dataclass(frozen=True)
class _Division:
    """Positions of the stays of each part, ascending."""

    train: Int[np.ndarray, " train"]
    validation: Int[np.ndarray, " validation"]
    test: Int[np.ndarray, " test"]


def _divide(stays: Int[np.ndarray, " stay"], generator: np.random.RandomState) -> _Division:
    """Split off 20 % as test and 20 % of the rest as validation, as scikit-learn does."""
    num_test = len(stays) - int(0.8 * len(stays))
    seen, test = _split(stays, num_test, generator)
    train, validation = _split(seen, int(np.ceil(0.2 * len(seen))), generator)
    return _Division(np.sort(train), np.sort(validation), np.sort(test))


def _divide_by_outcome(
    stays: Int[np.ndarray, " stay"],
    died: Bool[np.ndarray, " stay"],
    generator: np.random.RandomState,
) -> _Division:
    groups = []
    for group in (stays[died[stays]], stays[~died[stays]]):
        seen, test = _split(group, int(np.ceil(0.2 * len(group))), generator)
        train, validation = _split(seen, int(np.ceil(0.2 * len(seen))), generator)
        groups.append((train, validation, test))
    return _Division(*(np.sort(np.concatenate(parts)) for parts in zip(*groups, strict=True)))


def _split(
    stays: Int[np.ndarray, " stay"], num_test: int, generator: np.random.RandomState
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " test"]]:
    order = generator.permutation(len(stays))
    return stays[order[num_test:]], stays[order[:num_test]]


def _hidden(
    cells: Cells,
    division: _Division,
    generator: np.random.RandomState,
    grid_channels: int | None,
) -> Bool[np.ndarray, " cell"]:
    """Hide a tenth of the cells of a part together, or each place of a grid with probability .1."""
    is_hidden = np.zeros(len(cells.values), dtype=bool)
    for part in (division.validation, division.test, division.train):
        rows = np.flatnonzero(np.isin(cells.stays, part))
        if grid_channels is None:
            count = int(len(rows) * HIDDEN_SHARE)
            is_hidden[rows[generator.choice(len(rows), count, replace=False)]] = True
        else:
            grid = generator.rand(len(part), HOURS, grid_channels)
            place = np.searchsorted(part, cells.stays[rows])
            is_hidden[rows] = grid[place, cells.times[rows], cells.channels[rows]] < HIDDEN_SHARE
    return is_hidden


def _died(data: Path, record_ids: Int[np.ndarray, " stay"]) -> Bool[np.ndarray, " stay"]:
    """Read in-hospital death from the challenge's `Outcomes-a.txt`, beside or above the set."""
    paths = [folder / "Outcomes-a.txt" for folder in (data, data.parent)]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise SourceFormatError(
            f"{data}: no Outcomes-a.txt; TSI-Bench splits set A by in-hospital death, put the "
            "challenge's file of that name beside set-a"
        )
    header, *lines = path.read_text(encoding="utf-8").split()
    columns = header.split(",")
    wanted = ("RecordID", "In-hospital_death")
    if any(name not in columns for name in wanted):
        raise SourceFormatError(f"{path}: expected the columns {' and '.join(wanted)}")
    places = [columns.index(name) for name in wanted]
    outcomes = {}
    for line in lines:
        record, death = (line.split(",")[place] for place in places)
        outcomes[int(record)] = death == "1"
    return np.array([outcomes.get(record, False) for record in record_ids.tolist()])
