"""What a name of a source is: a static, a variable of some kind, or neither, judged by its values."""

import re
from typing import Final

import numpy as np

from model.data.variables import Kind
from training.catalogue.sample import LEAST_SUBJECTS, Sample

_ALMOST_ALL: Final = 0.99
_MOST: Final = 0.95
_OFTEN: Final = 0.9
_MOSTLY_TEXT: Final = 0.95
_MAX_SCORE: Final = 20
_MIN_VALUES: Final = 30
_VOLUMES: Final = frozenset({"ml", "l", "cc", "cl", "dl", "ul"})
_COLLECTED: Final = re.compile(
    r"output|urine|drain|diuresis|stool|emesis|chest tube|ostomy|foley|void", re.IGNORECASE
)
_SCORE_UNITS: Final = frozenset({"", "1", "{score}", "score", "points", "point"})
_LEAST_IDENTIFIER: Final = 1000
_SEPARATED: Final = (
    "the name holds a `;`, which separates names in the table (rename it with --codes)"
)


def is_static(sample: Sample) -> bool:
    """Whether the values describe the subject: without a time, or one value at every time.

    A value that is given once is a descriptor where it stands at the first time of nearly everybody
    and nearly everybody has it; a laboratory value that is measured once stands anywhere.
    """
    if np.mean(sample.is_timeless) > 0.5:
        return True
    is_timed = np.isfinite(sample.hours)
    if not is_timed.any():
        return False
    if sample.num_subjects < LEAST_SUBJECTS or not _is_constant(sample):
        return False
    owners, firsts = np.unique(sample.subjects[is_timed], return_index=True)
    entries = np.bincount(sample.subjects[is_timed], minlength=len(sample.moments.counts))[owners]
    moments = sample.moments.counts[owners]
    if np.median(moments) < 2:
        return False
    has_all = np.mean(entries >= _OFTEN * moments)
    starts = sample.hours[is_timed][firsts]
    is_first = np.mean((entries == 1) & (starts == sample.moments.firsts[owners]))
    is_common = len(owners) >= 0.5 * len(sample.moments.counts)
    return bool(has_all >= _MOST or (is_common and is_first >= _MOST))


def why_not(sample: Sample) -> str | None:
    """Return why a name cannot be a variable, or None where it can."""
    numbers = sample.values[sample.is_number]
    if not _has_value(sample):
        return "no value in any row"
    if ";" in sample.name:
        return _SEPARATED
    if sample.text_share > _MOSTLY_TEXT:
        return "the values are words"
    if sample.num_measured_subjects < LEAST_SUBJECTS:
        return f"fewer than {LEAST_SUBJECTS} subjects have a number"
    if len(numbers) >= _MIN_VALUES and np.all(numbers == numbers[0]) and numbers[0] != 1:
        return "all values are the same"
    if _is_identifier(sample):
        return "the values look like identifiers"
    if _is_clock(sample):
        return "the values are a clock: they grow with the time"
    return None


def why_not_static(sample: Sample) -> str | None:
    """Return why a name cannot be a static, or None where it can."""
    if not _has_value(sample):
        return "no value in any row"
    if ";" in sample.name:
        return _SEPARATED
    return "the values look like identifiers" if _is_identifier(sample) else None


def kind_of(sample: Sample) -> Kind:
    """Suggest a kind by the unit, the name and the values."""
    values = sample.measured
    unit = sample.unit.casefold()
    if unit in _VOLUMES and any(_COLLECTED.search(name) for name in sample.names):
        return Kind.AMOUNT
    if unit not in _SCORE_UNITS or not len(values):
        return Kind.LEVEL
    if np.all((values == 0) | (values == 1)):
        return Kind.STATE
    is_score = np.all(values == np.rint(values)) and values.min() >= 0
    return Kind.ORDINAL if is_score and values.max() <= _MAX_SCORE else Kind.LEVEL


def _has_value(sample: Sample) -> bool:
    return bool(np.any(sample.is_number) or np.any(sample.texts.codes >= 0))


def _is_constant(sample: Sample) -> bool:
    """Whether nearly every subject has one value only."""
    is_number = sample.is_number
    is_word = (sample.texts.codes >= 0) & ~is_number
    values = np.where(is_number, sample.values, -1.0 - sample.texts.codes)[is_number | is_word]
    owners = sample.subjects[is_number | is_word]
    if not len(owners):
        return False
    subjects, places = np.unique(owners, return_inverse=True)
    lows = np.full(len(subjects), np.inf)
    highs = np.full(len(subjects), -np.inf)
    np.minimum.at(lows, places, values)
    np.maximum.at(highs, places, values)
    return bool(np.mean(lows == highs) >= _ALMOST_ALL)


def _is_identifier(sample: Sample) -> bool:
    """Whether whole, large numbers hardly repeat: among the rows, or among the subjects."""
    if any(unit for unit, _ in sample.units):
        return False
    values = sample.values[sample.is_number]
    if len(values) < _MIN_VALUES or np.any(values != np.rint(values)):
        return False
    if np.median(np.abs(values)) < _LEAST_IDENTIFIER:
        return False
    num_distinct = len(np.unique(values))
    if num_distinct >= _OFTEN * len(values):
        return True
    return _is_constant(sample) and num_distinct >= _OFTEN * sample.num_subjects


def _is_clock(sample: Sample) -> bool:
    """Whether the values of every subject grow in proportion to the time."""
    is_used = sample.is_number & np.isfinite(sample.hours)
    own = np.diff(sample.subjects[is_used]) == 0
    gaps = np.diff(sample.hours[is_used])[own]
    rises = np.diff(sample.values[is_used])[own]
    rises, gaps = rises[gaps > 0], gaps[gaps > 0]
    if len(gaps) < _MIN_VALUES:
        return False
    rates = rises / gaps
    middle = np.median(rates)
    return bool(middle > 0 and np.mean(np.abs(rates - middle) <= 1e-3 * middle) >= _MOST)
