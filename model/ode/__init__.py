"""A batched solver of ordinary differential equations. Knows nothing of medicine."""

from model.ode.differentiation import Adjoint
from model.ode.fixed_grid import Grid, integrate, solve_fixed_grid
from model.ode.interpolation import PiecewisePolynomial
from model.ode.mesh import Mesh, step_mesh, uniform_mesh
from model.ode.odeint import METHODS, Options, SolverError, odeint, odeint_solution, solve
from model.ode.problem import InitialValueProblem, Jumps, PerSampleVectorField, VectorField
from model.ode.solution import Solution, Statistics, Status
from model.ode.tableau import DOPRI5, EULER, MIDPOINT, RK4, TSIT5, ButcherTableau

__all__ = [
    "DOPRI5",
    "EULER",
    "METHODS",
    "MIDPOINT",
    "RK4",
    "TSIT5",
    "Adjoint",
    "ButcherTableau",
    "Grid",
    "InitialValueProblem",
    "Jumps",
    "Mesh",
    "Options",
    "PerSampleVectorField",
    "PiecewisePolynomial",
    "Solution",
    "SolverError",
    "Statistics",
    "Status",
    "VectorField",
    "integrate",
    "odeint",
    "odeint_solution",
    "solve",
    "solve_fixed_grid",
    "step_mesh",
    "uniform_mesh",
]
