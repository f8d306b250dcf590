"""From the text of a value to a number, the side of a limit, or a word.

    92        the number
    <0.01     a limit: the true value lies at or below 0.01 (left-censored)
    > 100     a limit: the true value lies at or above 100 (right-censored)
    1.1*      the number; the laboratory's flag is counted and not read
    hemolyzed a word: no number

`<` and `<=` mean the same to a continuous value. A limit is an interval and never a measured number.
"""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Int

from model.data.decimals import decimal_float64
from model.records.errors import SourceError

AT_OR_BELOW: Final = -1
MEASURED: Final = 0
AT_OR_ABOVE: Final = 1

COMPARATORS: Final = {"<": AT_OR_BELOW, "<=": AT_OR_BELOW, ">": AT_OR_ABOVE, ">=": AT_OR_ABOVE}
"""The side of the limit by the comparator of FHIR (`Quantity.comparator`) and of the wire format."""

SYMBOLS: Final = {AT_OR_BELOW: "<=", MEASURED: None, AT_OR_ABOVE: ">="}
"""How a side is written where we write it."""

FLAG_IGNORED: Final = "flag_ignored"

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?"
_WHOLE_NUMBER = f"^{_NUMBER}$"
_NUMBER_ALONE = re.compile(_NUMBER, re.ASCII)
_FLAG = r"(?:\*{1,3}|!|\^|↑|↓|[HhLl]{1,2}|\((?:[HhLl]{1,2}|\*)\))"
_LIMIT = re.compile(
    r"(?P<sign>[<>]=?|=[<>]|≤|≥|"
    r"less than(?: or equal to)?|lower than|below|under|"
    rf"greater than(?: or equal to)?|more than|above|over)\s*(?P<number>{_NUMBER})\s*{_FLAG}?",
    re.IGNORECASE,
)
_FLAGGED = re.compile(rf"(?P<number>{_NUMBER})\s*{_FLAG}")
_BELOW = ("<", "=<", "≤", "less", "lower", "below", "under")
_THOUSANDS_AND_COMMA = r"^([+-]?\d{1,3})((?:\.\d{3})+)(,\d+)?$"

# In lower case; what programs write where there is nothing.
MISSING: Final = ("", "nan", "na", "nat", "none", "null", "n/a", "<na>", "#n/a", "\\n")
_MISSING = pa.array(MISSING)


@dataclass(frozen=True)
class Values:
    """Numbers (NaN where there is none), the side of each, and the words instead of a number.

    `comparators` is -1, 0 or +1. `texts` are strings, null where the value was read or missing.
    `num_flags` counts numbers that were read without their flag.
    """

    numbers: Float[np.ndarray, " row"]
    comparators: Int[np.ndarray, " row"]
    texts: pa.Array
    num_flags: int = 0


@dataclass(frozen=True)
class Value:
    """One value: a number (NaN for none), its side, a word instead of it, whether a flag was ignored."""

    number: float
    comparator: int = MEASURED
    word: str | None = None
    has_flag: bool = False


