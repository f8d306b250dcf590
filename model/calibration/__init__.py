"""Calibration: what held-out subjects say about the answers, stored with the artifact.

`cells` are the rows of the tables (variable, gap and side of a query), `level_maps` the
distributional conformal prediction, `variances` the factors of the predicted variance, and `tables`
holds all of them together: `Calibration`, how an answer uses it, and its JSON.
"""

from model.calibration.cells import GAP_EDGES_HOURS, Surroundings
from model.calibration.level_maps import KNOTS, LevelMaps
from model.calibration.tables import MIN_SUBJECTS, Calibration, HeldOutTargets

__all__ = [
    "GAP_EDGES_HOURS",
    "KNOTS",
    "MIN_SUBJECTS",
    "Calibration",
    "HeldOutTargets",
    "LevelMaps",
    "Surroundings",
]
