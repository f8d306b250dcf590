"""A column of text as numbers and the few distinct texts that they stand for."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int, Shaped


@dataclass(frozen=True)
class Labels:
    """A column of text: row i holds names[codes[i]], or nothing where the code is -1.

    Examples
    --------
    >>> labels = Labels.of(pa.array(["HR", None, "HR"]))
    >>> labels.codes.tolist(), labels.names
    ([0, -1, 0], ('HR',))
    """

    codes: Int[np.ndarray, " row"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, column: pa.ChunkedArray | pa.Array) -> "Labels":
        """Encode an Arrow column of strings; null is nothing."""
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        encoded = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column)
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        return cls(codes, tuple(encoded.dictionary.to_pylist()))

    @classmethod
    def of_texts(cls, texts: Iterable[str | None]) -> "Labels":
        """Encode a list; None and empty text are nothing."""
        texts = list(texts)
        names = tuple(filter(None, dict.fromkeys(texts)))
        numbers: dict[str | None, int] = {name: code for code, name in enumerate(names)}
        numbers |= {None: -1, "": -1}
        codes = np.fromiter(map(numbers.__getitem__, texts), np.int64, len(texts))
        return cls(codes, names)

    @classmethod
    def nothing(cls, num_rows: int) -> "Labels":
        """Return a column without any text."""
        return cls(np.full(num_rows, -1, dtype=np.int64), ())

    def take(self, rows: Shaped[np.ndarray, " chosen"]) -> "Labels":
        """Return some of the rows (positions or a boolean mask)."""
        return Labels(self.codes[rows], self.names)

    def each(self, found: Sequence[float], otherwise: float) -> Shaped[np.ndarray, " row"]:
        """Return for every row what `found` has at its code; `otherwise` where there is no text."""
        return np.array([*found, otherwise])[self.codes]

    def where(self, predicate: Callable[[str], bool]) -> Bool[np.ndarray, " row"]:
        """Return where the text fulfills a predicate, asked once for each distinct text."""
        return np.array([*map(predicate, self.names), False], dtype=bool)[self.codes]
