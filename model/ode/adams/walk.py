"""The Adams method on known steps and orders, with autograd.

The gradient is exactly that of the discrete solution, with step sizes and orders held constant.
The steps are taken in blocks; with `checkpoint` the walk keeps only what crosses from one block to
the next, the state and the last derivatives, and takes the steps between again in the backward
pass. A step's weights are plain numbers, so that autograd keeps hardly more than the field's own
graph.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from model.ode.adams.coefficients import (
    basis_integrals,
    corrector_weights,
    distinct_places,
    history_depth,
    predictor_weights,
)
from model.ode.adams.dense_output import AdamsDenseOutput
from model.ode.mesh import Mesh
from model.ode.problem import InitialValueProblem, VectorField, restrict
from model.ode.runge_kutta import evaluate
from model.ode.segments import Segment, divide


def walk_adams(
    problem: InitialValueProblem,
    mesh: Mesh,
    orders: Int64[Tensor, "knot sample"],
    query_times: Float[Tensor, "sample query"],
    *,
    keep_graph: bool,
) -> Float[Tensor, "sample query state"]:
    """Step along the mesh with the given orders; `keep_graph` instead of computing blocks again."""
    segments = divide(mesh, query_times)
    field, y = problem.vector_field, _at_first_knot(problem)
    f = evaluate(field, problem.t0.detach(), y)
    depth = history_depth(orders)
    history = torch.cat([f.new_zeros(depth - 1, *f.shape), f.unsqueeze(0)])
    found = []
    for segment in segments:
        block = _Block(field, mesh, orders, query_times, segment)
        if keep_graph or segment is segments[-1]:
            y, history, ys = block(y, history)
        else:
            y, history, ys = checkpoint(
                block, y, history, use_reentrant=False, preserve_rng_state=False
            )
        found.append(ys)
    order = torch.cat([segment.queries for segment in segments]).argsort()
    return torch.cat(found)[order].view(*query_times.shape, y.shape[1])


def _at_first_knot(problem: InitialValueProblem) -> Float[Tensor, "sample state"]:
    """Return y0, as it depends on t0 where the first knot does not move with it."""
    if not problem.t0.requires_grad:
        return problem.y0
    slope = evaluate(problem.vector_field, problem.t0.detach(), problem.y0.detach())
    shift = (problem.t0.detach() - problem.t0).to(slope).unsqueeze(1)
    return problem.y0 + shift * slope.detach()


@dataclass(frozen=True)
class _Block:
    """From the states and last derivatives at a segment's start to those at its end, and its queries."""

    vector_field: VectorField
    mesh: Mesh
    orders: Tensor
    query_times: Tensor
    segment: Segment

    def __call__(self, y: Tensor, history: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        segment, rows = self.segment, self.segment.samples
        field, start = self.vector_field, (y, history)
        if not segment.is_whole:
            field, start = restrict(field, rows), (y[rows], history[:, rows])
        dense = _walk(
            field, *start, self._times(len(history)), self._part(self.orders, 1), self._jumps()
        )
        ys = dense.evaluate_at(
            self.query_times.flatten()[segment.queries], segment.query_rows, segment.query_knots
        )
        end = (dense.states[-1], dense.derivatives[-len(history) :])
        if segment.is_whole:
            return *end, ys
        return y.index_copy(0, rows, end[0]), history.index_copy(1, rows, end[1]), ys

    def _part(self, table: Tensor, more: int) -> Tensor:
        part = table[self.segment.first : self.segment.last + more]
        return part if self.segment.is_whole else part[:, self.segment.samples]

    def _times(self, depth: int) -> Float[Tensor, "past_knot sample"]:
        """Return the knots, and before them those that the history belongs to."""
        times = self.mesh.times.detach()
        times = torch.cat([times[:1].expand(depth - 1, -1), times])
        part = times[self.segment.first : self.segment.last + depth]
        return part if self.segment.is_whole else part[:, self.segment.samples]

    def _jumps(self) -> "_Jumps | None":
        if self.mesh.jumps is None:
            return None
        amounts = self._part(self.mesh.jumps, 0)
        if not self.mesh.times.requires_grad:
            return _Jumps(amounts, None)
        shifts = self._part(self.mesh.times - self.mesh.times.detach(), 1)[1:]
        happens = self._part(self.orders, 0) == 0
        return _Jumps(amounts, torch.where(happens, shifts, 0).to(amounts).unsqueeze(-1))


@dataclass(frozen=True)
class _Jumps:
    """What each step adds; and zeros whose gradient is that of the time of the jump."""

    amounts: Float[Tensor, "step sample state"]
    shifts: Float[Tensor, "step sample 1"] | None


def _walk(
    field: VectorField,
    y: Tensor,
    history: Tensor,
    times: Tensor,
    orders: Tensor,
    jumps: _Jumps | None,
) -> AdamsDenseOutput:
    """Take the steps between the knots, all but the last of which have an order."""
    depth = len(history)
    weights = _weights(times, orders[:-1], depth, y.dtype)
    states, slopes, defects = [y], list(history.unbind(0)), []
    for step in range(len(orders) - 1):
        t1 = times[step + depth]
        known = torch.stack(slopes[: -depth - 1 : -1])
        ahead, rise = (weights.known[:, :, step] * known).sum(1).unbind(0)
        new = weights.new[step]
        base = y if jumps is None else y + jumps.amounts[step]
        predicted = evaluate(field, t1, base + ahead)
        if jumps is not None and jumps.shifts is not None:
            base = torch.addcmul(base, jumps.shifts[step], slopes[-1] - predicted)
        y = torch.addcmul(base + rise, new, predicted)
        states.append(y)
        slopes.append(evaluate(field, t1, y))
        defects.append(new * (predicted - slopes[-1]))
    return AdamsDenseOutput(
        times=times,
        orders=orders,
        states=torch.stack(states),
        derivatives=torch.stack(slopes),
        defects=torch.stack(defects) if defects else y.new_zeros(0, *y.shape),
    )


@dataclass(frozen=True)
class _Weights:
    """Of predictor and corrector, newest derivative first; and of the predicted derivative."""

    known: Float[Tensor, "2 knot step sample 1"]
    new: Float[Tensor, "step sample 1"]


def _weights(times: Tensor, orders: Tensor, depth: int, dtype: torch.dtype) -> _Weights:
    """Return those of every step between the knots; zeros for order 0."""
    still = orders == 0
    start = times[depth - 1 : -1]
    size = torch.where(still, 1, times.diff(dim=0)[depth - 1 :])
    past = torch.stack([times[depth - 1 - m : len(times) - 1 - m] for m in range(depth)])
    places = distinct_places((past - start) / size, orders)
    integrals = size * basis_integrals(places, torch.ones_like(size))
    new = torch.where(still, 0, integrals.gather(0, (orders - 1).clamp(min=0).unsqueeze(0)))
    known = [make(integrals, places, orders) for make in (predictor_weights, corrector_weights)]
    return _Weights(torch.stack(known).to(dtype).unsqueeze(-1), new[0].to(dtype).unsqueeze(-1))
