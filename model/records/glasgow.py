"""The total of the Glasgow coma scale, from records that chart its three parts.

A total is made where a subject has eye, verbal and motor at one time and no total was charted. A
verbal part of an intubated patient is a placeholder (`Reason.NOT_TESTABLE`) and makes no total.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.derived import once_per_catalogue
from model.data.reasons import Reason
from model.data.variables import Catalogue

TOTAL: Final = "9269-2"
PARTS: Final = MappingProxyType(
    {
        "GCS_eye": 0,
        "GCS_verbal": 1,
        "GCS_motor": 2,
        "9267-6": 0,
        "9270-0": 1,
        "9268-4": 2,
    }
)
"""Eye, verbal and motor by name and by LOINC code."""

_NUM_PARTS: Final = 3


@dataclass(frozen=True)
class PartRows:
    """Rows that chart a part, with a usable time and value: subject, time, which part, value."""

    subjects: Int[np.ndarray, " part_row"]
    hours: Float[np.ndarray, " part_row"]
    parts: Int[np.ndarray, " part_row"]
    values: Float[np.ndarray, " part_row"]


@dataclass(frozen=True)
class Totals:
    """Totals by subject and time, and what became of each part row that is no variable itself."""

    subjects: Int[np.ndarray, " total"]
    hours: Float[np.ndarray, " total"]
    values: Float[np.ndarray, " total"]
    fates: Int[np.ndarray, " part_row"]


@once_per_catalogue
def total_channel(catalogue: Catalogue) -> int | None:
    """Return the channel of the total, None where the catalogue has none."""
    return catalogue.find(TOTAL)


def add_up(parts: PartRows) -> Totals:
    """Add the parts that a subject has at one time; a part that is charted twice counts by its mean.

    Examples
    --------
    >>> place = np.zeros(3, int), np.zeros(3), np.arange(3)
    >>> add_up(PartRows(*place, np.array([4.0, 5.0, 6.0]))).values.tolist()
    [15.0]
    """
    order = np.lexsort((parts.values, parts.parts, parts.hours, parts.subjects))
    subjects, hours = parts.subjects[order], parts.hours[order]
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (np.diff(subjects) != 0) | (np.diff(hours) != 0)
    group = np.cumsum(is_new) - 1
    num_groups = int(is_new.sum())
    cells = group * _NUM_PARTS + parts.parts[order]
    shape = (num_groups, _NUM_PARTS)
    counts = np.bincount(cells, minlength=num_groups * _NUM_PARTS).reshape(shape)
    sums = np.bincount(
        cells, weights=parts.values[order], minlength=num_groups * _NUM_PARTS
    ).reshape(shape)
    is_complete: Bool[np.ndarray, " group"] = np.all(counts > 0, axis=1)
    values = (sums[is_complete] / counts[is_complete]).sum(axis=1)
    fates = np.empty(len(order), dtype=np.int8)
    fates[order] = np.where(is_complete[group], Reason.COMBINED_INTO_SCORE, Reason.INCOMPLETE_SCORE)
    starts = np.flatnonzero(is_new)[is_complete]
    return Totals(subjects[starts], hours[starts], values, fates)


def without_charted(
    totals: Totals, subjects: Int[np.ndarray, " charted"], hours: Float[np.ndarray, " charted"]
) -> Totals:
    """Leave out the totals of subjects and times for which a total was charted."""
    charted = set(zip(subjects.tolist(), hours.tolist(), strict=True))
    keys = zip(totals.subjects.tolist(), totals.hours.tolist(), strict=True)
    kept = np.array([key not in charted for key in keys], dtype=bool)
    return Totals(totals.subjects[kept], totals.hours[kept], totals.values[kept], totals.fates)
