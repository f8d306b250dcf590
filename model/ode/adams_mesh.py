"""Where the steps of an Adams solution lie, and their orders: all that a replay must know."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from model.ode.adams_segments import Segments


@dataclass(frozen=True)
class AdamsMesh:
    """The steps of each sample; of row i only the first `counts[i]` entries mean something.

    Order 0 with length 0 is a start: the beginning, or a jump of the state.
    """

    starts: Float[Tensor, "sample step"]
    lengths: Float[Tensor, "sample step"]
    orders: Int[Tensor, "sample step"]
    counts: Int[Tensor, " sample"]

    @classmethod
    def of(cls, segments: Segments, num_samples: int) -> "AdamsMesh":
        """Return the mesh of a solution; every sample has at least one segment."""
        rows = segments.rows(num_samples)
        return cls(
            starts=rows.pad(segments.starts),
            lengths=rows.pad(segments.lengths),
            orders=rows.pad(segments.orders),
            counts=rows.counts,
        )

    @classmethod
    def from_knots(cls, knots: Float[Tensor, "knot sample"], *, order: int) -> "AdamsMesh":
        """Return the mesh with these knots and, after its beginning, one order.

        A multistep method of order q starts with lower orders, which would limit the convergence.
        The first interval is therefore divided: its first piece is so short that order 2 suffices
        there; the pieces grow while the order rises to q.
        """
        times = torch.cat([knots[:1], _first_interval(knots, order), knots[1:]]).T
        lengths = times.diff(dim=1)
        num_samples, num_steps = lengths.shape
        ramp = torch.arange(2, num_steps + 2, device=knots.device).clamp(max=order)
        return cls(
            starts=torch.cat([times[:, :1], times[:, :-1]], 1),
            lengths=torch.cat([torch.zeros_like(times[:, :1]), lengths], 1),
            orders=torch.cat([ramp.new_zeros(1), ramp]).repeat(num_samples, 1),
            counts=ramp.new_full((num_samples,), num_steps + 1),
        )


def _first_interval(
    knots: Float[Tensor, "knot sample"], order: int
) -> Float[Tensor, "piece sample"]:
    """Return the times that divide the first interval: pieces that double in size.

    The shortest piece e satisfies (8 e)^3 <= h^3 (h / span)^(order - 2) in every sample, so that its
    error of order 3 vanishes beside the others, which add up to h^order. Doubling at every piece
    would amplify rounding by about 2^(order^2 / 2); high orders therefore repeat each size.
    """
    first = knots[1] - knots[0]
    if order <= 2 or len(knots) < 3:
        return knots[:0]
    ratio = float(((knots[-1] - knots[0]) / first).abs().max())
    num_pieces = 3 + math.ceil(math.log2(ratio) * (order - 2) / 3)
    repeats = max(1, order // 3)
    sizes = torch.arange(num_pieces, device=knots.device).repeat_interleave(repeats)
    reach = torch.exp2(sizes.to(knots)).cumsum(0)
    reach = torch.cat([reach, reach[-1:] + 2.0**num_pieces])
    return knots[0] + first * (reach[:-1] / reach[-1]).unsqueeze(-1)
