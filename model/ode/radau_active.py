"""The samples of a Radau search that are still on their way: where each one stands."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from model.ode.collocation import NUM_STAGES
from model.ode.newton import StageFactors
from model.ode.sample_table import AbstractSampleTable
from model.ode.solution import Statistics

NUM_COUNTERS = len(fields(Statistics))


@dataclass(frozen=True)
class RadauTolerance(AbstractSampleTable):
    """What counts as a small error, by sample and component.

    `newton` is the part of the tolerance that the iteration may leave of the stages, `rounding`
    what floating point leaves.
    """

    rtol: Float[Tensor, "row state"]
    atol: Float[Tensor, "row state"]
    newton: Float[Tensor, " row"]
    rounding: Float[Tensor, " row"]

    def scale(self, size: Float[Tensor, "row state"]) -> Float[Tensor, "row state"]:
        """Return the tolerated error of states of this size."""
        return torch.addcmul(self.atol, self.rtol, size)


@dataclass(frozen=True)
class ActiveSamples(AbstractSampleTable):
    """One row for each running sample; h is the signed step to try next.

    `jacobian` is that of an earlier state unless `jacobian_is_current`; `factors` are of (h, J)
    unless `needs_factors`. `last_h`, `last_error` and `last_increments` are of the last accepted
    step since the start or a jump; before it `last_error` is infinite and the increments are zero.
    `num_jumps` are behind the sample, `stop` is its next jump or its end.
    `counts` are those of `Statistics`, in its order.
    """

    samples: Int[Tensor, " row"]
    t: Float[Tensor, " row"]
    h: Float[Tensor, " row"]
    stop: Float[Tensor, " row"]
    y: Float[Tensor, "row state"]
    derivative: Float[Tensor, "row state"]
    jacobian: Float[Tensor, "row state state"]
    factors: StageFactors
    jacobian_is_current: Bool[Tensor, " row"]
    needs_jacobian: Bool[Tensor, " row"]
    needs_factors: Bool[Tensor, " row"]
    was_rejected: Bool[Tensor, " row"]
    last_h: Float[Tensor, " row"]
    last_error: Float[Tensor, " row"]
    last_increments: Float[Tensor, "row stage state"]
    num_jumps: Int[Tensor, " row"]
    tolerance: RadauTolerance
    counts: Int[Tensor, "row counter"]

    @classmethod
    def at_start(
        cls,
        t: Float[Tensor, " row"],
        y: Float[Tensor, "row state"],
        tolerance: RadauTolerance,
    ) -> "ActiveSamples":
        """Return all samples at their t0 with nothing evaluated yet, every sample to restart."""
        num_samples, width = y.shape
        no = torch.zeros_like(t, dtype=torch.bool)
        count = torch.zeros_like(no, dtype=torch.int64)
        matrix = y.new_zeros(num_samples, width, width)
        pivots = torch.zeros(num_samples, width, dtype=torch.int32, device=y.device)
        both = torch.complex(matrix, matrix)
        return cls(
            samples=torch.arange(num_samples, device=t.device),
            t=t,
            h=torch.zeros_like(t),
            stop=t,
            y=y,
            derivative=torch.zeros_like(y),
            jacobian=matrix,
            factors=StageFactors(matrix, pivots, both, pivots),
            jacobian_is_current=no,
            needs_jacobian=~no,
            needs_factors=~no,
            was_rejected=no,
            last_h=torch.ones_like(t),
            last_error=torch.full_like(y[:, 0], torch.inf),
            last_increments=y.new_zeros(num_samples, NUM_STAGES, width),
            num_jumps=count,
            tolerance=tolerance,
            counts=count.new_zeros(num_samples, NUM_COUNTERS),
        )
