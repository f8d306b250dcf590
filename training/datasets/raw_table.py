"""The long table as a source gives it, before any name, unit or value was judged.

Every reader ends in a `RawTable`, and `training.datasets.importing` takes it from there. Every row
of the source is in it: as a row of the arrays, as an identifier, or as a drop with a reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int, Shaped

from model.data.cleaning import Drop

RELATIVE_ANCHOR = datetime(2000, 1, 1, tzinfo=UTC)
"""Where the clock of a source without dates begins."""

MICROSECONDS_PER_HOUR = 3_600_000_000


@dataclass(frozen=True)
class Labels:
    """A column of text: row i holds names[codes[i]], or nothing where the code is -1."""

    codes: Int[np.ndarray, " row"]
    names: tuple[str, ...]

    @classmethod
    def encode(cls, column: pa.ChunkedArray | pa.Array) -> "Labels":
        """Encode an Arrow column; text is stripped, and empty text is nothing.

        Text that is not UTF-8 keeps its place with the replacement character.
        """
        if isinstance(column, pa.ChunkedArray):
            column = column.unify_dictionaries().combine_chunks()
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        indices = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        texts = [_text(value) for value in _as_bytes(column.dictionary).to_pylist()]
        distinct = {text: code for code, text in enumerate(sorted({t for t in texts if t}))}
        # The last entry is where index -1 looks.
        recode = np.array([distinct.get(text, -1) for text in texts] + [-1], dtype=np.int32)
        return cls(recode[indices], tuple(distinct))

    @classmethod
    def nothing(cls, num_rows: int) -> "Labels":
        """Return a column without any text."""
        return cls(np.full(num_rows, -1, dtype=np.int32), ())

    def rename(self, names: Sequence[str | None]) -> "Labels":
        """Give every name another one, or nothing; names that become equal are joined."""
        distinct = {name: code for code, name in enumerate(sorted({n for n in names if n}))}
        recode = np.array([distinct.get(n, -1) if n else -1 for n in names] + [-1], dtype=np.int32)
        return Labels(recode[self.codes], tuple(distinct))

    def take(self, rows: Shaped[np.ndarray, " chosen"]) -> "Labels":
        """Return some of the rows (positions or a boolean mask)."""
        return Labels(self.codes[rows], self.names)

    def numbers(self) -> Float[np.ndarray, " row"]:
        """Read the text as decimal numbers, each distinct one once; NaN where it is none."""
        parsed = np.array([*map(_number, self.names), np.nan], dtype=np.float64)
        return np.asarray(parsed[self.codes])


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """A source's rows.

    `times` is float64, hours since `RELATIVE_ANCHOR`, or datetime64[us]; NaN or NaT for a row that
    has none. `values` are in `units`, or in the catalogue's where a row has no unit. `subjects` are
    all subjects of the source, in order, also those that have no row here. `subject_names` are
    their identifiers at the source; without, these are the numbers themselves.
    """

    source: str
    num_files: int
    subjects: Int[np.ndarray, " subject"]
    subject_ids: Int[np.ndarray, " row"]
    times: Shaped[np.ndarray, " row"]
    names: Labels
    values: Float[np.ndarray, " row"]
    units: Labels
    identifier_rows: int = 0
    drops: tuple[Drop, ...] = ()
    subject_names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def rows_read(self) -> int:
        """Rows of the source, whatever became of them."""
        return len(self) + self.identifier_rows + sum(drop.rows for drop in self.drops)

    @property
    def is_relative(self) -> bool:
        """Whether times count from `RELATIVE_ANCHOR`."""
        return self.times.dtype.kind == "f"

    def microseconds(self) -> tuple[Int[np.ndarray, " row"], Shaped[np.ndarray, " row"]]:
        """Return microseconds since 1970, and where there is a usable time (1900 to 2500)."""
        if self.is_relative:
            origin = np.datetime64(RELATIVE_ANCHOR.replace(tzinfo=None), "us").astype(np.int64)
            is_valid = np.isfinite(self.times) & (np.abs(self.times) < 24 * 365.25 * 500)
            hours = np.where(is_valid, self.times, 0.0)
            moments = origin + np.rint(hours * MICROSECONDS_PER_HOUR).astype(np.int64)
        else:
            is_valid = ~np.isnat(self.times)
            moments = self.times.astype("datetime64[us]").astype(np.int64)
        first, end = (np.datetime64(year, "us").astype(np.int64) for year in ("1900", "2500"))
        is_valid = is_valid & (moments >= first) & (moments < end)
        return np.where(is_valid, moments, 0), is_valid


def _as_bytes(values: pa.Array) -> pa.Array:
    text = values.cast(pa.string()) if not _is_text(values.type) else values
    is_large = pa.types.is_large_string(text.type) or pa.types.is_large_binary(text.type)
    return text.view(pa.large_binary() if is_large else pa.binary())


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", errors="replace").strip()


def _number(text: str) -> float:
    if not text.isascii() or "_" in text:
        return np.nan
    try:
        return float(text)
    except ValueError:
        return np.nan
