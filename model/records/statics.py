"""The descriptors of subjects: one number each, however often and in whatever words they are given.

category   its name or another word for it (`f`, `Female`), or its index
number     in any unit of the same quantity; `> 89` years is 90
age        a number at the subject's first observation, or from the date of birth
given twice  numbers are averaged, categories that contradict each other are not known
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.derived import once_per_catalogue
from model.data.reasons import Reason
from model.data.variables import Catalogue, Static
from model.records.comparators import AT_OR_ABOVE
from model.records.labels import Labels

AGE_NAMES: Final = ("age_years", "30525-0")
HOURS_PER_YEAR: Final = 24 * 365.25
_SENTINEL: Final = -1.0
"""This is how many sources write "not known" of what cannot be negative."""


@dataclass(frozen=True)
class StaticRows:
    """Rows about statics: subject, position in the catalogue, number in the static's unit, word."""

    subjects: Int[np.ndarray, " row"]
    positions: Int[np.ndarray, " row"]
    numbers: Float[np.ndarray, " row"]
    comparators: Int[np.ndarray, " row"]
    texts: Labels


@dataclass(frozen=True)
class Statics:
    """One number for each subject and static, NaN where it is not known; and the fate of each row."""

    values: Float[np.ndarray, "subject static"]
    fates: Int[np.ndarray, " row"]


@once_per_catalogue
def age_position(catalogue: Catalogue) -> int | None:
    """Return the position of the age among the statics."""
    for name in AGE_NAMES:
        found = catalogue.find_static(name)
        if found is not None:
            return found
    return None


def read_statics(
    rows: StaticRows, born_ages: Float[np.ndarray, " subject"], catalogue: Catalogue
) -> Statics:
    """Read the rows of all subjects; what cannot be used is left out, with its reason.

    Parameters
    ----------
    born_ages
        Age of each subject by the date of birth, in years, NaN where that is not known. It is used
        where no age is given.
    """
    values = np.full((len(born_ages), len(catalogue.statics)), np.nan)
    fates = np.zeros(len(rows.numbers), dtype=np.int8)
    age = age_position(catalogue)
    if age is not None and not np.isnan(born_ages).all():
        youngest, oldest = catalogue.statics[age].plausible_range
        is_plausible = (born_ages >= youngest) & (born_ages <= oldest)
        values[:, age] = np.where(is_plausible, born_ages, np.nan)
    # The age comes first, because it says what height and weight are plausible.
    occurring = np.flatnonzero(np.bincount(rows.positions)).tolist()
    for position in sorted(occurring, key=lambda one: one != age):
        static = catalogue.statics[position]
        own = np.flatnonzero(rows.positions == position)
        numbers = _numbers(rows, own, static.categories, catalogue, position)
        subjects = rows.subjects[own]
        has_ages = bool(static.age_ranges) and age is not None
        low, high = _range(static, values[subjects, age]) if has_ages else static.plausible_range
        faults = np.zeros(len(own), dtype=np.int8)
        is_sentinel = (numbers == _SENTINEL) & (low > _SENTINEL)
        is_good = (numbers >= low) & (numbers <= high) & ~is_sentinel
        if not is_good.all():
            is_missing = np.isnan(numbers)
            faults[~is_good] = Reason.IMPLAUSIBLE_VALUE
            faults[is_sentinel] = Reason.UNKNOWN_SENTINEL
            faults[is_missing] = Reason.MISSING_VALUE
            faults[is_missing & (rows.texts.codes[own] >= 0)] = Reason.VALUE_IS_TEXT
        good = np.flatnonzero(is_good)
        faults[good], known = _merge(
            subjects[good], numbers[good], is_category=bool(static.categories)
        )
        owners, means = known
        values[owners, position] = means
        fates[own] = faults
    return Statics(values, fates)


def _range(
    static: Static, ages: Float[np.ndarray, " own"]
) -> tuple[Float[np.ndarray, " own"] | float, Float[np.ndarray, " own"] | float]:
    """Return the plausible range of each row by the age of its subject."""
    if np.isnan(ages).all():
        return static.plausible_range
    bounds = np.array([static.plausible_range_at(None if np.isnan(one) else one) for one in ages])
    return bounds[:, 0], bounds[:, 1]


def _numbers(
    rows: StaticRows,
    own: Int[np.ndarray, " own"],
    categories: tuple[str, ...],
    catalogue: Catalogue,
    position: int,
) -> Float[np.ndarray, " own"]:
    """Return a number for each row; of a category its index, from its index or a word for it."""
    numbers = rows.numbers[own]
    if categories:
        static = catalogue.statics[position]
        found = [static.category(word) for word in rows.texts.names]
        indices = rows.texts.take(own).each(
            [np.nan if one is None else float(one) for one in found], np.nan
        )
        is_index = (numbers == np.rint(numbers)) & (numbers >= _SENTINEL)
        is_index &= numbers < len(categories)
        return np.where(np.isnan(numbers), indices, np.where(is_index, numbers, np.inf))
    if position == age_position(catalogue):
        # The ages of the oldest are written as a limit, so that nobody can be recognized by them.
        return np.where(rows.comparators[own] == AT_OR_ABOVE, np.floor(numbers) + 1, numbers)
    return numbers


_Known = tuple[Int[np.ndarray, " known"], Float[np.ndarray, " known"]]


def _merge(
    subjects: Int[np.ndarray, " good"], numbers: Float[np.ndarray, " good"], *, is_category: bool
) -> tuple[Int[np.ndarray, " good"], _Known]:
    """Return the fate of each usable row of one static, and the value of each subject that has one."""
    fates = np.zeros(len(numbers), dtype=np.int8)
    if len(numbers) < 2:
        return fates, (subjects, numbers)
    order = np.lexsort((numbers, subjects))
    owners, values = subjects[order], numbers[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = np.diff(owners) != 0
    is_repeated = ~is_first
    is_repeated[1:] &= np.diff(values) == 0
    group = np.cumsum(is_first) - 1
    starts = np.flatnonzero(is_first)
    is_distinct: Bool[np.ndarray, " good"] = ~is_repeated
    counts = np.bincount(group[is_distinct])
    means = np.bincount(group[is_distinct], weights=values[is_distinct]) / counts
    means = np.where(counts == 1, values[starts], means)
    own = np.where(is_repeated, Reason.DUPLICATE, Reason.CONFLICT_AVERAGED)
    own[is_first] = Reason.KEPT
    kept = np.ones(len(starts), dtype=bool)
    if is_category:
        kept = counts == 1
        own[~kept[group]] = Reason.CONFLICTING_CATEGORY
    fates[order] = own
    return fates, (owners[starts][kept], means[kept])
