"""Many stays out of some: each stay of a MEDS data set again and again, under new subject ids.

The rows lie as they would in the export of a hospital: in the order in which they arrived, with
thousands of stays going on at the same time. Only one pass over the data set is held in memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Int

_COLUMNS = ("subject_id", "time", "code", "numeric_value", "unit")
# Near the golden section of the stays: neighbors in the file are far apart in the sorted order.
_STRIDE_SHARE = 0.618


@dataclass(frozen=True)
class Written:
    """What a file holds."""

    num_stays: int
    num_rows: int
    num_bytes: int


@dataclass(frozen=True)
class StayPool:
    """The rows of a data set in the order of arrival; `owners` are the numbers of their stays."""

    table: pa.Table
    owners: Int[np.ndarray, " row"]
    num_stays: int

    @classmethod
    def read(cls, data: Path, *, rows_per_stay: int | None) -> "StayPool":
        """Read a MEDS data set; of a stay the first rows by time, if a number of them is given."""
        table = pq.read_table(data / "data", columns=list(_COLUMNS))
        # Rows without a time, which are statics, are known on arrival.
        table = table.take(pc.sort_indices(table, sort_keys=[("time", "ascending", "at_start")]))
        encoded = table.column("subject_id").combine_chunks().dictionary_encode()
        owners = encoded.indices.to_numpy().astype(np.int64)
        if rows_per_stay is not None:
            is_kept = _ranks(owners) < rows_per_stay
            table, owners = table.filter(pa.array(is_kept)), owners[is_kept]
        return cls(table, owners, len(encoded.dictionary))

    def write(self, path: Path, num_stays: int, watch: Callable[[int], None]) -> Written:
        """Write so many stays into a file, and tell `watch` how many there are so far."""
        stride = _stride(num_stays)
        num_rows = 0
        with pq.ParquetWriter(path, self.table.schema) as writer:
            for first in range(0, num_stays, self.num_stays):
                is_wanted = self.owners < num_stays - first
                numbers = (first + self.owners[is_wanted]) * stride % num_stays
                ids = pa.array(numbers, self.table.schema.field("subject_id").type)
                rows = self.table.filter(pa.array(is_wanted)).set_column(
                    0, self.table.schema.field("subject_id"), ids
                )
                writer.write_table(rows)
                num_rows += rows.num_rows
                watch(min(first + self.num_stays, num_stays))
        return Written(num_stays, num_rows, path.stat().st_size)


def _ranks(owners: Int[np.ndarray, " row"]) -> Int[np.ndarray, " row"]:
    """Return how many rows of the same stay come before each."""
    order = np.argsort(owners, kind="stable")
    counts = np.bincount(owners)
    ranks = np.empty_like(owners)
    ranks[order] = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranks


def _stride(num_stays: int) -> int:
    """Return a step that comes to every number below `num_stays` before it comes back to zero."""
    stride = max(1, round(_STRIDE_SHARE * num_stays))
    while gcd(stride, num_stays) != 1:
        stride += 1
    return stride
