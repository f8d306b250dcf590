"""Who a subject is: the one rule by which every source and every door writes an identifier.

    text           without the blanks around it: `a ` is `a`
    whole numbers  without fraction and exponent: 10000000000.0 and 1e+10 are `10000000000`
    FHIR           the id of the Patient: `Patient/1`, `https://host/fhir/Patient/1`,
                   `Patient/1/_history/3`, `urn:uuid:1` and the resource with the id `1` are `1`
    nothing        empty text, and what programs write for nothing: NA, NaN, null, None, n/a

A leading zero is kept: `007` is another subject than `7`.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

from model.records.comparators import is_missing, plain
from model.records.errors import SourceError

_WHOLE = r"^[+-]?\d+\.0+$"
_EXPONENT = re.compile(r"[+-]?\d+(?:\.\d+)?[eE][+]?\d{1,2}")
_EXPONENT_ARROW = r"^[+-]?\d+(\.\d+)?[eE]\+?\d{1,2}$"
_REFERENCE = re.compile(r"(?:.*/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[^/]+)(?:/_history/[^/]+)?")


def read_subjects(column: pa.Array | pa.ChunkedArray, *, name: str = "subject_id") -> pa.Array:
    """Return identifiers as strings, null where there is none.

    Raises
    ------
    SourceError
        If the column holds neither text nor numbers.

    Examples
    --------
    >>> read_subjects(pa.array([1.0, 10000000000.0, None])).to_pylist()
    ['1', '10000000000', None]
    """
    column = plain(column)
    kind = column.type
    if pa.types.is_integer(kind):
        return column.cast(pa.string())
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        texts = [
            None if one is None or one != one else _of_number(one) for one in column.to_pylist()
        ]
        return pa.array(texts, pa.string())
    if not pa.types.is_string(kind):
        raise SourceError(
            f"the column `{name}` must hold text or whole numbers, found the type {kind}"
        )
    text = pc.utf8_trim_whitespace(column)
    is_whole = pc.fill_null(pc.match_substring_regex(text, _WHOLE), fill_value=False)
    text = pc.if_else(is_whole, pc.replace_substring_regex(text, r"\.0+$", ""), text)
    if pc.any(pc.match_substring_regex(text, _EXPONENT_ARROW)).as_py():
        text = pa.array([_without_exponent(one) for one in text.to_pylist()], pa.string())
    return pc.if_else(pa.array(is_missing(text)), pa.scalar(None, pa.string()), text)


def subject_of(text: str) -> str | None:
    """Return the identifier that a single text writes, by the same rule; None where there is none."""
    found: str | None = read_subjects(pa.array([text]))[0].as_py()
    return found


def subject_of_reference(reference: str | None) -> str | None:
    """Return the id of the Patient that a FHIR reference names; None for any other reference."""
    if reference is None:
        return None
    text = reference.strip()
    if text.startswith(("urn:uuid:", "urn:oid:")):
        return subject_of(text.split(":", 2)[2])
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return None if "/" in text or text.startswith("#") else subject_of(text)
    return subject_of(found["id"]) if found["type"] == "Patient" else None


def _of_number(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def _without_exponent(text: str | None) -> str | None:
    if text is None or not _EXPONENT.fullmatch(text):
        return text
    number = float(text)
    return str(int(number)) if number == int(number) else text
