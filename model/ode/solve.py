"""A problem and a method's name in, a `Solution` out."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from model.ode.adams.solve_adams import solve_adams
from model.ode.adaptive import solve_adaptive
from model.ode.differentiation import Adjoint, field_parameters
from model.ode.fixed_grid import Grid, solve_fixed_grid
from model.ode.problem import InitialValueProblem
from model.ode.radau.solve_radau import solve_radau
from model.ode.solution import Solution
from model.ode.step_size import Tolerance
from model.ode.tableau import DOPRI5, EULER, MIDPOINT, RK4, TSIT5, ButcherTableau

_EXPLICIT = {tableau.name: tableau for tableau in (EULER, MIDPOINT, RK4, DOPRI5, TSIT5)}
METHODS = (*_EXPLICIT, "adams", "radau")
"""Every method by its name."""


@dataclass(frozen=True)
class Options:
    """What a method may be told besides tolerances; torchdiffeq's names where it has one.

    Parameters
    ----------
    num_steps, step_size
        A fixed grid, see `Grid`; for explicit Runge-Kutta methods. Those without an error estimate
        step from query time to query time if neither is given.
    max_steps
        For each sample, rejected steps included.
    first_step
        Size of the first step that an adaptive method tries.
    error_estimate
        On a fixed grid: solve with half as many steps too, for half as much again.
    switch_when_stiff
        Whether an adaptive explicit method hands a stiff sample over to Radau.
    fused
        On a fixed grid: whether to use the compiled kernel, see `solve_fixed_grid`.
    """

    num_steps: int | None = None
    step_size: float | None = None
    max_steps: int = 10_000
    first_step: float | None = None
    error_estimate: bool = False
    switch_when_stiff: bool = True
    fused: bool | None = None

    @property
    def grid(self) -> Grid:
        """The fixed grid that was asked for."""
        return Grid(self.num_steps, self.step_size)


def solve(
    problem: InitialValueProblem,
    *,
    method: str = "dopri5",
    rtol: float | Tensor = 1e-7,
    atol: float | Tensor = 1e-9,
    options: Options | None = None,
    adjoint: Adjoint | str = Adjoint.CHECKPOINT,
    parameters: Iterable[Tensor] | None = None,
) -> Solution:
    """Solve every sample of a problem; a sample that fails harms no other.

    Parameters
    ----------
    rtol, atol
        Relative and absolute tolerance of one step; numbers, or tensors that broadcast to
        [sample state].
    adjoint
        How gradients are made, see `Adjoint`. Nothing is spent on them where none are wanted.
    parameters
        For `backsolve` and `interpolated`: the tensors that the vector field takes a gradient for;
        an nn.Module's own are found by themselves.

    Raises
    ------
    ValueError
        If there is no such method or adjoint, or the problem's times have no meaning.
    """
    options, adjoint = options or Options(), Adjoint(adjoint)
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {', '.join(METHODS)}, found {method!r}")
    known = field_parameters(problem.vector_field, parameters)
    if method in _EXPLICIT:
        return _solve_explicit(
            problem, _EXPLICIT[method], Tolerance(rtol, atol), options, adjoint, known
        )
    if options.num_steps is not None or options.step_size is not None:
        raise ValueError(
            f"method {method!r} chooses its own steps: leave out `num_steps` and `step_size`"
        )
    if method == "radau":
        return solve_radau(
            problem,
            tolerance=Tolerance(rtol, atol),
            max_steps=options.max_steps,
            first_step=options.first_step,
            adjoint=adjoint,
        )
    return solve_adams(
        problem,
        tolerance=Tolerance(rtol, atol),
        max_steps=options.max_steps,
        first_step=options.first_step,
        adjoint=adjoint,
        parameters=known,
    )


def _solve_explicit(
    problem: InitialValueProblem,
    tableau: ButcherTableau,
    tolerance: Tolerance,
    options: Options,
    adjoint: Adjoint,
    parameters: tuple[Tensor, ...],
) -> Solution:
    gridded = options.num_steps is not None or options.step_size is not None
    if gridded or tableau.b_error is None:
        return solve_fixed_grid(
            problem,
            tableau=tableau,
            grid=options.grid,
            adjoint=adjoint,
            parameters=parameters,
            error_estimate=options.error_estimate,
            fused=options.fused,
        )
    return solve_adaptive(
        problem,
        tableau=tableau,
        tolerance=tolerance,
        max_steps=options.max_steps,
        first_step=options.first_step,
        switch_when_stiff=options.switch_when_stiff,
        adjoint=adjoint,
        parameters=parameters,
    )
