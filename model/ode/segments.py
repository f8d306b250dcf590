"""A mesh in pieces: a few steps each, with the samples that have steps there and their queries."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from model.ode.mesh import Mesh

# The graph of one step holds about this many times what its two ends do: segments of
# sqrt(steps / ratio) steps would make the sum of both smallest.
_GRAPH_TO_ENDS_RATIO = 20
# Shorter ones cost time and hardly save memory: a short solve is one segment.
_FEWEST_STEPS = 32


@dataclass(frozen=True)
class Segment:
    """Steps first .. last - 1 of the samples that have steps there, and the queries within.

    Parameters
    ----------
    queries
        Places in the flattened query times.
    query_rows
        Row of each query among `samples`.
    query_knots
        Knot of each query, counted from the segment's first.
    is_whole
        Whether no sample of the batch is missing.
    """

    first: int
    last: int
    samples: Int64[Tensor, " row"]
    queries: Int64[Tensor, " some_query"]
    query_rows: Int64[Tensor, " some_query"]
    query_knots: Int64[Tensor, " some_query"]
    is_whole: bool

    def mesh(self, whole: Mesh) -> Mesh:
        """Return this part of the mesh; the rows are `samples`."""
        times = whole.times[self.first : self.last + 1]
        jumps = None if whole.jumps is None else whole.jumps[self.first : self.last]
        if self.is_whole:
            return Mesh(times, jumps)
        return Mesh(times[:, self.samples], None if jumps is None else jumps[:, self.samples])


def divide(mesh: Mesh, query_times: Float[Tensor, "sample query"]) -> list[Segment]:
    """Divide a mesh into segments of equal length, and the queries among them."""
    total = len(mesh.times) - 1
    length = max(_FEWEST_STEPS, math.isqrt(total // _GRAPH_TO_ENDS_RATIO))
    bounds = [*range(0, total, length), total] if total else [0, 0]
    knots = mesh.locate(query_times).flatten()
    everyone = torch.arange(mesh.times.shape[1], device=knots.device)
    owners = everyone.repeat_interleave(query_times.shape[1])
    order = knots.argsort(stable=True)
    starts = torch.tensor(bounds[1:-1], dtype=knots.dtype, device=knots.device)
    parts = order.tensor_split(torch.searchsorted(knots[order], starts).tolist())
    segments = []
    for first, last, queries in zip(bounds[:-1], bounds[1:], parts, strict=True):
        samples, rows = everyone, owners[queries]
        if mesh.num_steps is not None:
            active = mesh.num_steps >= first
            samples = active.nonzero().squeeze(1)
            rows = (active.cumsum(0) - 1)[rows]
        is_whole = len(samples) == len(everyone)
        segments.append(
            Segment(first, last, samples, queries, rows, knots[queries] - first, is_whole)
        )
    return segments
