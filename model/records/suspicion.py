"""Values that do not fit the unit, or the clock, that they came in. Nothing is converted by a guess.

A value is suspected where it cannot be in its unit and could be in another one of its variable:
97.2 degrees Celsius, a creatinine of 180 mg/dL. A column is suspected where its middle lies far from
what is usually recorded of the variable, and near to it in another unit. "Far" is more than
`_FAR` of the distances between the quartiles, on the scale on which the variable is modeled.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.units import Conversion, accepted_units, conversion
from model.data.variables import Catalogue, Variable
from model.errors import UnitError
from model.records.meanings import Meaning, Meanings

_FAR: Final = 3.0
_NEAR: Final = 2.0
# Of a column whose unit is written, fewer values are no column. Without a unit one is enough.
_MIN_VALUES: Final = 5

# Stays of a ward or an intensive care unit in minutes look like these in hours.
_LONG_STAY_HOURS: Final = 400.0
_LONG_GAP_HOURS: Final = 4.0
_LONGEST_GAP_HOURS: Final = 500.0
_MIN_TIMES: Final = 5


@dataclass(frozen=True)
class Suspicion:
    """A pair of `Meanings`, and the unit that its values fit better.

    `rows` are those that cannot be in the unit that they came in and could be in the other.
    """

    pair: int
    other_unit: str
    rows: Int[np.ndarray, " row"]
    is_column: bool


def suspect_units(
    meanings: Meanings,
    numbers: Float[np.ndarray, " row"],
    is_measured: Bool[np.ndarray, " row"],
    catalogue: Catalogue,
) -> list[Suspicion]:
    """Return the suspicions about the measured rows; `numbers` are in the units that they came in."""
    chosen = np.flatnonzero(is_measured & np.isfinite(numbers))
    if not len(chosen):
        return []
    owners, raw = meanings.owners[chosen], numbers[chosen]
    values = meanings.convert(numbers)[chosen]
    bounds = np.array([_range(one, catalogue) for one in meanings.found])
    is_outside = (values < bounds[owners, 0]) | (values > bounds[owners, 1])
    suspected = set(np.unique(owners[is_outside]).tolist())
    suspected |= set(_far_columns(meanings.found, owners, values, catalogue))
    found = []
    for pair in sorted(suspected):
        own = np.flatnonzero(owners == pair)
        meaning = meanings.found[pair]
        suspicion = _judge(pair, meaning, catalogue[meaning.channel], raw[own], is_outside[own])
        if suspicion is not None:
            rows = chosen[own[suspicion.rows]]
            found.append(Suspicion(pair, suspicion.other_unit, rows, suspicion.is_column))
    return found


def _range(meaning: Meaning, catalogue: Catalogue) -> tuple[float, float]:
    if meaning.channel < 0:
        return -np.inf, np.inf
    return catalogue[meaning.channel].widest_range


def _far_columns(
    found: tuple[Meaning, ...],
    owners: Int[np.ndarray, " row"],
    values: Float[np.ndarray, " row"],
    catalogue: Catalogue,
) -> Iterator[int]:
    """Name the pairs whose middle lies far from what is usual."""
    order = np.lexsort((values, owners))
    counts = np.bincount(owners, minlength=len(found))
    middles = np.cumsum(counts) - counts + (np.maximum(counts, 1) - 1) // 2
    for pair, (meaning, count) in enumerate(zip(found, counts.tolist(), strict=True)):
        if meaning.channel < 0 or not count or (meaning.unit and count < _MIN_VALUES):
            continue
        variable = catalogue[meaning.channel]
        middle = values[order[middles[pair]]]
        if variable.typical is not None and bool(np.abs(_distance(variable, middle)) > _FAR):
            yield pair


def _distance(
    variable: Variable, values: Float[np.ndarray, " value"] | np.floating[Any]
) -> Float[np.ndarray, " value"] | np.floating[Any]:
    """Return how many distances between the quartiles values lie from the usual middle."""
    assert variable.typical is not None
    low, middle, high = (_on_scale(variable, np.float64(one)) for one in variable.typical)
    spread = max(float(high - low), 1e-6 * max(abs(float(middle)), 1.0))
    return (_on_scale(variable, values) - middle) / spread


def _on_scale(
    variable: Variable, values: Float[np.ndarray, " value"] | np.floating[Any]
) -> Float[np.ndarray, " value"] | np.floating[Any]:
    if variable.log_offset is None:
        return values
    return np.log(np.maximum(values + variable.log_offset, 1e-12))


def _judge(
    pair: int,
    meaning: Meaning,
    variable: Variable,
    raw: Float[np.ndarray, " row"],
    is_outside: Bool[np.ndarray, " row"],
) -> Suspicion | None:
    """Return the other unit that explains the values best, if one does; rows are positions in `raw`."""
    low, high = variable.plausible_range
    best: tuple[int, float, str, Bool[np.ndarray, " row"], bool] | None = None
    for unit, change in _other_units(meaning, variable):
        with np.errstate(over="ignore", invalid="ignore"):
            values = raw * change.factor + change.offset
            now = raw * meaning.conversion.factor + meaning.conversion.offset
        fits = is_outside & (values >= low) & (values <= high)
        distance, is_column = 0.0, False
        if variable.typical is not None:
            # A pressure of 4 mmHg is a probe in the air and no pressure in kPa: "fits" is "is usual".
            fits &= np.abs(_distance(variable, values)) < _NEAR
            distance = float(abs(_distance(variable, np.median(values))))
            before = float(abs(_distance(variable, np.median(now))))
            is_column = before > _FAR and distance < min(_NEAR, before / 2)
        rank = (int(fits.sum()), -distance)
        if (fits.any() or is_column) and (best is None or rank > best[:2]):
            best = (*rank, unit, fits, is_column)
    if best is None:
        return None
    return Suspicion(pair, best[2], np.flatnonzero(best[3]), best[4])


def _other_units(meaning: Meaning, variable: Variable) -> Iterator[tuple[str, Conversion]]:
    """Return accepted units whose numbers differ from those of the unit that the rows came in."""
    seen = {(meaning.conversion.factor, meaning.conversion.offset)}
    for unit in accepted_units(variable):
        try:
            change = conversion(variable, unit)
        except UnitError:  # pragma: no cover  an accepted unit has a conversion
            continue
        if (change.factor, change.offset) not in seen:
            seen.add((change.factor, change.offset))
            yield unit, change


def is_clock_suspected(
    subjects: Int[np.ndarray, " observation"], hours: Float[np.ndarray, " observation"]
) -> bool:
    """Return whether hours look like minutes: stays of months, looked at twice a day or less.

    Parameters
    ----------
    subjects, hours
        Sorted by both.
    """
    # No stay is longer than all of them together: mostly nothing has to be sorted out.
    if len(hours) < _MIN_TIMES or np.ptp(hours) <= _LONG_STAY_HOURS:
        return False
    is_new = np.ones(len(hours), dtype=bool)
    is_new[1:] = (np.diff(subjects) != 0) | (np.diff(hours) != 0)
    subjects, hours = subjects[is_new], hours[is_new]
    is_first = np.ones(len(hours), dtype=bool)
    is_first[1:] = np.diff(subjects) != 0
    starts = np.flatnonzero(is_first)
    ends = np.append(starts[1:], len(hours)) - 1
    is_seen_often = ends - starts + 1 >= _MIN_TIMES
    if not is_seen_often.any():
        return False
    span = float(np.median((hours[ends] - hours[starts])[is_seen_often]))
    gaps = np.diff(hours)[~is_first[1:]]
    gap = float(np.median(gaps))
    is_whole = bool(np.all(hours == np.rint(hours)))
    return is_whole and span > _LONG_STAY_HOURS and _LONG_GAP_HOURS < gap < _LONGEST_GAP_HOURS
