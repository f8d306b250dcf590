"""Dense output of the Adams method: each accepted step with its own polynomial.

Between t_n and t_{n+1} the answer is y_n plus the integral of the polynomial through the last
`order` derivatives, the one at t_{n+1} included, plus the step's defect (the corrector used the
predicted derivative there) times 3 theta^2 - 2 theta^3. So value and slope are continuous from
step to step, and the error is of the method's own order (after Watts, A smoother interpolant for
DE/STEP, INTRP and DEABM, SAND84-0293, 1984, who adds another polynomial).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from model.ode.divided_differences import History, integrate_newton_basis
from model.ode.sample_table import AbstractSampleTable


@dataclass(frozen=True)
class Segments(AbstractSampleTable):
    """Accepted steps of many samples: any order of samples, but each one's own in order of time.

    A start or restart is a segment of length and order 0 whose defect is the jump of the state.
    The history is the one at the segment's end.
    """

    samples: Int[Tensor, " segment"]
    starts: Float[Tensor, " segment"]
    lengths: Float[Tensor, " segment"]
    orders: Int[Tensor, " segment"]
    y_starts: Float[Tensor, "segment state"]
    defects: Float[Tensor, "segment state"]
    history: History

    def rows(self, num_samples: int) -> "SegmentRows":
        """Return where the segments of each sample are."""
        counts = torch.bincount(self.samples, minlength=num_samples)
        offsets = counts.cumsum(0) - counts
        return SegmentRows(torch.argsort(self.samples, stable=True), offsets, counts)

    def evaluate(
        self, query_times: Float[Tensor, "sample query"], direction: Float[Tensor, " sample"]
    ) -> Float[Tensor, "sample query state"]:
        """Return the solution; beyond a sample's last segment it is NaN.

        Every sample has at least one segment. At a jump the value is the one after it in time,
        for a sample that runs backward therefore the one before the jump is undone.
        """
        rows = self.rows(len(query_times))
        position = _locate(rows.pad(self.starts), rows.counts, query_times, direction)
        index = rows.permutation[rows.offsets.unsqueeze(-1) + position].flatten()
        forward = (direction > 0).unsqueeze(-1).expand_as(position).flatten()
        answers = self._interpolate(index, query_times.flatten(), forward)
        last = rows.permutation[rows.offsets + rows.counts - 1]
        end = (self.starts + self.lengths)[last].unsqueeze(-1)
        beyond = (query_times.detach() - end) * direction.unsqueeze(-1) > 0
        answers = answers.unflatten(0, query_times.shape)
        return torch.where(beyond.unsqueeze(-1), torch.nan, answers)

    def _interpolate(
        self,
        index: Int[Tensor, " query"],
        times: Float[Tensor, " query"],
        forward: Bool[Tensor, " query"],
    ) -> Float[Tensor, "query state"]:
        length, order = self.lengths[index], self.orders[index].unsqueeze(-1)
        still = length == 0
        theta = (times - self.starts[index]) / torch.where(still, 1.0, length)
        theta = torch.where(still, forward.to(theta), theta.clamp(max=1.0))
        elapsed = theta * length
        basis = integrate_newton_basis(-length, elapsed - length, self.history.steps[index])
        dtype = self.y_starts.dtype
        blend = (theta * theta * (3.0 - 2.0 * theta)).to(dtype).unsqueeze(-1)
        answer = self.y_starts[index] + blend * self.defects[index]
        for row in range(int(order.max())):
            weight = torch.where(row < order, basis[:, row : row + 1], 0.0).to(dtype)
            answer = answer + weight * self.history.differences[index, row]
        return answer


@dataclass(frozen=True)
class SegmentRows:
    """`permutation[offsets[i] + n]` is the n-th of the `counts[i]` segments of sample i."""

    permutation: Int[Tensor, " segment"]
    offsets: Int[Tensor, " sample"]
    counts: Int[Tensor, " sample"]

    def pad(self, column: Tensor) -> Tensor:
        """Return the column as [sample, n]; beyond a sample's count the value is its last one."""
        place = torch.arange(int(self.counts.max()), device=column.device)
        place = torch.minimum(place, self.counts.unsqueeze(-1) - 1)
        return column[self.permutation[self.offsets.unsqueeze(-1) + place]]


def _locate(
    starts: Float[Tensor, "sample n"],
    counts: Int[Tensor, " sample"],
    query_times: Float[Tensor, "sample query"],
    direction: Float[Tensor, " sample"],
) -> Int[Tensor, "sample query"]:
    """Return the last segment that starts at or before each time, backward the first that starts there."""
    sign = direction.unsqueeze(-1)
    clock, times = (starts * sign).contiguous(), (query_times.detach() * sign).contiguous()
    last = torch.searchsorted(clock, times, right=True) - 1
    first = torch.searchsorted(clock, times)
    place = torch.where((sign < 0) & (first <= last), first, last)
    return torch.minimum(place, counts.unsqueeze(-1) - 1).clamp(min=0)
