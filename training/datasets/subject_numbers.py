"""The number of a subject in a MEDS table, made from the source's own identifier and nothing else.

MEDS wants an int64. An identifier that is a plain integer is its own number. Any other one becomes a
hash of its text, above 2**62, where no plain integer lies. So the number of a subject does not
depend on who else is in the source: it stays when rows or subjects are added, removed or reordered.
"""

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from training.datasets.errors import DatasetError

# At most 18 digits: below 10**18, and so below every hash.
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_HASH_BITS = 62
_PREFIX = b"lacuna-subject-1:"


def subject_numbers(source_ids: Sequence[str]) -> Int[np.ndarray, " subject"]:
    """Return the number of each identifier, in the order of the identifiers.

    Raises
    ------
    DatasetError
        If two different identifiers have the same number. For a million subjects the chance is one
        in ten million.

    Examples
    --------
    >>> numbers = subject_numbers(["17", "ward-b"])
    >>> int(numbers[0]), int(numbers[1]) >= 2**62
    (17, True)
    """
    numbers = [_number(source_id) for source_id in source_ids]
    if len(set(numbers)) < len(set(source_ids)):
        raise DatasetError(
            "two subjects have the same hash of their identifiers; give them integer identifiers"
        )
    return np.array(numbers, dtype=np.int64)


def _number(source_id: str) -> int:
    if _INTEGER.fullmatch(source_id):
        return int(source_id)
    digest = hashlib.sha256(_PREFIX + source_id.encode()).digest()
    return (1 << _HASH_BITS) + (int.from_bytes(digest[:8], "big") >> (64 - _HASH_BITS))