def read_values(column: pa.Array, *, decimal_mark: str = ".", name: str = "value") -> Values:
    """Return the values of a column of numbers or of text.

    Parameters
    ----------
    column
        Any column of numbers, booleans, text or nothing.
    decimal_mark
        "." or ","; for text alone.

    Raises
    ------
    SourceError
        If the column holds something else, such as lists.

    Examples
    --------
    >>> found = read_values(pa.array(["92", "<0.01", "hemolyzed", None]))
    >>> found.numbers.tolist()[:2], found.comparators.tolist(), found.texts.to_pylist()
    ([92.0, 0.01], [0, -1, 0, 0], [None, None, 'hemolyzed', None])
    """
    column = plain(column)
    kind = column.type
    if pa.types.is_string(kind):
        return _of_text(column, decimal_mark)
    if pa.types.is_null(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise SourceError(
            f"the column `{name}` must hold numbers or text, found the type {kind}; write one value "
            "in every row"
        )
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    numbers = decimal_float64(column.to_numpy(zero_copy_only=False))
    size = len(numbers)
    return Values(numbers, np.zeros(size, dtype=np.int8), pa.nulls(size, pa.string()))


def read_value(text: str) -> Value:
    """Return what one text says, as `read_values` does.

    Examples
    --------
    >>> read_value("<0.01")
    Value(number=0.01, comparator=-1, word=None, has_flag=False)
    """
    if text.strip().lower() in MISSING:
        return Value(float("nan"))
    if _NUMBER_ALONE.fullmatch(text.strip()):
        return Value(float(text))
    return _read(text, ".")


def plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Undo chunks, dictionaries and the larger kinds of text; bytes that are no UTF-8 are replaced."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_large_binary(kind) or pa.types.is_binary(kind):
        texts = [one and one.decode("utf-8", errors="replace") for one in column.to_pylist()]
        return pa.array(texts, pa.string())
    is_text = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return column.cast(pa.string()) if is_text else column


def is_missing(column: pa.Array) -> Bool[np.ndarray, " row"]:
    """Return where a column of strings holds nothing, or what programs write for nothing."""
    found = pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(column)), value_set=_MISSING)
    return pc.or_(pc.fill_null(found, fill_value=False), pc.is_null(column)).to_numpy(
        zero_copy_only=False
    )


def numbers_in(column: pa.Array, *, decimal_mark: str = ".") -> Float[np.ndarray, " row"]:
    """Return the numbers that a column of strings holds; NaN for any other text."""
    text = pc.utf8_trim_whitespace(column)
    if decimal_mark == ",":
        text = _with_point(text)
    is_number = pc.fill_null(pc.match_substring_regex(text, _WHOLE_NUMBER), fill_value=False)
    found = pc.if_else(is_number, text, pa.scalar(None, pa.string()))
    # Arrow reads no leading plus.
    return pc.utf8_ltrim(found, "+").cast(pa.float64()).to_numpy(zero_copy_only=False)


def _with_point(text: pa.Array) -> pa.Array:
    """Write numbers with a decimal comma, and points between thousands, with a decimal point."""
    is_grouped = pc.fill_null(
        pc.match_substring_regex(text, _THOUSANDS_AND_COMMA), fill_value=False
    )
    ungrouped = pc.if_else(is_grouped, pc.replace_substring(text, ".", ""), text)
    return pc.replace_substring(ungrouped, ",", ".")


def _of_text(column: pa.Array, decimal_mark: str) -> Values:
    numbers = numbers_in(column, decimal_mark=decimal_mark)
    comparators = np.zeros(len(numbers), dtype=np.int8)
    is_other = np.isnan(numbers) & ~is_missing(column)
    if not is_other.any():
        return Values(numbers, comparators, pa.nulls(len(numbers), pa.string()))
    numbers = numbers.copy()
    rows = np.flatnonzero(is_other)
    encoded = column.take(pa.array(rows)).dictionary_encode()
    codes = encoded.indices.to_numpy()
    read = [_read(text, decimal_mark) for text in encoded.dictionary.to_pylist()]
    numbers[rows] = np.array([one.number for one in read])[codes]
    comparators[rows] = np.array([one.comparator for one in read], dtype=np.int8)[codes]
    words = pa.array([one.word for one in read], pa.string()).take(encoded.indices)
    places = np.full(len(numbers), -1)
    places[rows] = np.arange(len(rows))
    texts = words.take(pa.array(places, mask=places < 0))
    num_flags = int(np.array([one.has_flag for one in read])[codes].sum())
    return Values(numbers, comparators, texts, num_flags)


def _read(text: str, decimal_mark: str) -> Value:
    stripped = text.strip()
    if decimal_mark == ",":
        stripped = stripped.replace(",", ".")
    limit = _LIMIT.fullmatch(stripped)
    if limit is not None:
        is_below = limit["sign"].lower().startswith(_BELOW)
        return Value(float(limit["number"]), AT_OR_BELOW if is_below else AT_OR_ABOVE)
    flagged = _FLAGGED.fullmatch(stripped)
    if flagged is not None:
        return Value(float(flagged["number"]), has_flag=True)
    return Value(float("nan"), word=" ".join(text.split()))
