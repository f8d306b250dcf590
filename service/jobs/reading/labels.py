"""A column of text as numbers and the few distinct words that they stand for."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int


@dataclass(frozen=True)
class Labels:
    """A column of text: row i holds names[codes[i]]; empty text where there is none."""

    codes: Int[np.ndarray, " row"]
    names: tuple[str, ...]

    @classmethod
    def of(cls, column: pa.ChunkedArray | pa.Array) -> "Labels":
        """Encode a column of strings."""
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        encoded = pc.fill_null(column, "").dictionary_encode()
        return cls(
            encoded.indices.to_numpy().astype(np.int64), tuple(encoded.dictionary.to_pylist())
        )

    def code(self, name: str) -> int:
        """Return the code of a name, -1 where no row has it."""
        return self.names.index(name) if name in self.names else -1

    def take(self, rows: Bool[np.ndarray, " row"]) -> "Labels":
        """Return some of the rows."""
        return Labels(self.codes[rows], self.names)
