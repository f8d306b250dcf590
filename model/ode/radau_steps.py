"""The accepted steps of a Radau solution: the mesh, the stages on it, the polynomial between.

A sample's rows follow one another. Its first row is a step of length zero at y0, so that every
sample has one; jumps are added between the end of a row and the start of the next, and after the
last one.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from model.ode.collocation import interpolate
from model.ode.sample_table import AbstractSampleTable


@dataclass(frozen=True)
class RadauSteps(AbstractSampleTable):
    """Rows of accepted steps; `jumps_before` counts the jumps behind the sample at its start.

    `jumps_after` is the next row's `jumps_before`; that of the last row includes jumps at the end.
    """

    samples: Int64[Tensor, " row"]
    starts: Float[Tensor, " row"]
    ends: Float[Tensor, " row"]
    y_starts: Float[Tensor, "row state"]
    increments: Float[Tensor, "row stage state"]
    jumps_before: Int64[Tensor, " row"]
    jumps_after: Int64[Tensor, " row"]

    def sorted_by_sample(self) -> "RadauSteps":
        """Bring the rows of each sample together, in the order in which they were taken."""
        order = torch.argsort(self.samples, stable=True)
        return RadauSteps(
            self.samples[order],
            self.starts[order],
            self.ends[order],
            self.y_starts[order],
            self.increments[order],
            self.jumps_before[order],
            self.jumps_after[order],
        )

    @property
    def moving(self) -> Bool[Tensor, " row"]:
        """Whether a row is a step at all."""
        return self.starts != self.ends

    def index(self, num_samples: int) -> "StepIndex":
        """Return where the rows of each sample are; the steps are sorted by sample."""
        counts = torch.bincount(self.samples, minlength=num_samples)
        return StepIndex(counts.cumsum(0) - counts, counts)

    def evaluate(
        self,
        query_times: Float[Tensor, "sample query"],
        direction: Float[Tensor, " sample"],
        jumps_so_far: Float[Tensor, "sample count state"] | None,
    ) -> Float[Tensor, "sample query state"]:
        """Return the solution at the query times; NaN beyond a sample's last step.

        `jumps_so_far[i, k]` is the sum of the first k jumps of sample i. Differentiable in the
        steps, the jumps and the query times.
        """
        rows = self._locate(query_times.detach(), direction).flatten()
        times, sign = query_times.flatten(), direction[self.samples[rows]]
        starts, ends = self.starts[rows], self.ends[rows]
        length = ends - starts
        theta = (times - starts) / torch.where(length == 0, 1.0, length)
        values = interpolate(theta, self.y_starts[rows], self.increments[rows])
        if jumps_so_far is not None:
            # Forward in time, the value at the time of a jump is the one after it.
            at_end = ((times == ends) & (sign > 0)).unsqueeze(1)
            sample = self.samples[rows]
            after = jumps_so_far[sample, self.jumps_after[rows]]
            before = jumps_so_far[sample, self.jumps_before[rows]]
            values = values + torch.where(at_end, after - before, 0.0)
        beyond = (times.detach() - ends.detach()) * sign > 0
        values = torch.where(beyond.unsqueeze(1), torch.nan, values)
        return values.view(*query_times.shape, self.y_starts.shape[1])

    def _locate(
        self, query_times: Float[Tensor, "sample query"], direction: Float[Tensor, " sample"]
    ) -> Int64[Tensor, "sample query"]:
        """Return the row whose step reaches each time first; beyond the last row, the last."""
        index, sign = self.index(len(query_times)), direction.unsqueeze(1)
        clock = (self.ends.detach()[index.padded()] * sign).contiguous()
        found = torch.searchsorted(clock, (query_times * sign).contiguous())
        # A query at t0 belongs to the first real step, for the sake of its slope; but a sample that
        # runs backward from a jump has there the value that it started with.
        undone = (direction < 0) & (self.jumps_after[index.first] > 0)
        found = torch.maximum(found, (~undone).unsqueeze(1).to(found))
        return torch.minimum(found, index.counts.unsqueeze(1) - 1) + index.first.unsqueeze(1)


@dataclass(frozen=True)
class StepIndex:
    """Row `first[i] + n` is the n-th of the `counts[i]` steps of sample i."""

    first: Int64[Tensor, " sample"]
    counts: Int64[Tensor, " sample"]

    def padded(self) -> Int64[Tensor, "sample step"]:
        """Return the rows of each sample, the last one repeated."""
        place = torch.arange(int(self.counts.max()), device=self.counts.device)
        return torch.minimum(place, self.counts.unsqueeze(1) - 1) + self.first.unsqueeze(1)

    def rows_by_place(self) -> list[Int64[Tensor, " row"]]:
        """Return, for each n, the n-th rows of the samples that have so many."""
        order = self.counts.argsort(descending=True, stable=True)
        place = torch.arange(int(self.counts.max()), device=self.counts.device)
        num_rows = (self.counts.unsqueeze(1) > place).sum(0).tolist()
        first = self.first[order]
        return [first[:many] + n for n, many in enumerate(num_rows)]


def sum_of_first_jumps(
    amounts: Float[Tensor, "sample jump state"],
) -> Float[Tensor, "sample count state"]:
    """Return the sums of the first 0, 1, ... jumps of each sample."""
    nothing = amounts.new_zeros(amounts.shape[0], 1, amounts.shape[2])
    return torch.cat([nothing, amounts], 1).cumsum(1)
