"""Factors that make the predicted variance the mean squared error, cell by cell."""

import numpy as np
from jaxtyping import Float, Int

from model.calibration.cells import parent_groups
from model.calibration.level_maps import POOLING_SUBJECTS

_MIN_CAPPED = 10
_BOUNDS = (0.1, 10.0)
_DECIMALS = 6


def fit_variance_factors(
    squared_errors: Float[np.ndarray, " target"],
    variances: Float[np.ndarray, " target"],
    cells: Int[np.ndarray, " target"],
    subjects: Int[np.ndarray, " target"],
    num_cells: int,
) -> Float[np.ndarray, " cell"]:
    """Return mean squared error divided by mean predicted variance, pooled with wider groups.

    From ten subjects on the largest of their mean squared errors is capped at the next largest, so
    that no single stay decides. Pooling is that of the level maps, on the logarithm.
    """
    logarithm = np.zeros(num_cells)
    for groups in parent_groups(num_cells):
        own, num_subjects = _ratios(
            squared_errors, variances, groups[cells], subjects, int(groups[-1]) + 1
        )
        share = (num_subjects / (num_subjects + POOLING_SUBJECTS))[groups]
        logarithm = share * own[groups] + (1 - share) * logarithm
    return np.round(np.exp(logarithm), _DECIMALS)


def _ratios(
    squared_errors: Float[np.ndarray, " target"],
    variances: Float[np.ndarray, " target"],
    groups: Int[np.ndarray, " target"],
    subjects: Int[np.ndarray, " target"],
    num_groups: int,
) -> tuple[Float[np.ndarray, " group"], Int[np.ndarray, " group"]]:
    """Return the logarithm of each group's ratio, 0 where empty, and its number of subjects."""
    num_subjects = 1 + int(subjects.max(initial=0))
    pairs, position = np.unique(groups * num_subjects + subjects, return_inverse=True)
    counts = np.bincount(position)
    errors = np.bincount(position, weights=squared_errors) / counts
    predicted = np.bincount(position, weights=variances)
    bounds = np.searchsorted(pairs // num_subjects, np.arange(num_groups + 1))
    logarithms = np.zeros(num_groups)
    for group in np.flatnonzero(np.diff(bounds)):
        own = slice(bounds[group], bounds[group + 1])
        total = float(counts[own] @ _capped(errors[own]))
        ratio = total / max(float(predicted[own].sum()), np.finfo(float).tiny)
        logarithms[group] = np.log(np.clip(ratio, *_BOUNDS))
    return logarithms, np.diff(bounds)


def _capped(values: Float[np.ndarray, " subject"]) -> Float[np.ndarray, " subject"]:
    if len(values) < _MIN_CAPPED:
        return values
    return np.minimum(values, np.partition(values, -2)[-2])
