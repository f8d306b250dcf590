"""What an adaptive search tried, round by round, and the mesh that its accepted steps make."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from model.ode.mesh import Mesh
from model.ode.problem import InitialValueProblem


@dataclass(frozen=True)
class Attempt:
    """One step of a block of samples: as the how-manieth, whether it counts, and where it ends.

    `jump_index` is which of the ordered jumps the step is; -1 for an ordinary one.
    """

    samples: Int64[Tensor, " row"]
    slot: Int64[Tensor, " row"]
    accepted: Bool[Tensor, " row"]
    t1: Float[Tensor, " row"]
    jump_index: Int64[Tensor, " row"]


@dataclass(frozen=True)
class AttemptLog:
    """Every attempt of a search, in order."""

    attempts: list[Attempt] = field(default_factory=list)

    def mesh(
        self,
        problem: InitialValueProblem,
        num_steps: Int64[Tensor, " sample"],
        last_times: Float[Tensor, " sample"],
    ) -> tuple[Mesh, Int64[Tensor, "knot sample"]]:
        """Return the accepted steps, and for each which of all attempted rows it was.

        The last knot of a sample has the row 0; rows are numbered as the attempts were added.
        """
        count = int(num_steps.max()) if len(num_steps) else 0
        times = last_times.repeat(count + 1, 1)
        times[0] = problem.t0.detach()
        table = torch.zeros(count + 1, len(num_steps), dtype=torch.int64, device=times.device)
        jump_index = torch.full_like(table[1:], -1)
        if self.attempts:
            accepted = torch.cat([one.accepted for one in self.attempts])
            hit = accepted.nonzero().squeeze(1)
            slot = torch.cat([one.slot for one in self.attempts])[hit]
            samples = torch.cat([one.samples for one in self.attempts])[hit]
            times[slot + 1, samples] = torch.cat([one.t1 for one in self.attempts])[hit]
            table[slot, samples] = hit
            index = torch.cat([one.jump_index for one in self.attempts])
            jump_index[slot, samples] = index[hit]
        return _attach(problem, times, num_steps, jump_index), table

    @property
    def num_rows(self) -> int:
        """How many rows all attempts have."""
        return sum(len(one.samples) for one in self.attempts)


def _attach(
    problem: InitialValueProblem, times: Tensor, num_steps: Tensor, jump_index: Tensor
) -> Mesh:
    """Return the mesh with gradients: its first knot is t0, jumps have their times and amounts.

    The other knots are the search's own choice; the solution does not depend on them, up to the
    tolerance.
    """
    times = torch.cat([problem.t0.unsqueeze(0), times[1:]])
    jumps = problem.jumps_in_order(beyond_end=True)
    if jumps is None:
        return Mesh(times, num_steps=num_steps)
    happens = jump_index >= 0
    at = jump_index.clamp(min=0)
    moments = jumps.times.T.gather(0, at)
    none = torch.zeros_like(happens[:1])
    times = torch.where(torch.cat([none, happens]), torch.cat([moments[:1], moments]), times)
    times = torch.where(torch.cat([happens, none]), torch.cat([moments, moments[-1:]]), times)
    index = at.unsqueeze(-1).expand(*at.shape, jumps.amounts.shape[-1])
    amounts = torch.where(happens.unsqueeze(-1), jumps.amounts.transpose(0, 1).gather(0, index), 0)
    return Mesh(times, amounts, num_steps)
