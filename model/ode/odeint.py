"""torchdiffeq's call: a vector field, a start and the times wanted; states out.

`solve` is for those who want each sample's status, cost and error estimate, or jumps.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import cast, overload

import torch
from torch import Tensor, nn

from model.ode.differentiation import Adjoint
from model.ode.problem import InitialValueProblem, VectorField
from model.ode.solution import Solution, Status
from model.ode.solve import Options, solve

_RENAMED = {"max_num_steps": "max_steps"}
"""Options that torchdiffeq has under another name."""


class SolverError(ArithmeticError):
    """Raised by `odeint` where a solution does not exist or could not be found."""


@overload
def odeint(
    vector_field: Callable[[Tensor, Tensor], Tensor],
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
    vector_field: Callable[[Tensor, tuple[Tensor, ...]], Sequence[Tensor]],
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
    vector_field: Callable[..., Tensor | Sequence[Tensor]],
    y0: Tensor | tuple[Tensor, ...],
    t: Tensor,
    *,
    rtol: float | Tensor = 1e-7,
    atol: float | Tensor = 1e-9,
    method: str | None = None,
    options: Mapping[str, object] | None = None,
    adjoint: Adjoint | str = Adjoint.CHECKPOINT,
    adjoint_params: Iterable[Tensor] | None = None,
) -> Tensor | tuple[Tensor, ...]:
    """Integrate dy/dt = vector_field(t, y) from y(t[0]) = y0, as torchdiffeq's `odeint` does.

    Parameters
    ----------
    y0, t
        With `t` [time], y0 of any shape, or a tuple of tensors, is one system with one step size;
        the field gets a scalar time, and the result is [time, *y0.shape]. With `t` [sample query],
        y0 [sample state] is a batch of independent systems with own times and own steps; the field
        gets times [sample], and the result is [sample query state].
    method
        One of `METHODS`; dopri5 if not given.
    options
        The fields of `Options` by name.
    adjoint, adjoint_params
        See `solve`. The default has the exact gradient, in little memory; torchdiffeq's
        `odeint_adjoint` is `adjoint="backsolve"`.

    Raises
    ------
    ValueError
        If the shapes, the method or an option are not such.
    SolverError
        If a solution could not be found. `solve` tells for which samples and until when instead.
    """
    parts, is_tuple = ((y0,), False) if isinstance(y0, Tensor) else (y0, True)
    system = None
    if t.ndim == 1 and len(t):
        system = _WholeSystem(vector_field, tuple(part.shape for part in parts), is_tuple)
        if adjoint_params is None and isinstance(vector_field, nn.Module):
            adjoint_params = vector_field.parameters()
        problem = InitialValueProblem(system, system.join(parts), t[:1], t.unsqueeze(0))
    elif t.ndim == 2 and t.shape[1] and not is_tuple:
        field = cast(VectorField, vector_field)
        problem = InitialValueProblem(field, parts[0], t[:, 0], t)
    else:
        msg = "`t` must be [time], or [sample query] with `y0` [sample state], and not empty"
        raise ValueError(f"{msg}; found shape {tuple(t.shape)}")
    solution = solve(
        problem,
        method=method or "dopri5",
        rtol=rtol,
        atol=atol,
        options=_options(options),
        adjoint=adjoint,
        parameters=adjoint_params,
    )
    _require_success(solution)
    if system is None:
        return solution.ys
    states = system.split(solution.ys[0])
    return states if is_tuple else states[0]


@dataclass(frozen=True)
class _WholeSystem:
    """A vector field on tensors of any shape, as one sample of one flat state."""

    vector_field: Callable[..., Tensor | Sequence[Tensor]]
    shapes: tuple[torch.Size, ...]
    is_tuple: bool

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Return all parts as one row."""
        return torch.cat([part.reshape(1, -1) for part in parts], dim=1)

    def split(self, flat: Tensor) -> tuple[Tensor, ...]:
        """Return the parts of flat states [..., state]."""
        pieces = flat.split([math.prod(shape) for shape in self.shapes], dim=-1)
        return tuple(
            piece.reshape(*flat.shape[:-1], *shape)
            for piece, shape in zip(pieces, self.shapes, strict=True)
        )

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        if len(y) != 1:
            return torch.cat([self(*one) for one in zip(t.split(1), y.split(1), strict=True)])
        parts = self.split(y[0])
        found = self.vector_field(t[0], parts if self.is_tuple else parts[0])
        return self.join((found,) if isinstance(found, Tensor) else found)


def _options(given: Mapping[str, object] | None) -> Options:
    known = {one.name for one in fields(Options)}
    chosen = {_RENAMED.get(name, name): value for name, value in (given or {}).items()}
    for name in chosen:
        if name not in known:
            raise ValueError(f"`options` may have {', '.join(sorted(known))}, found {name!r}")
    return Options(**chosen)  # type: ignore[arg-type]  # checked where they are used


def _require_success(solution: Solution) -> None:
    failed = (~solution.succeeded).nonzero().flatten().tolist()
    if failed:
        first = failed[0]
        status = Status(int(solution.status[first])).name.lower().replace("_", " ")
        msg = (
            f"{len(failed)} of {len(solution.status)} samples could not be integrated to their end; "
            f"the first is sample {first}, {status} at t = {float(solution.last_times[first]):.6g}. "
            "`solve` returns what was found. Try a looser tolerance, more steps or a stiff method."
        )
        raise SolverError(msg)
