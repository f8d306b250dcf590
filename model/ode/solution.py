"""What a solver returns: the states asked for, and for each sample how the integration went."""

from dataclasses import dataclass, fields
from enum import IntEnum

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


class Status(IntEnum):
    """How the integration of one sample ended."""

    SUCCESS = 0
    NOT_FINITE = 1
    """The state or its derivative became NaN or infinite."""
    STEP_UNDERFLOW = 2
    """The step that the tolerance asks for is too small for the precision of time."""
    TOO_MANY_STEPS = 3


@dataclass(frozen=True)
class Statistics:
    """What each sample cost."""

    num_function_evaluations: Int64[Tensor, " sample"]
    num_accepted_steps: Int64[Tensor, " sample"]
    num_rejected_steps: Int64[Tensor, " sample"]
    num_jacobians: Int64[Tensor, " sample"]
    num_factorizations: Int64[Tensor, " sample"]

    @staticmethod
    def zeros(num_samples: int, device: torch.device | None = None) -> "Statistics":
        """Counters at zero, each a tensor of its own."""
        counters = torch.zeros(5, num_samples, dtype=torch.int64, device=device)
        return Statistics(*(row.clone() for row in counters))

    @staticmethod
    def sum(whole: "Statistics", samples: Tensor, part: "Statistics") -> "Statistics":
        """Return the counters of a batch with those of some of its samples added."""
        pairs = ((getattr(whole, one.name), getattr(part, one.name)) for one in fields(Statistics))
        return Statistics(*(total.index_add(0, samples, more) for total, more in pairs))


@dataclass(frozen=True)
class Solution:
    """The states of every sample at its query times, in the order in which they were asked.

    Parameters
    ----------
    ys
        NaN beyond `last_times` where a sample failed; right before it.
    status
        A `Status` for each sample.
    last_times
        How far each sample was integrated: its farthest query time unless it failed.
    error_estimate
        Estimated largest absolute error over the sample's grid, where the method has one.
    """

    ys: Float[Tensor, "sample query state"]
    status: Int64[Tensor, " sample"]
    last_times: Float[Tensor, " sample"]
    statistics: Statistics
    error_estimate: Float[Tensor, " sample"] | None = None

    @property
    def succeeded(self) -> Bool[Tensor, " sample"]:
        """Whether each sample was integrated to its end."""
        return self.status == int(Status.SUCCESS)
