"""The samples of an adaptive search that are still in the batch: where each one stands."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class ActiveRows:
    """One entry of every tensor for each sample.

    Parameters
    ----------
    size
        Of the next step to try, signed; before it is cut at a jump.
    smallest
        The size relative to which a step counts as vanished.
    stiff_steps
        Rises with each accepted step at the limit of stability, falls twice as fast with others.
    """

    samples: Tensor
    t: Tensor
    end: Tensor
    y: Tensor
    f: Tensor
    size: Tensor
    smallest: Tensor
    error: Tensor
    rejected: Tensor
    accepted_steps: Tensor
    attempts: Tensor
    stiff_steps: Tensor
    next_jump: Tensor
    status: Tensor
    running: Tensor

    def take(self, kept: Tensor) -> "ActiveRows":
        """Return some of the rows."""
        return ActiveRows(**{item.name: getattr(self, item.name)[kept] for item in fields(self)})

    @staticmethod
    def in_order(parts: list["ActiveRows"]) -> tuple["ActiveRows", Tensor]:
        """Return the rows of all parts by their samples, and where among the parts each one was."""
        order = torch.cat([rows.samples for rows in parts]).argsort()
        joined = ActiveRows(
            **{
                item.name: torch.cat([getattr(rows, item.name) for rows in parts])[order]
                for item in fields(ActiveRows)
            }
        )
        return joined, order
