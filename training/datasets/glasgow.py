"""The total of the coma scale, from records that chart its three parts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from model.data.cleaning import Drop

TOTAL = "GCS"


@dataclass(frozen=True)
class GlasgowTotals:
    """`rows` take the total `values`; every other row of a part is in `drops`."""

    rows: Int[np.ndarray, " total"]
    values: Float[np.ndarray, " total"]
    drops: tuple[Drop, ...]


def add_up(
    part: Int[np.ndarray, " row"],
    subject_ids: Int[np.ndarray, " row"],
    times: Shaped[np.ndarray, " row"],
    values: Float[np.ndarray, " row"],
) -> GlasgowTotals:
    """Add eye, verbal and motor that a subject has at one time.

    A part that is charted twice at that time counts with its mean. Parts without the other two make
    no total: `incomplete_score`. `combined_into_score` are the rows that went into the total of
    another.

    Parameters
    ----------
    part
        0, 1 or 2 for eye, verbal and motor; -1 for a row of something else.
    """
    rows = np.flatnonzero((part >= 0) & np.isfinite(values) & ~_is_missing(times))
    invalid = int(np.sum(part >= 0)) - len(rows)
    rows = rows[np.lexsort((values[rows], part[rows], times[rows], subject_ids[rows]))]
    is_new = np.ones(len(rows), dtype=bool)
    is_new[1:] = (np.diff(subject_ids[rows]) != 0) | (times[rows][1:] != times[rows][:-1])
    group = np.cumsum(is_new) - 1
    num_groups = int(is_new.sum())
    cells = group * 3 + part[rows]
    counts = np.bincount(cells, minlength=3 * num_groups).reshape(num_groups, 3)
    sums = np.bincount(cells, weights=values[rows], minlength=3 * num_groups).reshape(-1, 3)
    is_complete = (counts > 0).all(axis=1)
    totals = (sums[is_complete] / counts[is_complete]).sum(axis=1)
    used = int(counts[is_complete].sum())
    drops = (
        Drop("invalid_value", TOTAL, invalid),
        Drop("combined_into_score", TOTAL, used - len(totals)),
        Drop("incomplete_score", TOTAL, len(rows) - used),
    )
    return GlasgowTotals(rows[is_new][is_complete], totals, drops)


def _is_missing(times: Shaped[np.ndarray, " row"]) -> Bool[np.ndarray, " row"]:
    return np.asarray(np.isnat(times) if times.dtype.kind == "M" else np.isnan(times))
