"""The samples of an Adams search that are still on their way, and how a step moves them."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from model.ode.adams.order_selection import MAX_ORDER, MIN_ORDER, StepPlan
from model.ode.adams.sample_table import AbstractSampleTable
from model.ode.solution import Status


@dataclass(frozen=True)
class ActiveSamples(AbstractSampleTable):
    """Where each sample stands; `size` (signed) and `order` are those of the next step to try.

    `jump_time` is that of the next jump, the `next_jump`-th; infinite where there is none.
    `num_failures` counts the rejected steps since the last accepted one.
    """

    samples: Int64[Tensor, " sample"]
    t: Float[Tensor, " sample"]
    y: Float[Tensor, "sample state"]
    size: Float[Tensor, " sample"]
    order: Int64[Tensor, " sample"]
    starting: Bool[Tensor, " sample"]
    num_failures: Int64[Tensor, " sample"]
    num_accepted: Int64[Tensor, " sample"]
    num_rejected: Int64[Tensor, " sample"]
    next_jump: Int64[Tensor, " sample"]
    jump_time: Float[Tensor, " sample"]
    direction: Float[Tensor, " sample"]
    end: Float[Tensor, " sample"]
    status: Int64[Tensor, " sample"]

    def next_times(self) -> Float[Tensor, " sample"]:
        """Return where the next step ends: at the jump if it would nearly reach it."""
        meets = 1.001 * self.size.abs() >= (self.jump_time - self.t).abs()
        return torch.where(meets, self.jump_time, self.t + self.size)

    def started(
        self, y: Float[Tensor, "sample state"], size: Float[Tensor, " sample"]
    ) -> "ActiveSamples":
        """Return the samples at the lowest order, from y, with a first step to try."""
        return replace(
            self,
            y=y,
            size=size,
            order=torch.full_like(self.order, MIN_ORDER),
            starting=torch.ones_like(self.starting),
            num_failures=torch.zeros_like(self.num_failures),
        )

    def moved(
        self, t: Float[Tensor, " sample"], y: Float[Tensor, "sample state"], plan: StepPlan
    ) -> "ActiveSamples":
        """Return the samples after an accepted step to t."""
        return replace(
            self,
            t=t,
            y=y,
            size=(t - self.t) * plan.factor.to(t),
            order=plan.order,
            starting=plan.starting,
            num_failures=torch.zeros_like(self.num_failures),
            num_accepted=self.num_accepted + 1,
        )

    def held(
        self, tried: Float[Tensor, " sample"], finite: Bool[Tensor, " sample"], plan: StepPlan
    ) -> "ActiveSamples":
        """Return the samples after a rejected step that would have ended at `tried`."""
        size = (tried - self.t) * plan.factor.to(tried)
        precision = torch.finfo(size.dtype)
        stuck = size.abs() <= (4 * precision.eps * self.t.abs()).clamp(min=precision.tiny)
        failure = torch.where(finite, int(Status.STEP_UNDERFLOW), int(Status.NOT_FINITE))
        return replace(
            self,
            size=size,
            order=plan.order,
            starting=plan.starting,
            num_failures=self.num_failures + 1,
            num_rejected=self.num_rejected + 1,
            status=torch.where(stuck, failure, self.status),
        )

    def running(self) -> Bool[Tensor, " sample"]:
        """Return which samples have neither failed nor passed their end and all jumps until there."""
        ahead = (self.direction * (self.end - self.t) > 0) | (self.t == self.jump_time)
        return ahead & (self.status == int(Status.SUCCESS))


@dataclass(frozen=True)
class History:
    """What the method remembers of every sample, newest first.

    With psi_m = t_n - t_{n-m}, `differences[j]` is psi_1 ... psi_j f[t_n, ..., t_{n-j}]; row 0 is
    f(t_n, y_n). There are as many rows as the highest order needs.
    """

    knots: Float[Tensor, "knot sample"]
    differences: Float[Tensor, "row sample state"]

    @staticmethod
    def start(
        t: Float[Tensor, " sample"],
        derivative: Float[Tensor, "sample state"],
        direction: Float[Tensor, " sample"],
        num_rows: int = 1,
    ) -> "History":
        """Return the history of one derivative; the knots before it are placeholders."""
        place = torch.arange(MAX_ORDER, device=t.device).unsqueeze(1)
        knots = t - place * direction * (1 + t.abs())
        zeros = torch.zeros_like(derivative).expand(num_rows - 1, -1, -1)
        return History(knots, torch.cat([derivative.unsqueeze(0), zeros]))

    def select(self, rows: Int64[Tensor, " row"]) -> "History":
        """Return that of some samples."""
        return History(self.knots[:, rows], self.differences[:, rows])

    def put(self, rows: Int64[Tensor, " row"], part: "History") -> "History":
        """Return the history with that of some samples replaced."""
        knots = self.knots.index_copy(1, rows, part.knots)
        return History(knots, self.differences.index_copy(1, rows, part.differences))

    @staticmethod
    def where(mask: Bool[Tensor, " sample"], one: "History", other: "History") -> "History":
        """Return that of `one` where the mask is true, with as many rows as it has."""
        known = other.differences[: len(one.differences)]
        missing = torch.zeros_like(one.differences[len(known) :])
        return History(
            torch.where(mask, one.knots, other.knots),
            torch.where(mask.unsqueeze(1), one.differences, torch.cat([known, missing])),
        )
