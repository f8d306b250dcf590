"""Which descriptors of a subject are kept: the rules of `model.data.cleaning`, without a time."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from model.data.cleaning import Drop
from model.data.variables import Catalogue, Static
from model.errors import UnitError

UNKNOWN_SENTINEL = -1.0
"""No static can be negative; this is how many sources write "not known"."""

_UNITS = {
    "cm": {"cm": 1.0, "m": 100.0, "mm": 0.1, "[in_i]": 2.54, "in": 2.54, "Inch": 2.54},
    "kg": {"kg": 1.0, "g": 1e-3, "[lb_av]": 0.45359237, "lb": 0.45359237, "lbs": 0.45359237},
    "a": {"a": 1.0, "y": 1.0, "years": 1.0, "year": 1.0, "mo": 1 / 12},
}


@dataclass(frozen=True)
class StaticRows:
    """Descriptors: position of the subject, position of the static in the catalogue, value."""

    subjects: Int[np.ndarray, " row"]
    positions: Int[np.ndarray, " row"]
    values: Float[np.ndarray, " row"]

    def take(self, rows: Int[np.ndarray, " chosen"]) -> "StaticRows":
        """Return some of the rows."""
        return StaticRows(self.subjects[rows], self.positions[rows], self.values[rows])


def static_factor(static: Static, unit: str) -> float:
    """Return by what a value in `unit` is multiplied.

    Raises
    ------
    UnitError
        If there is no such conversion for this static.
    """
    if unit == static.unit:
        return 1.0
    try:
        return _UNITS[static.unit][unit]
    except KeyError:
        accepted = ", ".join(_UNITS.get(static.unit, {static.unit: 1.0}))
        raise UnitError(
            f"no conversion from this unit for {static.name}; expected one of: {accepted}"
        ) from None


def clean_statics(
    rows: StaticRows, observed_mask: np.ndarray, catalogue: Catalogue
) -> tuple[StaticRows, list[Drop]]:
    """Keep at most one row of a subject and static, sorted by subject and static.

    A number that is there several times is averaged. A category that is there with several meanings
    is unknown: all its rows are dropped as `conflicting_category`. Subjects outside `observed_mask`
    have no observation and are not in the data set.
    """
    reasons = _invalid(rows, observed_mask, catalogue)
    valid = np.flatnonzero(reasons == "")
    valid = valid[np.lexsort((rows.values[valid], rows.positions[valid], rows.subjects[valid]))]
    kept, merged = _merge(rows.take(valid), catalogue)
    reasons[valid] = merged
    drops = []
    for reason, position in {*zip(reasons.tolist(), rows.positions.tolist(), strict=True)}:
        if reason:
            count = int(np.sum((reasons == reason) & (rows.positions == position)))
            drops.append(Drop(reason, catalogue.statics[position].name, count))
    return kept, drops


def _invalid(rows: StaticRows, observed_mask: np.ndarray, catalogue: Catalogue) -> np.ndarray:
    ranges = np.array([static.plausible_range for static in catalogue.statics])
    is_category = np.array([bool(static.categories) for static in catalogue.statics])
    low, high = ranges[rows.positions].T
    with np.errstate(invalid="ignore"):
        outside = (rows.values < low) | (rows.values > high)
        outside |= is_category[rows.positions] & (rows.values != np.rint(rows.values))
    return np.select(
        [
            ~np.isfinite(rows.values),
            rows.values == UNKNOWN_SENTINEL,
            outside,
            ~observed_mask[rows.subjects],
        ],
        ["invalid_value", "unknown_sentinel", "implausible_value", "subject_without_observations"],
        default="",
    ).astype("U28")


def _merge(rows: StaticRows, catalogue: Catalogue) -> tuple[StaticRows, np.ndarray]:
    """Merge the sorted rows; also return what became of each, empty text for the kept."""
    reasons = np.full(len(rows.values), "", dtype="U28")
    if not len(reasons):
        return rows, reasons
    same = (np.diff(rows.subjects) == 0) & (np.diff(rows.positions) == 0)
    is_first = np.concatenate([[True], ~same])
    starts = np.flatnonzero(is_first)
    group = np.cumsum(is_first) - 1
    is_repeated = np.concatenate([[False], np.diff(rows.values) == 0])
    reasons[~is_first & is_repeated] = "duplicate"
    reasons[~is_first & ~is_repeated] = "conflict_averaged"
    means = np.bincount(group, weights=rows.values) / np.bincount(group)
    spread = np.maximum.reduceat(rows.values, starts) - rows.values[starts]
    is_category = np.array([bool(static.categories) for static in catalogue.statics])
    conflicting = is_category[rows.positions[starts]] & (spread > 0)
    reasons[conflicting[group]] = "conflicting_category"
    kept = starts[~conflicting]
    values = np.where(spread == 0, rows.values[starts], means)[~conflicting]
    return StaticRows(rows.subjects[kept], rows.positions[kept], values), reasons
