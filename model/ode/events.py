"""Where a function of time and state first changes its sign, for each sample, with gradients.

The root is found on the solution itself, for all samples at once: by looking at equal intervals,
then into the one with the first change, then by Newton's method, which never leaves it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from model.ode.differentiation import Adjoint
from model.ode.problem import InitialValueProblem
from model.ode.runge_kutta import evaluate
from model.ode.solution import Solution
from model.ode.solve import Options, solve

_NUM_NEWTON_STEPS = 4

Event = Callable[[Tensor, Tensor], Tensor]
"""From times [sample] and states [sample state] to numbers [sample]."""


@dataclass(frozen=True)
class EventSolution:
    """The first event of every sample.

    Parameters
    ----------
    times, ys
        Of the event and of the state there, differentiable; where there is none, of the horizon.
    status
        A `Status` for each sample: how the integration to the horizon ended. A sample may have its
        event before it fails.
    """

    times: Float[Tensor, " sample"]
    ys: Float[Tensor, "sample state"]
    found: Bool[Tensor, " sample"]
    status: Int64[Tensor, " sample"]


def solve_event(
    problem: InitialValueProblem,
    event: Event,
    *,
    num_looks: int = 100,
    method: str = "dopri5",
    rtol: float | Tensor = 1e-7,
    atol: float | Tensor = 1e-9,
    options: Options | None = None,
    adjoint: Adjoint | str = Adjoint.CHECKPOINT,
    parameters: Iterable[Tensor] | None = None,
) -> EventSolution:
    """Find the first time after t0 at which `event` changes its sign, up to the last query time.

    A zero at t0 itself is no event. The gradient of the time is that of the implicit function:
    dt = -(dg + g_y dy) / (g_t + g_y f); of the state, dy + f dt. Once differentiable.

    Parameters
    ----------
    problem
        Its query times matter only by the last: the horizon of each sample.
    num_looks
        Into how many equal intervals the horizon is divided at first. Two changes within one of them
        cancel and are not seen.

    Raises
    ------
    ValueError
        As `solve`, or if there is no interval to look into.
    """
    if num_looks < 1:
        raise ValueError(f"`num_looks` must be at least 1, found {num_looks}")
    horizon = problem.end_times

    def states(times: Tensor) -> Solution:
        # The horizon is always asked for: a grid by number of steps must not change.
        asked = replace(problem, query_times=torch.cat([times, horizon.unsqueeze(1)], dim=1))
        given = {"method": method, "rtol": rtol, "atol": atol, "options": options}
        return solve(asked, adjoint=adjoint, parameters=parameters, **given)  # type: ignore[arg-type]

    with torch.no_grad():
        low, high, found = _first_change(event, states, problem.t0.detach(), horizon, num_looks)
        low, high, _ = _first_change(event, states, low, high, num_looks)
        times = _newton(problem, event, states, low, high)
        times = torch.where(found, times, horizon)
    solution = states(times.unsqueeze(1))
    ys = solution.ys[:, 0]
    slope, rate = _along(problem, event, times, ys.detach())
    moved = torch.where(found, -event(times, ys).to(times) / torch.where(found, rate, 1), 0)
    return EventSolution(
        times + moved,
        torch.addcmul(ys, slope, moved.to(ys).unsqueeze(1)),
        found,
        solution.status,
    )


def _first_change(
    event: Event,
    states: Callable[[Tensor], Solution],
    low: Float[Tensor, " sample"],
    high: Float[Tensor, " sample"],
    num_looks: int,
) -> tuple[Float[Tensor, " sample"], Float[Tensor, " sample"], Bool[Tensor, " sample"]]:
    """Return the ends of the first interval with a change, and whether there is one."""
    fraction = torch.linspace(0, 1, num_looks + 1, dtype=low.dtype, device=low.device)
    times = torch.lerp(low.unsqueeze(1), high.unsqueeze(1), fraction)
    times[:, -1] = high
    ys = states(times).ys[:, :-1]
    values = event(times.flatten(), ys.flatten(0, 1)).view_as(times)
    sign = values.sign()
    changes = (sign[:, :-1] != 0) & (sign[:, :-1] * sign[:, 1:] <= 0)
    first = changes.to(torch.int8).argmax(1, keepdim=True)
    return (
        times.gather(1, first).squeeze(1),
        times.gather(1, first + 1).squeeze(1),
        changes.any(1),
    )


def _newton(
    problem: InitialValueProblem,
    event: Event,
    states: Callable[[Tensor], Solution],
    low: Float[Tensor, " sample"],
    high: Float[Tensor, " sample"],
) -> Float[Tensor, " sample"]:
    times = (low + high) / 2
    for _ in range(_NUM_NEWTON_STEPS):
        ys = states(times.unsqueeze(1)).ys[:, 0]
        _, rate = _along(problem, event, times, ys)
        step = event(times, ys).to(times) / rate
        times = times - torch.where(step.isfinite(), step, 0)
        times = torch.minimum(
            torch.maximum(times, torch.minimum(low, high)), torch.maximum(low, high)
        )
    return times


def _along(
    problem: InitialValueProblem,
    event: Event,
    times: Float[Tensor, " sample"],
    ys: Float[Tensor, "sample state"],
) -> tuple[Float[Tensor, "sample state"], Float[Tensor, " sample"]]:
    """Return dy/dt there, and dg/dt along the solution; without gradient."""
    with torch.no_grad():
        slope = evaluate(problem.vector_field, times, ys)
    with torch.enable_grad():
        t, y = times.detach().requires_grad_(), ys.detach().requires_grad_()
        value = event(t, y).sum()
        by_t, by_y = torch.autograd.grad(value, [t, y], allow_unused=True, materialize_grads=True)
    return slope, by_t + (by_y * slope).sum(1).to(by_t)
