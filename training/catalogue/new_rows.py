"""Proposed rows of names that no catalogue knows: all that is suggested comes from the values."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from model.data.catalogue_table import is_loinc
from model.data.units import is_unit
from model.data.variables import Kind, Static, Variable, folded
from training.catalogue.proposal import Entry, LeftOut
from training.catalogue.roles import kind_of
from training.catalogue.sample import LEAST_SUBJECTS, Sample
from training.catalogue.seeing import new_mixture, seen_of
from training.catalogue.shapes import (
    log_offset_of,
    outward,
    quartiles,
    range_of,
    sentinel_of,
    step_of,
)

_SOURCE: Final = "these records, beyond the 0.1 and 99.9 % quantiles"
_MAX_CATEGORIES: Final = 20
_MOSTLY: Final = 0.5
_SEPARATORS: Final = frozenset(";|=")


def new_variable(sample: Sample) -> Entry:
    """Suggest a row from the values of at least `LEAST_SUBJECTS` subjects."""
    values = sample.measured
    notes = list(_unit_notes(sample))
    sentinel = sentinel_of(values)
    if sentinel is not None:
        notes.append(f"{sentinel:g} seems to say that a value is not known, and lies outside")
        values = values[values != sentinel]
    kind = kind_of(sample)
    mixture = new_mixture(sample) if kind is Kind.LEVEL else None
    if mixture is not None:
        notes.append("the values have two modes, as if they came in two units")
    offset = log_offset_of(values) if kind in (Kind.LEVEL, Kind.AMOUNT) else None
    bounds = _range(sample, kind, offset)
    low, high = bounds
    found = [min(max(one, low), high) for one in quartiles(values)]
    step = step_of(values)
    if kind is Kind.ORDINAL:
        step = 1.0
        notes.append("few whole numbers without a unit: a score? Else change the kind to level")
    if kind is Kind.STATE:
        notes.append("0 and 1 alone: a state, which is read and never estimated")
    item = Variable(
        name=sample.name,
        unit=sample.unit,
        plausible_range=bounds,
        codes=_codes(sample),
        range_source=_SOURCE,
        kind=kind,
        log_offset=offset,
        resolution=step if step is not None and step <= high - low else None,
        typical=(found[0], found[1], found[2]),
    )
    seen = seen_of(sample, bounds=bounds, mixture=mixture)
    if seen.outside:
        notes.append(f"{seen.outside} values lie outside the range and will not be used")
    return Entry(item, seen, tuple(notes), is_known=False)


def new_static(sample: Sample) -> Entry | LeftOut:
    """Suggest a static: a number, or categories where the values are words."""
    if sample.text_share > _MOSTLY:
        return _category(sample)
    if sample.num_measured_subjects < LEAST_SUBJECTS:
        return LeftOut(
            sample.name, f"fewer than {LEAST_SUBJECTS} subjects have a number", sample.num_subjects
        )
    values = sample.measured
    is_switch = bool(np.all((values == 0) | (values == 1)))
    bounds = (0.0, 1.0) if is_switch else range_of(values, log_offset_of(values))
    notes = [*_unit_notes(sample), "one value for each subject"]
    item = Static(name=sample.name, unit=sample.unit, plausible_range=bounds, codes=_codes(sample))
    return Entry(item, seen_of(sample, bounds=bounds), tuple(notes), is_known=False)


def _range(sample: Sample, kind: Kind, offset: float | None) -> tuple[float, float]:
    """Return the range that holds the values; of a percentage or a score it ends where these end."""
    values = sample.measured
    sentinel = sentinel_of(values)
    if sentinel is not None:
        values = values[values != sentinel]
    if kind is Kind.STATE:
        return 0.0, 1.0
    if kind is Kind.ORDINAL:
        return 0.0, float(max(outward(float(values.max()), is_up=True), 1.0))
    low, high = range_of(values, offset)
    for unit, end in (("%", 100.0), ("1", 1.0)):
        is_share = sample.unit == unit and values.min() >= 0 and end / 2 < values.max() <= end
        if is_share and high > end:
            high = end
    return low, high


def _category(sample: Sample) -> Entry | LeftOut:
    words: dict[str, int] = {}
    num_rare = 0
    for code, word in enumerate(sample.texts.names):
        carriers = sample.num_subjects_where(sample.texts.codes == code)
        if carriers >= LEAST_SUBJECTS and not _SEPARATORS & set(word):
            words[word] = carriers
        elif carriers:
            num_rare += 1
    merged: dict[str, str] = {}
    for word in sorted(words, key=lambda word: (-words[word], word)):
        merged.setdefault(folded(word), word)
    names = tuple(merged.values())
    if not 2 <= len(names) <= _MAX_CATEGORIES:
        reason = "the values are words, and no 2 to 20 of them are common"
        return LeftOut(sample.name, reason, sample.num_subjects)
    notes = ["one word for each subject: categories"]
    if num_rare:
        notes.append(f"{num_rare} rare words are no category")
    item = Static(
        name=sample.name,
        unit="1",
        plausible_range=(0.0, float(len(names) - 1)),
        categories=names,
        codes=_codes(sample),
    )
    return Entry(item, seen_of(sample), tuple(notes), is_known=False)


def _codes(sample: Sample) -> tuple[str, ...]:
    bare = sample.name.removeprefix("LOINC//")
    return (bare,) if is_loinc(bare) else ()


def _unit_notes(sample: Sample) -> Iterator[str]:
    if not any(unit for unit, _ in sample.units):
        yield "no unit is written: give it"
    elif not is_unit(sample.unit):
        yield f"the unit {sample.unit} is not read as one: write it in UCUM"
    for unit in sample.unconverted:
        yield f"no conversion from {unit} to {sample.unit}: give a factor under conversions"
    if len(sample.names) > 1:
        yield f"several names are read as one: {', '.join(sample.names)}"
    if sample.text_share > 0:
        yield f"{sample.text_share:.1%} of the values are words and will not be used"
