"""Proposed rows of variables and statics that the known catalogue holds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from model.data.units import accepted_units
from model.data.variables import Kind, Static, Variable
from training.catalogue.proposal import Entry
from training.catalogue.sample import LEAST_SUBJECTS, Sample
from training.catalogue.seeing import known_mixture, seen_of
from training.catalogue.shapes import outward, quartiles, step_of

_WIDEN_SHARE: Final = 0.005
_MOSTLY: Final = 0.5


@dataclass(frozen=True)
class UnitDoubt:
    """Another unit that the values fit better: of a whole column, or of `rows` values."""

    unit: str
    rows: int
    is_column: bool


def known_variable(sample: Sample, variable: Variable, doubt: UnitDoubt | None) -> Entry:
    """Return the known row, with the measured quartiles, and a range that holds what is believable.

    Where the unit is doubtful nothing is taken from the values: a measured middle would make an
    import believe them.
    """
    mixture = known_mixture(sample, variable)
    notes = list(_unit_notes(sample, variable))
    if doubt is not None:
        notes.append(_doubt_note(doubt, variable))
    if mixture is not None:
        notes.append(f"some values look like {mixture.unit}, and carry no such unit")
    values = sample.measured
    is_sure = mixture is None and (doubt is None or not doubt.is_column)
    if is_sure and sample.num_measured_subjects >= LEAST_SUBJECTS:
        widened = _widened(sample, variable)
        if widened != variable.plausible_range:
            notes.append("the known range left values out and was widened: check it")
            variable = replace(
                variable, plausible_range=widened, range_source="widened to these records"
            )
        low, high = variable.plausible_range
        found = [min(max(one, low), high) for one in quartiles(values)]
        variable = replace(variable, typical=(found[0], found[1], found[2]))
        if variable.kind is not Kind.ORDINAL and not sample.is_converted:
            variable = _with_step(variable, step_of(values))
    seen = seen_of(sample, bounds=variable.widest_range, mixture=mixture)
    if seen.outside:
        notes.append(f"{seen.outside} values lie outside the range and will not be used")
    return Entry(variable, seen, tuple(notes), is_known=True)


def known_static(sample: Sample, static: Static) -> Entry:
    """Return the known row of a static, with what a person should look at."""
    notes = []
    numbers = sample.values[sample.is_number]
    if static.categories:
        read_as = ", ".join(f"{place} is {name}" for place, name in enumerate(static.categories))
        if len(numbers):
            notes.append(f"numbers are read as categories: {read_as}")
        words = {word for word in _common_words(sample) if static.category(word) is None}
        if words:
            notes.append(f"words that are no category: {', '.join(sorted(words))}")
    else:
        low, high = static.plausible_range
        outside = int(np.sum((numbers < low) | (numbers > high)))
        if outside:
            notes.append(f"{outside} values lie outside the range and will not be used")
    return Entry(static, seen_of(sample), tuple(notes), is_known=True)


def _common_words(sample: Sample) -> Iterator[str]:
    for code, word in enumerate(sample.texts.names):
        if sample.num_subjects_where(sample.texts.codes == code) >= LEAST_SUBJECTS:
            yield word


def _unit_notes(sample: Sample, variable: Variable) -> Iterator[str]:
    if len(sample.names) > 1:
        yield f"several names are read as one: {', '.join(sample.names)}"
    for unit in sample.unconverted:
        accepted = ", ".join(accepted_units(variable)[:4])
        yield f"no conversion from {unit} (known: {accepted}): give a factor under conversions"
    without = dict(sample.units).get("", 0)
    if without and without < len(sample):
        yield f"{without} values have no unit and are read in {variable.unit}"
    if sample.text_share > _MOSTLY:
        yield "most values are words and will not be used"


def _doubt_note(doubt: UnitDoubt, variable: Variable) -> str:
    if doubt.is_column:
        return (
            f"the values look like {doubt.unit}: look at them, then import with "
            f"--accept-suspected '{variable.name}={doubt.unit}'"
        )
    return f"{doubt.rows} values cannot be {variable.unit} and could be {doubt.unit}"


def _widened(sample: Sample, variable: Variable) -> tuple[float, float]:
    """Return a range that leaves out no more than a few values in a thousand."""
    low, high = variable.plausible_range
    values = sample.measured
    if variable.kind not in (Kind.LEVEL, Kind.AMOUNT):
        return low, high
    bottom, top = variable.widest_range
    least, most = np.quantile(values, (0.001, 0.999)).tolist()
    if np.mean(values < bottom) > _WIDEN_SHARE and (variable.log_offset or 0.0) + least > 0:
        low = min(low, outward(least, is_up=False))
    is_capped = variable.unit == "%" and high == 100
    if np.mean(values > top) > _WIDEN_SHARE and not is_capped:
        high = max(high, outward(most, is_up=True))
    return low, high


def _with_step(variable: Variable, step: float | None) -> Variable:
    low, high = variable.plausible_range
    if step is None or step > high - low:
        return variable
    return replace(variable, resolution=step)
