"""The statics of all series of a chunk. What cannot be used is left out and counted.

As for a posted series, with one rule more: a static that a series has with several values is not
known.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.variables import Catalogue, Static
from service.jobs.reading.labels import Labels


@dataclass(frozen=True)
class StaticColumns:
    """One number for each series and static of the catalogue, NaN where unknown."""

    values: Float[np.ndarray, "series static"]
    num_ignored: int


def read_statics(
    series: Int[np.ndarray, " row"],
    names: Labels,
    units: Labels,
    numbers: Float[np.ndarray, " row"],
    texts: Labels,
    *,
    num_series: int,
    catalogue: Catalogue,
) -> StaticColumns:
    """Read rows whose variable is a static. Empty values are as good as absent."""
    values = np.full((num_series, len(catalogue.statics)), np.nan)
    num_ignored = 0
    is_empty = np.isnan(numbers) & (texts.codes == texts.code(""))
    for position, static in enumerate(catalogue.statics):
        is_given = (names.codes == names.code(static.name)) & ~is_empty
        found = np.where(_is_in_unit(static, units), _values(static, numbers, texts), np.nan)
        is_usable = is_given & ~np.isnan(found)
        low, high = np.full(num_series, np.inf), np.full(num_series, -np.inf)
        np.minimum.at(low, series[is_usable], found[is_usable])
        np.maximum.at(high, series[is_usable], found[is_usable])
        is_known = low == high
        values[is_known, position] = low[is_known]
        num_ignored += int(np.sum(is_given & ~(is_usable & is_known[series])))
    return StaticColumns(values, num_ignored)


def _values(
    static: Static, numbers: Float[np.ndarray, " row"], texts: Labels
) -> Float[np.ndarray, " row"]:
    """Return plausible numbers; a category is its place among the static's, or its name."""
    if not static.categories:
        low, high = static.plausible_range
        return np.where((numbers >= low) & (numbers <= high), numbers, np.nan)
    places = range(len(static.categories))
    of_text = [
        static.categories.index(name) if name in static.categories else np.nan
        for name in texts.names
    ]
    named = np.array([*of_text, np.nan])[texts.codes]
    return np.where(np.isin(numbers, places), numbers, named)


def _is_in_unit(static: Static, units: Labels) -> Bool[np.ndarray, " row"]:
    accepted = [unit in ("", static.unit) for unit in units.names]
    return np.array([*accepted, False])[units.codes]
