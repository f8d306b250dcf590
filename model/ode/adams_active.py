"""The samples of an Adams search that are still on their way, and how a step moves them."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from model.ode.divided_differences import History
from model.ode.order_selection import MIN_ORDER, StepPlan
from model.ode.problem import InitialValueProblem
from model.ode.sample_table import AbstractSampleTable


@dataclass(frozen=True)
class ActiveSamples(AbstractSampleTable):
    """Where each sample stands; `step` (a size, without sign) and `order` are the next to try.

    `age` counts the accepted steps since the last start, `num_failures` the rejected ones since the
    last accepted one. A sample must land on `stop`, its next jump or its `end`; `landed`: it has.
    """

    samples: Int[Tensor, " sample"]
    t: Float[Tensor, " sample"]
    y: Float[Tensor, "sample state"]
    history: History
    step: Float[Tensor, " sample"]
    order: Int[Tensor, " sample"]
    starting: Bool[Tensor, " sample"]
    age: Int[Tensor, " sample"]
    num_failures: Int[Tensor, " sample"]
    stop: Float[Tensor, " sample"]
    landed: Bool[Tensor, " sample"]
    end: Float[Tensor, " sample"]
    direction: Float[Tensor, " sample"]
    jump_times: Float[Tensor, "sample jump"]
    jump_amounts: Float[Tensor, "sample jump state"]

    @classmethod
    def at_start(cls, problem: InitialValueProblem, *, num_rows: int) -> "ActiveSamples":
        """Return all samples at their t0, before anything was evaluated there."""
        t0, y0 = problem.t0.detach(), problem.y0.detach()
        count = torch.zeros(len(t0), dtype=torch.int64, device=t0.device)
        times, amounts = signed_jumps(problem)
        return cls(
            samples=torch.arange(len(t0), device=t0.device),
            t=t0,
            y=y0,
            history=History.start(
                torch.zeros_like(y0), direction=problem.direction, num_rows=num_rows
            ),
            step=torch.zeros_like(t0),
            order=count,
            starting=count == 0,
            age=count,
            num_failures=count,
            stop=t0,
            landed=count == 0,
            end=problem.end_times,
            direction=problem.direction,
            jump_times=times,
            jump_amounts=amounts.detach(),
        )

    def trial_times(self) -> Float[Tensor, " sample"]:
        """Return where the next step ends: exactly at `stop` if it would reach that far."""
        reaches = self.step >= (self.stop - self.t).abs()
        return torch.where(reaches, self.stop, self.t + self.direction * self.step)

    def next_stop(self) -> Float[Tensor, " sample"]:
        """Return the first jump after t, or the end."""
        sign = self.direction.unsqueeze(1)
        ahead = (self.jump_times - self.t.unsqueeze(1)) * sign > 0
        clock = torch.where(ahead, self.jump_times * sign, torch.inf)
        return self.direction * torch.cat([clock, self.end.unsqueeze(1) * sign], 1).amin(1)

    def at_jump(self) -> Bool[Tensor, " sample"]:
        """Return where the sample has landed on a jump."""
        return self.landed & (self.jump_times == self.t.unsqueeze(1)).any(1)

    def restarted(
        self, y: Float[Tensor, "sample state"], history: History, step: Float[Tensor, " sample"]
    ) -> "ActiveSamples":
        """Return the samples at the lowest order, from y, with a first step to try."""
        return replace(
            self,
            y=y,
            history=history,
            step=step.to(self.step),
            order=torch.full_like(self.order, MIN_ORDER),
            starting=torch.ones_like(self.starting),
            age=torch.zeros_like(self.age),
            num_failures=torch.zeros_like(self.num_failures),
            stop=self.next_stop(),
            landed=self.t == self.end,
        )

    def moved(
        self,
        t: Float[Tensor, " sample"],
        y: Float[Tensor, "sample state"],
        history: History,
        plan: StepPlan,
    ) -> "ActiveSamples":
        """Return the samples after an accepted step to t."""
        return replace(
            self,
            t=t,
            y=y,
            history=history,
            step=(t - self.t).abs() * plan.factor.to(t),
            order=plan.order,
            starting=plan.starting,
            age=self.age + 1,
            num_failures=torch.zeros_like(self.num_failures),
            landed=t == self.stop,
        )

    def held(self, tried: Float[Tensor, " sample"], plan: StepPlan) -> "ActiveSamples":
        """Return the samples after a rejected step that would have ended at `tried`."""
        return replace(
            self,
            step=(tried - self.t).abs() * plan.factor.to(tried),
            order=plan.order,
            starting=plan.starting,
            num_failures=self.num_failures + 1,
        )

    def stuck(self) -> Bool[Tensor, " sample"]:
        """Return where the next step would not change the time."""
        precision = torch.finfo(self.t.dtype)
        return self.step <= (4 * precision.eps * self.t.abs()).clamp(min=precision.tiny)


def signed_jumps(
    problem: InitialValueProblem,
) -> tuple[Float[Tensor, "sample jump"], Float[Tensor, "sample jump state"]]:
    """Return the times and signed amounts of the jumps as the integration meets them."""
    jumps = problem.jumps_in_order()
    if jumps is None:
        num_samples, width = problem.y0.shape
        return problem.t0.new_empty(num_samples, 0), problem.y0.new_empty(num_samples, 0, width)
    return jumps.times.to(problem.t0), jumps.amounts


def jump_at(
    t: Float[Tensor, " sample"],
    times: Float[Tensor, "sample jump"],
    amounts: Float[Tensor, "sample jump state"],
) -> Float[Tensor, "sample state"]:
    """Return the sum of the amounts whose time is t."""
    return torch.where((times == t.unsqueeze(1)).unsqueeze(-1), amounts, 0.0).sum(1)
