"""The gradient by the adjoint equation (Pontryagin; Chen et al. 2018, NeurIPS, appendix B).

dlambda/dt = -J^T lambda is solved backward on the mesh of the forward solution, the state beside it
either solved backward too or interpolated from the forward knots. The parameters' gradient is
a quadrature over the stages: it is no part of the state and costs no memory per sample. A query's
cotangent enters at the knots on both sides, through the transpose of the cubic interpolation, so
the solve does not stop at query times.

These gradients are as good as the steps, not exact: prefer `checkpoint` unless memory is short.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from model.ode.differentiation import Adjoint, gradients
from model.ode.interpolation import step_sizes
from model.ode.mesh import Mesh
from model.ode.problem import InitialValueProblem, VectorField, restrict
from model.ode.runge_kutta import combine, evaluate
from model.ode.tableau import ButcherTableau


@dataclass(frozen=True)
class ForwardSolution:
    """A solution without gradients, by whatever method: at the knots of its mesh, and at the queries."""

    mesh: Mesh
    states: Float[Tensor, "knot sample state"]
    derivatives: Float[Tensor, "knot sample state"]
    ys: Float[Tensor, "sample query state"]


def attach_adjoint(
    problem: InitialValueProblem,
    forward: ForwardSolution,
    *,
    tableau: ButcherTableau,
    parameters: tuple[Tensor, ...],
    adjoint: Adjoint,
) -> Float[Tensor, "sample query state"]:
    """Return the states at the query times; backward solves the adjoint equation by `tableau`.

    Gradients are with respect to y0, t0, query times, the amounts of jumps (through
    `forward.mesh.jumps`) and `parameters`.

    Raises
    ------
    ValueError
        If the times of jumps want a gradient: only `direct` and `checkpoint` have it.
    """
    if problem.jumps is not None and problem.jumps.times.requires_grad:
        raise ValueError("the times of jumps take a gradient with `direct` and `checkpoint` only")
    setup = _Setup(problem.vector_field, tableau, forward, adjoint)
    apply = cast(Callable[..., Tensor], _AdjointSolve.apply)
    return apply(
        setup, problem.y0, problem.t0, forward.mesh.jumps, problem.query_times, *parameters
    )


class _Setup:
    """What does not change between forward and backward; the mesh without its gradient."""

    def __init__(
        self,
        vector_field: VectorField,
        tableau: ButcherTableau,
        forward: ForwardSolution,
        adjoint: Adjoint,
    ) -> None:
        self.vector_field = vector_field
        self.tableau = tableau
        self.adjoint = adjoint
        mesh = forward.mesh
        jumps = None if mesh.jumps is None else mesh.jumps.detach()
        # Samples stay in the batch to the end: their steps are zero once they are done.
        self.mesh = Mesh(mesh.times.detach(), jumps, uniform=mesh.uniform)
        self.ys = forward.ys.detach()
        # A copy: a view would keep the states at all knots.
        self.kept = [forward.states[-1].detach().clone()]
        if adjoint is Adjoint.INTERPOLATED:
            self.kept = [forward.states.detach(), forward.derivatives.detach()]


class _AdjointSolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        setup: _Setup,
        y0: Tensor,
        t0: Tensor,
        jumps: Tensor | None,
        query_times: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        kept, ys = setup.kept, setup.ys
        # The context holds the setup: what is saved with `save_for_backward` must not be held twice.
        del setup.kept, setup.ys
        ctx.setup = setup
        ctx.num_parameters = len(parameters)
        kept_ys = [ys] if ctx.needs_input_grad[4] else []
        ctx.save_for_backward(query_times, *parameters, *kept, *kept_ys)
        return ys

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        query_times, *saved = ctx.saved_tensors
        parameters, kept = saved[: ctx.num_parameters], saved[ctx.num_parameters :]
        setup: _Setup = ctx.setup
        back = _Backward(setup, parameters, kept, outputs[0], query_times)
        by_y0, by_t0 = back.run()
        by_query_times = None
        if ctx.needs_input_grad[4]:
            by_query_times = _along_the_field(setup, query_times, kept[-1], outputs[0])
        return (None, by_y0, by_t0, back.by_jumps, by_query_times, *back.by_parameters)


def _along_the_field(setup: _Setup, times: Tensor, ys: Tensor, by_ys: Tensor) -> Tensor:
    """Return dL/dt for each query: the cotangent times the derivative."""
    num_samples, num_queries = times.shape
    owners = torch.arange(num_samples, device=times.device).repeat_interleave(num_queries)
    field = restrict(setup.vector_field, owners)
    slopes = evaluate(field, times.flatten(), ys.flatten(0, 1)).view_as(ys)
    return (slopes * by_ys).sum(-1).to(times)


class _Backward:
    """Steps the adjoint from the last knot to the first."""

    def __init__(
        self,
        setup: _Setup,
        parameters: list[Tensor],
        kept: list[Tensor],
        by_ys: Tensor,
        query_times: Tensor,
    ) -> None:
        self._setup, self._mesh, self._parameters = setup, setup.mesh, parameters
        self._interpolated = setup.adjoint is Adjoint.INTERPOLATED
        self._states, self._slopes = kept[0], kept[1] if self._interpolated else None
        self.by_parameters = [torch.zeros_like(one) for one in parameters]
        jumps = self._mesh.jumps
        self.by_jumps = None if jumps is None else torch.zeros_like(jumps)
        self._on_states, self._on_slopes = scatter(self._mesh, query_times, by_ys)

    def run(self) -> tuple[Tensor, Tensor]:
        """Return dL/dy0 and dL/dt0."""
        times, last = self._mesh.times, len(self._mesh.times) - 1
        y = self._states[last] if self._interpolated else self._states
        adjoint = torch.zeros_like(y)
        for index in range(last, 0, -1):
            y, adjoint = self._step(index, y, adjoint)
        slope, adjoint = self._enter(0, y, adjoint)
        return adjoint, -(adjoint * slope).sum(-1).to(times)

    def _graph(self, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            point = y.detach().requires_grad_()
            return point, evaluate(self._setup.vector_field, t, point)

    def _enter(self, knot: int, y: Tensor, adjoint: Tensor) -> tuple[Tensor, Tensor]:
        """Return the derivative at a knot, and the adjoint with the cotangents that enter there."""
        point, slope = self._graph(self._mesh.times[knot], y)
        by_y = self._pull(point, slope, self._on_slopes[knot], weight=1.0)
        return slope.detach(), adjoint + self._on_states[knot] + by_y

    def _pull(self, point: Tensor, slope: Tensor, cotangent: Tensor, *, weight: float) -> Tensor:
        by_y, *by_parameters = gradients([slope], [point, *self._parameters], [cotangent])
        for total, gradient in zip(self.by_parameters, by_parameters, strict=True):
            total.add_(gradient, alpha=weight)
        return by_y

    def _step(self, index: int, y: Tensor, adjoint: Tensor) -> tuple[Tensor, Tensor]:
        """Step from knot `index` to the one before."""
        times, tableau = self._mesh.times, self._setup.tableau
        _, adjoint = self._enter(index, y, adjoint)
        if self.by_jumps is not None and self._mesh.jumps is not None:
            self.by_jumps[index - 1] = adjoint
            y = y - self._mesh.jumps[index - 1]
        duration = times[index - 1] - times[index]
        step = duration.to(y.dtype).unsqueeze(-1)
        minus = -torch.ones_like(step)
        slopes: list[Tensor] = []
        pulls: list[Tensor] = []
        for node, row, weight in zip(tableau.c, tableau.a, tableau.b, strict=True):
            if self._interpolated:
                state = self._between(index - 1, 1 - float(node))
            else:
                state = combine(y, step, slopes, row)
            cotangent = step * combine(adjoint, minus, pulls, row)
            point, slope = self._graph(times[index] + float(node) * duration, state)
            pulls.append(self._pull(point, slope, cotangent, weight=-float(weight)))
            slopes.append(slope.detach())
        before = (
            self._states[index - 1] if self._interpolated else combine(y, step, slopes, tableau.b)
        )
        return before, combine(adjoint, minus, pulls, tableau.b)

    def _between(self, knot: int, theta: float) -> Tensor:
        """Return the forward solution between two of its knots."""
        assert self._slopes is not None
        size = (self._mesh.times[knot + 1] - self._mesh.times[knot]).to(self._states).unsqueeze(-1)
        w = _cubic_weights(torch.tensor(theta, dtype=self._states.dtype))
        start = w[0] * self._states[knot] + w[1] * size * self._slopes[knot]
        return start + w[2] * self._states[knot + 1] + w[3] * size * self._slopes[knot + 1]


def _cubic_weights(theta: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights of y0, h f0, y1, h f1 in the cubic at theta."""
    rest = 1 - theta
    return (
        (1 + 2 * theta) * rest**2,
        theta * rest**2,
        theta**2 * (3 - 2 * theta),
        -(theta**2) * rest,
    )


