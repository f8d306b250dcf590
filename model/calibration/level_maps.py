"""Distributional conformal prediction: which level of the model has the asked coverage.

The probability integral transforms of held-out targets, u = F(y), are uniform if F is right. Where
they are not, their own distribution function G says so, and F^{-1}(G^{-1}(a)) is the calibrated
quantile at level a (Chernozhukov, Wuethrich & Zhu 2021). Only levels change: quantiles never cross,
and answers keep their bounds and steps.

Subjects are exchangeable, the targets of one subject are not, so n counts subjects: of n subjects
with one target each, the k-th smallest transform stands at level k / (n + 1), which is exactly the
chance that the next subject's is smaller. Where subjects have several targets, every target counts
alike, for it is a target that an answer is about. (On real records, halves of the subjects judged by
the other half: weights of one a subject leave the coverage of the variables 20 % further off, and that
of the subjects no closer; docs/decisions/0008.)
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from model.calibration.cells import parent_groups

KNOTS = np.concatenate(
    [[0.0, 0.001, 0.0025, 0.005], np.arange(1, 100) / 100, [0.995, 0.9975, 0.999, 1.0]]
)
"""Nominal levels of the stored maps, which are linear between them."""
POOLING_SUBJECTS = 20
"""A group of this many subjects counts as much as the group that it is part of."""
_EXTREME_LEVEL = 1e-6
_DECIMALS = 7


@dataclass(frozen=True)
class LevelMaps:
    """For each cell the model's level at every nominal level of `KNOTS`, nondecreasing from 0 to 1."""

    table: Float[np.ndarray, "cell knot"]

    def __post_init__(self) -> None:
        if self.table.ndim != 2 or self.table.shape[1] != len(KNOTS):
            raise ValueError(
                f"a level map needs {len(KNOTS)} levels a cell, got an array of {self.table.shape}"
            )
        is_map = (
            np.all(np.diff(self.table, axis=1) >= 0, axis=1)
            & (self.table[:, 0] == 0)
            & (self.table[:, -1] == 1)
        )
        if not is_map.all():
            raise ValueError(
                f"the level map of cell {int(np.argmin(is_map))} must rise from 0 to 1 without "
                "a step back"
            )

    @classmethod
    def identity(cls, num_cells: int) -> "LevelMaps":
        """Return maps that change nothing."""
        return cls(np.tile(KNOTS, (num_cells, 1)))

    @classmethod
    def fit(
        cls,
        transforms: Float[np.ndarray, " target"],
        cells: Int[np.ndarray, " target"],
        subjects: Int[np.ndarray, " target"],
        num_cells: int,
    ) -> "LevelMaps":
        """Estimate from held-out targets, each cell pooled with the wider groups that it is part of.

        The map of a group of n subjects is (n own + k parent) / (n + k), k = `POOLING_SUBJECTS`:
        the identity for all cells together, those for a variable, that for its side, that for the
        cell. An average of maps in the level is a map.
        """
        table = np.tile(KNOTS, (num_cells, 1))
        for groups in parent_groups(num_cells):
            num_subjects = count_subjects(groups[cells], subjects, int(groups[-1]) + 1)
            own = _empirical(transforms, groups[cells], num_subjects)
            share = (num_subjects / (num_subjects + POOLING_SUBJECTS))[groups, None]
            table = share * own[groups] + (1 - share) * table
        return cls(np.round(table, _DECIMALS))

    def apply(
        self, levels: Float[np.ndarray, "level _"], cells: Int[np.ndarray, " query"]
    ) -> Float[np.ndarray, "level query"]:
        """Return the model's level for each nominal level, strictly between 0 and 1."""
        right = np.clip(np.searchsorted(KNOTS, levels, side="right"), 1, len(KNOTS) - 1)
        share = (levels - KNOTS[right - 1]) / (KNOTS[right] - KNOTS[right - 1])
        mapped = (1 - share) * self.table[cells, right - 1] + share * self.table[cells, right]
        return np.clip(mapped, _EXTREME_LEVEL, 1 - _EXTREME_LEVEL)


def count_subjects(
    groups: Int[np.ndarray, " target"], subjects: Int[np.ndarray, " target"], num_groups: int
) -> Int[np.ndarray, " group"]:
    """Return how many subjects have a target in each group."""
    pairs = np.unique(np.stack([groups, subjects]), axis=1)
    return np.bincount(pairs[0], minlength=num_groups)


def _empirical(
    transforms: Float[np.ndarray, " target"],
    groups: Int[np.ndarray, " target"],
    num_subjects: Int[np.ndarray, " group"],
) -> Float[np.ndarray, "group knot"]:
    """Return the quantiles of each group's transforms at the knots; the knots of an empty group."""
    quantiles = np.tile(KNOTS, (len(num_subjects), 1))
    order = np.lexsort((transforms, groups))
    bounds = np.searchsorted(groups[order], np.arange(len(num_subjects) + 1))
    for group in np.flatnonzero(num_subjects):
        own = transforms[order[bounds[group] : bounds[group + 1]]]
        weight = num_subjects[group] / len(own)
        # k / (n + 1) for a target a subject. Symmetric: mirrored transforms give a mirrored map.
        position = (weight * (np.arange(len(own)) + 0.5) + 0.5) / (num_subjects[group] + 1)
        at = np.concatenate([[0.0], position, [1.0]])
        quantiles[group] = np.interp(KNOTS, at, np.concatenate([[0.0], own, [1.0]]))
    return quantiles
