"""The one call: a vector field, a start, the times wanted and a method's name.

`odeint` keeps torchdiffeq's signature; `solve` takes an `InitialValueProblem` and returns a
`Solution` with each sample's status, cost and, on a fixed grid, error estimate.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor, nn

from model.ode.adams import solve_adams
from model.ode.differentiation import Adjoint
from model.ode.explicit import solve_adaptive
from model.ode.fixed_grid import Grid, solve_fixed_grid
from model.ode.problem import InitialValueProblem, Jumps
from model.ode.radau import solve_radau
from model.ode.solution import Solution, Status
from model.ode.step_size import Tolerance
from model.ode.tableau import DOPRI5, EULER, MIDPOINT, RK4, TSIT5

_EXPLICIT = {tableau.name: tableau for tableau in (EULER, MIDPOINT, RK4, DOPRI5, TSIT5)}
METHODS = (*_EXPLICIT, "adams", "radau")
"""Every method by its name."""


@dataclass(frozen=True)
class Options:
    """What a method may be told besides tolerances; torchdiffeq's names where it has one.

    Parameters
    ----------
    num_steps, step_size
        A fixed grid, see `Grid`. Methods without an error estimate step from query time to query
        time if neither is given.
    max_steps
        For each sample, rejected steps included.
    first_step
        Size of the first step that an adaptive method tries.
    error_estimate
        On a fixed grid: solve with half as many steps too, for half as much again.
    """

    num_steps: int | None = None
    step_size: float | None = None
    max_steps: int = 10_000
    first_step: float | None = None
    error_estimate: bool = False


class SolverError(ArithmeticError):
    """Raised by `odeint` where a solution does not exist or could not be found."""


def solve(
    problem: InitialValueProblem,
    *,
    method: str = "dopri5",
    rtol: float | Tensor = 1e-7,
    atol: float | Tensor = 1e-9,
    options: Options | None = None,
    adjoint: Adjoint | str = Adjoint.DIRECT,
    parameters: Iterable[Tensor] | None = None,
) -> Solution:
    """Solve every sample of a problem; a sample that fails harms no other.

    Parameters
    ----------
    rtol, atol
        Relative and absolute tolerance of one step; numbers, or tensors that broadcast to
        [sample state].
    parameters
        Tensors that the vector field takes a gradient for; an nn.Module's own are found by
        themselves, and `direct` needs none.

    Raises
    ------
    ValueError
        If there is no such method or adjoint, or the problem's times have no meaning.
    """
    options, adjoint = options or Options(), Adjoint(adjoint)
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {', '.join(METHODS)}, found {method!r}")
    gridded = options.num_steps is not None or options.step_size is not None
    if method not in _EXPLICIT:
        if gridded or adjoint is not Adjoint.DIRECT:
            raise ValueError(f"method {method!r} has its own steps and its own exact gradient")
        return _solve_multistep_or_implicit(problem, method, rtol, atol, options)
    tableau = _EXPLICIT[method]
    if gridded or tableau.b_error is None:
        problem.check_values()
        return solve_fixed_grid(
            problem,
            tableau=tableau,
            grid=Grid(options.num_steps, options.step_size),
            adjoint=adjoint,
            parameters=parameters,
            error_estimate=options.error_estimate,
        )
    return solve_adaptive(
        problem,
        tableau=tableau,
        tolerance=Tolerance(rtol, atol),
        max_steps=options.max_steps,
        first_step=options.first_step,
        adjoint=adjoint,
        parameters=parameters,
    )


def _solve_multistep_or_implicit(
    problem: InitialValueProblem,
    method: str,
    rtol: float | Tensor,
    atol: float | Tensor,
    options: Options,
) -> Solution:
    if method == "radau":
        return solve_radau(problem, rtol=rtol, atol=atol, max_steps=options.max_steps)
    if isinstance(rtol, Tensor) or isinstance(atol, Tensor):
        raise ValueError("method 'adams' takes one number for `rtol` and one for `atol`")
    return solve_adams(problem, rtol=rtol, atol=atol, max_steps=options.max_steps)


def odeint_solution(
    vector_field: Callable[[Tensor, Tensor], Tensor],
    y0: Tensor,
    t: Tensor,
    *,
    t0: Tensor | None = None,
    jumps: Jumps | None = None,
    rtol: float | Tensor = 1e-7,
    atol: float | Tensor = 1e-9,
    method: str | None = None,
    options: Mapping[str, object] | None = None,
    adjoint: Adjoint | str = Adjoint.DIRECT,
    parameters: Iterable[Tensor] | None = None,
) -> Solution:
    """Solve a batch [sample state], each sample at its own times `t` [sample query].

    `t0` is each sample's start, its first query time if not given. The other arguments are those of
    `solve`; `options` has the fields of `Options`.
    """
    start = t[:, 0] if t0 is None else t0
    problem = InitialValueProblem(vector_field, y0, start, t, jumps)
    return solve(
        problem,
        method=method or "dopri5",
        rtol=rtol,
        atol=atol,
        options=_options(options),
        adjoint=adjoint,
        parameters=parameters,
    )


@overload
def odeint(
    func: Callable[[Tensor, Tensor], Tensor],
    y0: Tensor,
    t: Tensor,
    *,
    rtol: float | Tensor = ...,
    atol: float | Tensor = ...,
    method: str | None = ...,
    options: Mapping[str, object] | None = ...,
    adjoint: Adjoint | str = ...,
    adjoint_params: Iterable[Tensor] | None = ...,
) -> Tensor: ...
@overload
def odeint(
    func: Callable[[Tensor, tuple[Tensor, ...]], Sequence[Tensor]],
    y0: tuple[Tensor, ...],
    t: Tensor,
    *,
    rtol: float | Tensor = ...,
    atol: float | Tensor = ...,
    method: str | None = ...,
    options: Mapping[str, object] | None = ...,
    adjoint: Adjoint | str = ...,
    adjoint_params: Iterable[Tensor] | None = ...,
) -> tuple[Tensor, ...]: ...
def odeint(
    func: Callable[..., Tensor | Sequence[Tensor]],
    y0: Tensor | tuple[Tensor, ...],
    t: Tensor,
    *,
    rtol: float | Tensor = 1e-7,
    atol: float | Tensor = 1e-9,
    method: str | None = None,
    options: Mapping[str, object] | None = None,
    adjoint: Adjoint | str = Adjoint.DIRECT,
    adjoint_params: Iterable[Tensor] | None = None,
) -> Tensor | tuple[Tensor, ...]:
    """Integrate dy/dt = func(t, y) from y(t[0]) = y0, as torchdiffeq's `odeint` does.

    With `t` [time], y0 of any shape, or a tuple of tensors, is one system with one step size;
    `func` gets a scalar time, and the result is [time, *y0.shape]. With `t` [sample time], y0
    [sample state] is a batch of independent systems with own times and own steps; `func` gets
    times [sample], and the result is [sample time state].

    Raises
    ------
    ValueError
        If the shapes, the method or an option are not such.
    SolverError
        If a solution could not be found; `odeint_solution` tells for which samples and until when,
        and does not raise.
    """
    if t.ndim == 2 and isinstance(y0, Tensor):
        batch = odeint_solution(
            func,  # type: ignore[arg-type]  # the overloads tie func to y0
            y0,
            t,
            rtol=rtol,
            atol=atol,
            method=method,
            options=options,
            adjoint=adjoint,
            parameters=adjoint_params,
        )
        return _require_success(batch)
    if t.ndim != 1 or not len(t):
        raise ValueError(f"`t` must be [time] or [sample time], found shape {tuple(t.shape)}")
    parts = (y0,) if isinstance(y0, Tensor) else y0
    system = _WholeSystem(func, parts, as_tuple=not isinstance(y0, Tensor))
    if adjoint_params is None and isinstance(func, nn.Module):
        adjoint_params = func.parameters()
    found = odeint_solution(
        system,
        system.join(parts),
        t.unsqueeze(0),
        rtol=rtol,
        atol=atol,
        method=method,
        options=options,
        adjoint=adjoint,
        parameters=adjoint_params,
    )
    states = system.split(_require_success(found)[0])
    return states if system.as_tuple else states[0]


class _WholeSystem:
    """A vector field on tensors of any shape, as one sample of one flat state."""

    def __init__(
        self,
        func: Callable[..., Tensor | Sequence[Tensor]],
        parts: tuple[Tensor, ...],
        *,
        as_tuple: bool,
    ) -> None:
        self._func = func
        self._shapes = [part.shape for part in parts]
        self.as_tuple = as_tuple

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Return all parts as one row."""
        return torch.cat([part.reshape(1, -1) for part in parts], dim=1)

    def split(self, flat: Tensor) -> tuple[Tensor, ...]:
        """Return the parts of flat states [..., state]."""
        sizes = [math.prod(shape) for shape in self._shapes]
        pieces = flat.split(sizes, dim=-1)
        return tuple(
            piece.reshape(*flat.shape[:-1], *shape)
            for piece, shape in zip(pieces, self._shapes, strict=True)
        )

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        parts = self.split(y[0])
        if self.as_tuple:
            return self.join(list(self._func(t[0], parts)))
        derivative = self._func(t[0], parts[0])
        assert isinstance(derivative, Tensor)
        return self.join([derivative])


def _options(given: Mapping[str, object] | None) -> Options:
    known = Options.__dataclass_fields__
    renamed = {"max_num_steps": "max_steps"}
    chosen = {renamed.get(name, name): value for name, value in (given or {}).items()}
    for name in chosen:
        if name not in known:
            raise ValueError(f"`options` may have {', '.join(known)}, found {name!r}")
    return Options(**chosen)  # type: ignore[arg-type]  # checked where they are used


def _require_success(solution: Solution) -> Tensor:
    failed = (~solution.succeeded).nonzero().flatten().tolist()
    if failed:
        first = failed[0]
        status = Status(int(solution.status[first])).name.lower().replace("_", " ")
        msg = (
            f"{len(failed)} of {len(solution.status)} samples could not be integrated to their end; "
            f"the first is sample {first}, {status} at t = {float(solution.last_times[first]):.6g}. "
            "`odeint_solution` returns what was found. Try a looser tolerance or a stiff method."
        )
        raise SolverError(msg)
    return solution.ys