def scatter(
    mesh: Mesh,
    query_times: Float[Tensor, "sample query"],
    by_ys: Float[Tensor, "sample query state"],
) -> tuple[Float[Tensor, "knot sample state"], Float[Tensor, "knot sample state"]]:
    """Move cotangents from the queries to the states and derivatives at the knots."""
    num_knots, num_samples = mesh.times.shape
    knots = mesh.locate(query_times)
    samples = torch.arange(num_samples, device=knots.device).unsqueeze(1)
    place = (knots * num_samples + samples).flatten()
    size = step_sizes(mesh).flatten()[place]
    theta = (query_times.flatten() - mesh.times.flatten()[place]) / torch.where(size == 0, 1, size)
    theta = torch.where(size == 0, 0, theta)
    flat = by_ys.flatten(0, 1)
    after = (place + num_samples).clamp(max=num_knots * num_samples - 1)
    on_states = flat.new_zeros(num_knots * num_samples, flat.shape[1])
    on_slopes = torch.zeros_like(on_states)
    w0, w1, w2, w3 = (w.to(flat).unsqueeze(1) for w in _cubic_weights(theta))
    size = size.to(flat).unsqueeze(1)
    on_states.index_add_(0, place, w0 * flat).index_add_(0, after, w2 * flat)
    on_slopes.index_add_(0, place, w1 * size * flat).index_add_(0, after, w3 * size * flat)
    shape = (num_knots, num_samples, flat.shape[1])
    return on_states.view(shape), on_slopes.view(shape)
