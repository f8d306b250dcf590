"""Tensors that share their first axis: taken, replaced and joined together.

Active-set compaction is `select`: samples that are done leave the table and cost nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor

# Not `typing.Self`: the checker of shapes in the tests decorates methods, not classes.
Table = TypeVar("Table", bound="AbstractSampleTable")


@dataclass(frozen=True)
class AbstractSampleTable:
    """Every field of a subclass is a tensor whose first axis is the row, or such a table itself."""

    def columns(self) -> dict[str, "Tensor | AbstractSampleTable"]:
        """Return the fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def select(self: Table, rows: Tensor | slice) -> Table:
        """Return the rows of a mask, of ascending indices or of a slice."""
        if self._holds_only(rows):
            return self
        return replace(
            self,
            **{
                name: column[rows] if isinstance(column, Tensor) else column.select(rows)
                for name, column in self.columns().items()
            },
        )

    def put(self: Table, rows: Tensor, part: Table) -> Table:
        """Return a copy in which the rows with the given, ascending indices are those of `part`."""
        if self._holds_only(rows):
            return part
        changed: dict[str, Tensor | AbstractSampleTable] = {}
        for name, new in part.columns().items():
            old = self.columns()[name]
            if isinstance(old, Tensor) and isinstance(new, Tensor):
                changed[name] = old.index_copy(0, rows, new)
            elif isinstance(old, AbstractSampleTable) and isinstance(new, AbstractSampleTable):
                changed[name] = old.put(rows, new)
        return replace(self, **changed)

    def _holds_only(self, rows: Tensor | slice) -> bool:
        """Return whether distinct ascending indices are those of all rows: the usual case."""
        if isinstance(rows, slice) or rows.dtype == torch.bool:
            return False
        first = next(iter(self.columns().values()))
        return isinstance(first, Tensor) and len(first) == len(rows)

    @classmethod
    def join(cls: type[Table], parts: Sequence[Table]) -> Table:
        """Return the rows of all parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        joined: dict[str, Tensor | AbstractSampleTable] = {}
        for name, first in parts[0].columns().items():
            columns = [part.columns()[name] for part in parts]
            if isinstance(first, Tensor):
                joined[name] = torch.cat([c for c in columns if isinstance(c, Tensor)])
            else:
                joined[name] = type(first).join([c for c in columns if isinstance(c, type(first))])
        return replace(parts[0], **joined)
