"""A batched solver of ordinary differential equations. Knows nothing of medicine."""

from model.ode.differentiation import Adjoint
from model.ode.events import EventSolution, solve_event
from model.ode.fixed_grid import Grid
from model.ode.interpolation import PiecewisePolynomial
from model.ode.mesh import Mesh, step_mesh, uniform_mesh
from model.ode.mlp import MLPField
from model.ode.odeint import SolverError, odeint
from model.ode.problem import InitialValueProblem, Jumps, PerSampleVectorField, VectorField
from model.ode.runge_kutta import integrate
from model.ode.solution import Solution, Statistics, Status
from model.ode.solve import METHODS, Options, solve
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
    "EventSolution",
    "Grid",
    "InitialValueProblem",
    "Jumps",
    "MLPField",
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
    "solve",
    "solve_event",
    "step_mesh",
    "uniform_mesh",
]
