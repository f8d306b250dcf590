"""The exact gradient of a walk along a mesh without keeping the walk.

Forward keeps the state and the derivative at the start of every segment of steps; backward walks
each segment again, from the last to the first (Griewank, Walther 2008, Evaluating Derivatives,
chapter 12, with one level). The gradient is that of `direct`, to rounding, with respect to
everything that the vector field uses. The last segment is needed first and is kept as it is, so
that a short solve costs nothing extra.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from model.ode.mesh import Mesh
from model.ode.problem import VectorField, restrict
from model.ode.runge_kutta import evaluate, walk
from model.ode.segments import Segment, divide
from model.ode.tableau import ButcherTableau


def checkpointed_walk(
    vector_field: VectorField,
    y0: Float[Tensor, "sample state"],
    mesh: Mesh,
    query_times: Float[Tensor, "sample query"],
    tableau: ButcherTableau,
) -> Float[Tensor, "sample query state"]:
    """Return the states at the query times, differentiable in everything that they depend on."""
    segments = divide(mesh, query_times)
    y, f = y0, evaluate(vector_field, mesh.times[0], y0)
    found = []
    for segment in segments:
        step = _SegmentWalk(vector_field, tableau, segment, mesh, query_times)
        if segment is segments[-1]:
            y, f, ys = step(y, f)
        else:
            y, f, ys = checkpoint(step, y, f, use_reentrant=False, preserve_rng_state=False)
        found.append(ys)
    order = torch.cat([segment.queries for segment in segments]).argsort()
    return torch.cat(found)[order].view(*query_times.shape, y0.shape[1])


@dataclass(frozen=True)
class _SegmentWalk:
    """From the states and derivatives at a segment's start to those at its end, and its queries."""

    vector_field: VectorField
    tableau: ButcherTableau
    segment: Segment
    mesh: Mesh
    query_times: Tensor

    def __call__(self, y: Tensor, f: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        segment, field, start = self.segment, self.vector_field, (y, f)
        if not segment.is_whole:
            field = restrict(field, segment.samples)
            start = (y[segment.samples], f[segment.samples])
        found = walk(field, start, segment.mesh(self.mesh), self.tableau)
        ys = found.solution.evaluate_at(
            self.query_times.flatten()[segment.queries], segment.query_rows, segment.query_knots
        )
        end_y, end_f = found.states[-1], found.derivatives[-1]
        if segment.is_whole:
            return end_y, end_f, ys
        rows = segment.samples
        return y.index_copy(0, rows, end_y), f.index_copy(0, rows, end_f), ys
