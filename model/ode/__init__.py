"""A batched solver of ordinary differential equations. Knows nothing of medicine."""

from model.ode.fixed_grid import solve_fixed_grid
from model.ode.interpolation import HermiteInterpolant
from model.ode.problem import VectorField
from model.ode.tableau import EULER, MIDPOINT, RK4, ButcherTableau

__all__ = [
    "EULER",
    "MIDPOINT",
    "RK4",
    "ButcherTableau",
    "HermiteInterpolant",
    "VectorField",
    "solve_fixed_grid",
]
