"""The side of a limit, where a source has a column for it."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int

from model.records.comparators import COMPARATORS, MEASURED
from model.records.labels import Labels

_UNKNOWN: Final = 9


def with_sides(
    sides: Int[np.ndarray, " row"], column: pa.Array, signs: Mapping[str, str] | None = None
) -> tuple[Int[np.ndarray, " row"], Bool[np.ndarray, " row"]]:
    """Put the sides that a column of text says over those of the values; also where it is no sign.

    Parameters
    ----------
    signs
        `<`, `<=`, `=`, `>=` or `>` by what the source writes, where it writes something else.

    Examples
    --------
    >>> said = pa.array(["<", "=", "~", None])
    >>> sides, is_unknown = with_sides(np.zeros(4, np.int8), said)
    >>> sides.tolist(), is_unknown.tolist()
    ([-1, 0, 0, 0], [False, False, True, False])
    """
    labels = Labels.of(column)
    written = labels.names if signs is None else [signs.get(one, "") for one in labels.names]
    known = [MEASURED if one == "=" else COMPARATORS.get(one, _UNKNOWN) for one in written]
    told = np.array([*known, MEASURED], dtype=np.int8)[labels.codes]
    is_unknown = told == _UNKNOWN
    return np.where((told == MEASURED) | is_unknown, sides, told), is_unknown
