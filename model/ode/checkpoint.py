"""The exact gradient of a walk along a mesh without keeping the walk.

Forward keeps the state and derivative at the start of every segment of steps; backward walks each
segment again, from the last to the first. The gradient is that of `direct`, to rounding.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from model.ode.differentiation import gradients
from model.ode.mesh import Mesh
from model.ode.problem import VectorField, restrict
from model.ode.runge_kutta import Walk, evaluate, walk
from model.ode.tableau import ButcherTableau

# A step's graph holds about this many times what a checkpoint does: segments of
# sqrt(steps / ratio) make the sum of both smallest.
_GRAPH_TO_CHECKPOINT_RATIO = 20


def checkpointed_walk(
    vector_field: VectorField,
    y0: Float[Tensor, "sample state"],
    mesh: Mesh,
    query_times: Float[Tensor, "sample query"],
    tableau: ButcherTableau,
    parameters: tuple[Tensor, ...],
) -> Float[Tensor, "sample query state"]:
    """Return the states at the query times, differentiable in everything given."""
    setup = _Setup(vector_field, tableau, mesh)
    found: Tensor = _CheckpointedWalk.apply(
        setup, y0, mesh.times, mesh.jumps, query_times, *parameters
    )
    return found


@dataclass(frozen=True)
class _Segment:
    """Steps first .. last - 1, of the samples that have steps there, and the queries within."""

    first: int
    last: int
    samples: Tensor
    queries: Tensor
    """Places in the flattened query times."""
    query_samples: Tensor
    """Row of each query among `samples`."""
    query_knots: Tensor
    is_partial: bool
    """Whether some samples of the batch are missing."""

    def cut(self, table: Tensor, *, knots: bool) -> Tensor:
        """Return this segment's knots, or its steps, of its samples."""
        rows = table[self.first : self.last + knots]
        return rows[:, self.samples] if self.is_partial else rows


