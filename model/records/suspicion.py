"""Values that do not fit the unit, or the clock, that they came in. Nothing is converted by a guess.

A value is suspected where it cannot be in its unit and could be in another one of its variable:
97.2 degrees Celsius, a creatinine of 180 mg/dL. A column is suspected where its middle lies far from
what is usually recorded of the variable, and near to it in another unit. "Far" is more than
`_FAR` of the distances between the quartiles, on the scale on which the variable is modeled.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.derived import once_per_catalogue
from model.data.units import Conversion, accepted_units, conversion
from model.data.variables import Catalogue, Variable
from model.errors import UnitError
from model.records.meanings import Meaning, Meanings

_FAR: Final = 3.0
_NEAR: Final = 2.0
_LEAST: Final = 1e-12
"""Below this nothing has a logarithm."""
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
    plausible_ranges: Float[np.ndarray, "bound row"] | None = None,
) -> list[Suspicion]:
    """Return the suspicions about the measured rows; `numbers` are in the units that they came in.

    Parameters
    ----------
    plausible_ranges
        Those of every row, where they depend on the subject's age; by default the catalogue's.
    """
    chosen = np.flatnonzero(is_measured & np.isfinite(numbers))
    if not len(chosen):
        return []
    owners, raw = meanings.owners[chosen], numbers[chosen]
    values = meanings.convert(numbers)[chosen]
    # Channel -1 takes the last column, which holds everything.
    channels = np.array([one.channel for one in meanings.found])
    lowest, highest, low, high = _bounds(catalogue)[:, channels][:, owners]
    if plausible_ranges is not None:
        lowest, highest = plausible_ranges[:, chosen]
    is_outside = (values < lowest) | (values > highest)
    suspected = set(owners[is_outside].tolist())
    suspected |= set(_far_columns(meanings.found, owners, values < low, values > high))
    found = []
    for pair in sorted(suspected):
        own = np.flatnonzero(owners == pair)
        suspicion = _judge(pair, meanings.found[pair], raw[own], is_outside[own], catalogue)
        if suspicion is not None:
            rows = chosen[own[suspicion.rows]]
            found.append(Suspicion(pair, suspicion.other_unit, rows, suspicion.is_column))
    return found


def _far_columns(
    found: tuple[Meaning, ...],
    owners: Int[np.ndarray, " row"],
    is_far_below: Bool[np.ndarray, " row"],
    is_far_above: Bool[np.ndarray, " row"],
) -> Iterator[int]:
    """Name the pairs whose middle lies far from what is usual.

    The middle is the lower median. It is far above where all from it on are far above.
    """
    counts = np.bincount(owners, minlength=len(found))
    middles = (counts - 1) // 2
    is_above = np.bincount(owners[is_far_above], minlength=len(found)) >= counts - middles
    is_below = np.bincount(owners[is_far_below], minlength=len(found)) > middles
    for pair in np.flatnonzero((counts > 0) & (is_above | is_below)).tolist():
        if not found[pair].unit or counts[pair] >= _MIN_VALUES:
            yield pair


class _Scale(NamedTuple):
    """What is usual of a variable: the middle and the distance of the quartiles, as it is modeled."""

    log_offset: float | None
    middle: float
    spread: float

    def of(self, value: float) -> float:
        """Return how many distances between the quartiles a value lies from the usual middle."""
        return (_on_scale(value, self.log_offset) - self.middle) / self.spread

    def at(self, distance: float) -> float:
        """Return the value that lies so far from the middle."""
        found = self.middle + distance * self.spread
        if self.log_offset is None:
            return found
        return (
            math.exp(min(found, 700.0)) - self.log_offset if found > math.log(_LEAST) else -math.inf
        )


def _on_scale(value: float, log_offset: float | None) -> float:
    return value if log_offset is None else math.log(max(value + log_offset, _LEAST))


@once_per_catalogue
def _scales(catalogue: Catalogue) -> tuple[_Scale | None, ...]:
    return tuple(map(_scale, catalogue))


def _scale(variable: Variable) -> _Scale | None:
    if variable.typical is None:
        return None
    low, middle, high = (_on_scale(one, variable.log_offset) for one in variable.typical)
    return _Scale(variable.log_offset, middle, max(high - low, 1e-6 * max(abs(middle), 1.0)))


@once_per_catalogue
def _bounds(catalogue: Catalogue) -> Float[np.ndarray, "4 channel_plus_one"]:
    """Return the plausible range, and between which values nothing is far from what is usual."""
    everything = (-math.inf, math.inf)
    usual = [
        everything if one is None else (one.at(-_FAR), one.at(_FAR)) for one in _scales(catalogue)
    ]
    plausible = [variable.plausible_range for variable in catalogue]
    return np.array(
        [(*a, *b) for a, b in zip([*plausible, everything], [*usual, everything], strict=True)]
    ).T


def _judge(
    pair: int,
    meaning: Meaning,
    raw: Float[np.ndarray, " row"],
    is_outside: Bool[np.ndarray, " row"],
    catalogue: Catalogue,
) -> Suspicion | None:
    """Return the other unit that explains the values best, if one does; rows are positions in `raw`."""
    low, high = catalogue[meaning.channel].plausible_range
    scale = _scales(catalogue)[meaning.channel]
    ordered, outside = np.sort(raw), np.flatnonzero(is_outside)
    # Halves first: the sum of two finite numbers may be none.
    middle = float(ordered[(len(raw) - 1) // 2] / 2 + ordered[len(raw) // 2] / 2)
    before = 0.0 if scale is None else abs(scale.of(meaning.conversion(middle)))
    best: tuple[int, float, str, Int[np.ndarray, " fitting"], bool] | None = None
    for unit, change in _other_units(meaning.channel, catalogue):
        if change == meaning.conversion:
            continue
        distance, is_column = 0.0, False
        nearest, farthest = low, high
        if scale is not None:
            # A pressure of 4 mmHg is a probe in the air and no pressure in kPa: "fits" is "is usual".
            nearest, farthest = max(low, scale.at(-_NEAR)), min(high, scale.at(_NEAR))
            distance = abs(scale.of(change(middle)))
            is_column = before > _FAR and distance < min(_NEAR, before / 2)
        fitting = _fitting(raw, outside, change, nearest, farthest)
        rank = (len(fitting), -distance)
        if (len(fitting) or is_column) and (best is None or rank > best[:2]):
            best = (*rank, unit, fitting, is_column)
    if best is None:
        return None
    return Suspicion(pair, best[2], best[3], best[4])


def _fitting(
    raw: Float[np.ndarray, " row"],
    outside: Int[np.ndarray, " outside"],
    change: Conversion,
    low: float,
    high: float,
) -> Int[np.ndarray, " fitting"]:
    """Return which of the rows outside lie in a range after a conversion."""
    if not len(outside):
        return outside
    with np.errstate(over="ignore", invalid="ignore"):
        values = raw[outside] * change.factor + change.offset
    return outside[(values >= low) & (values <= high)]


def _other_units(channel: int, catalogue: Catalogue) -> tuple[tuple[str, Conversion], ...]:
    """Return the accepted units of a variable, of several with the same numbers the first."""
    known = _known_units(catalogue)
    if channel not in known:
        variable = catalogue[channel]
        first: dict[Conversion, str] = {}
        for unit in accepted_units(variable):
            with suppress(UnitError):
                first.setdefault(conversion(variable, unit), unit)
        known[channel] = tuple((unit, change) for change, unit in first.items())
    return known[channel]


@once_per_catalogue
def _known_units(catalogue: Catalogue) -> dict[int, tuple[tuple[str, Conversion], ...]]:
    """Hold the units of the variables that were suspected."""
    del catalogue
    return {}


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
