"""Processes that share the work: `torchrun` starts them, each takes every n-th series of a batch.

Every process goes through the same batches with its part of the series, and parts of the objective
and gradients are added. A run on two processes therefore has the loss curve of a run on one.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as distributed
from torch import Tensor


@dataclass(frozen=True)
class Rank:
    """The number of this process and how many there are."""

    number: int = 0
    count: int = 1

    @property
    def share(self) -> slice:
        """The series of a batch that this process takes."""
        return slice(self.number, None, self.count)

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.number == 0

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes; the same in each."""
        if self.count > 1:
            values = values.clone()
            distributed.all_reduce(values)
        return values

    def sum_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Add up the gradients of all processes, in one message."""
        if self.count == 1:
            return
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([grad.flatten() for grad in grads])
        distributed.all_reduce(flat)
        parts = flat.split([grad.numel() for grad in grads])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)


def join(device: torch.device) -> Rank:
    """Join the processes that `torchrun` started; alone without it."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Rank()
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Rank(distributed.get_rank(), count)


def leave() -> None:
    """Leave the group of processes, if there is one."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


ALONE = Rank()