class _Setup:
    """What does not change between forward and backward."""

    def __init__(self, vector_field: VectorField, tableau: ButcherTableau, mesh: Mesh) -> None:
        self.vector_field = vector_field
        self.tableau = tableau
        self.num_steps = mesh.num_steps
        self.uniform = mesh.uniform

    def segments(self, mesh: Mesh, query_times: Tensor) -> list[_Segment]:
        """Divide the mesh, and the queries among its parts."""
        total = len(mesh.times) - 1
        length = max(1, math.isqrt(total // _GRAPH_TO_CHECKPOINT_RATIO))
        knots = mesh.locate(query_times).flatten()
        num_samples = mesh.times.shape[1]
        everyone = torch.arange(num_samples, device=knots.device)
        owners = everyone.repeat_interleave(query_times.shape[1])
        order = knots.argsort(stable=True)
        bounds = [*range(0, total, length), total] if total else [0, 0]
        starts = torch.tensor(bounds[:-1], device=knots.device)
        splits = torch.searchsorted(knots[order], starts)[1:].tolist()
        parts = order.tensor_split(splits)
        found = []
        for first, last, queries in zip(bounds[:-1], bounds[1:], parts, strict=True):
            samples, rows = everyone, owners[queries]
            if mesh.num_steps is not None:
                active = mesh.num_steps >= first
                samples = active.nonzero().squeeze(1)
                rows = (active.cumsum(0) - 1)[rows]
            found.append(
                _Segment(
                    first,
                    last,
                    samples,
                    queries,
                    rows,
                    knots[queries] - first,
                    is_partial=len(samples) < num_samples,
                )
            )
        return found

    def walk(self, segment: _Segment, start: tuple[Tensor, Tensor], mesh: Mesh) -> Walk:
        """Walk one segment, given its own part of the mesh."""
        field = self.vector_field
        if segment.is_partial:
            field = restrict(field, segment.samples)
        return walk(field, start, mesh, self.tableau)


class _CheckpointedWalk(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        setup: _Setup,
        y0: Tensor,
        times: Tensor,
        jumps: Tensor | None,
        query_times: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        mesh = Mesh(times, jumps, setup.num_steps, setup.uniform)
        y, f = y0, evaluate(setup.vector_field, times[0], y0)
        ys = y0.new_empty(query_times.numel(), y0.shape[1])
        starts = []
        ctx.segments = setup.segments(mesh, query_times)
        for segment in ctx.segments:
            start = (y[segment.samples], f[segment.samples])
            starts += start
            cut_jumps = None if jumps is None else segment.cut(jumps, knots=False)
            found = setup.walk(segment, start, Mesh(segment.cut(times, knots=True), cut_jumps))
            ys[segment.queries] = found.solution.evaluate_at(
                query_times.flatten()[segment.queries], segment.query_samples, segment.query_knots
            )
            y = y.index_copy(0, segment.samples, found.states[-1])
            f = f.index_copy(0, segment.samples, found.derivatives[-1])
        ctx.setup = setup
        ctx.num_parameters = len(parameters)
        saved_jumps = times.new_empty(0) if jumps is None else jumps
        ctx.has_jumps = jumps is not None
        ctx.save_for_backward(times, saved_jumps, query_times, y0, *parameters, *starts)
        return ys.view(*query_times.shape, y0.shape[1])

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]  # torch has none
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        return (None, *_Backward(ctx, outputs[0]).run())


class _Backward:
    """Walks the segments from last to first and adds up the gradients."""

    def __init__(self, ctx: Any, by_ys: Tensor) -> None:
        times, jumps, query_times, y0, *rest = ctx.saved_tensors
        self._setup: _Setup = ctx.setup
        self._segments: list[_Segment] = ctx.segments
        self._parameters = rest[: ctx.num_parameters]
        self._starts = rest[ctx.num_parameters :]
        self._times, self._query_times, self._y0 = times, query_times, y0
        self._jumps = jumps if ctx.has_jumps else None
        self._moves: bool = ctx.needs_input_grad[2]
        self._by_ys = by_ys.reshape(-1, by_ys.shape[-1])
        self._by_times = torch.zeros_like(times)
        self._by_jumps = torch.zeros_like(jumps)
        self._by_query_times = torch.zeros_like(query_times).flatten()
        self._by_parameters = [torch.zeros_like(one) for one in self._parameters]

    def run(self) -> list[Tensor | None]:
        by_y, by_f = torch.zeros_like(self._y0), torch.zeros_like(self._y0)
        for index in range(len(self._segments) - 1, -1, -1):
            by_y, by_f = self._segment(index, by_y, by_f)
        with torch.enable_grad():
            t0 = self._times[0].detach().requires_grad_()
            y0 = self._y0.detach().requires_grad_()
            f0 = evaluate(self._setup.vector_field, t0, y0)
        by_t0, by_y0, *by_parameters = gradients([f0], [t0, y0, *self._parameters], [by_f])
        self._by_times[0] += by_t0
        self._add(by_parameters)
        by_jumps = None if self._jumps is None else self._by_jumps
        by_query_times = self._by_query_times.view_as(self._query_times)
        return [by_y + by_y0, self._by_times, by_jumps, by_query_times, *self._by_parameters]

    def _segment(self, index: int, by_y: Tensor, by_f: Tensor) -> tuple[Tensor, Tensor]:
        segment, rows = self._segments[index], self._segments[index].samples
        y, f = (one.detach().requires_grad_() for one in self._starts[2 * index : 2 * index + 2])
        times = segment.cut(self._times, knots=True).detach().requires_grad_(self._moves)
        jumps = None
        if self._jumps is not None:
            jumps = segment.cut(self._jumps, knots=False).detach().requires_grad_()
        queries = self._query_times.flatten()[segment.queries].detach().requires_grad_()
        with torch.enable_grad():
            found = self._setup.walk(segment, (y, f), Mesh(times, jumps))
            ys = found.solution.evaluate_at(queries, segment.query_samples, segment.query_knots)
        others = [*self._parameters] if jumps is None else [*self._parameters, jumps]
        if self._moves:
            others.append(times)
        start_y, start_f, by_queries, *rest = gradients(
            [found.states[-1], found.derivatives[-1], ys],
            [y, f, queries, *others],
            [by_y[rows], by_f[rows], self._by_ys[segment.queries]],
        )
        self._by_query_times[segment.queries] += by_queries
        if self._moves:
            self._by_times[segment.first : segment.last + 1].index_add_(1, rows, rest.pop())
        if jumps is not None:
            self._by_jumps[segment.first : segment.last].index_add_(1, rows, rest.pop())
        self._add(rest)
        return by_y.index_copy(0, rows, start_y), by_f.index_copy(0, rows, start_f)

    def _add(self, by_parameters: list[Tensor]) -> None:
        for total, gradient in zip(self._by_parameters, by_parameters, strict=True):
            total += gradient
