"""What one FHIR Observation, or one component of it, says: its names, its value, its unit, its time.

Nothing here raises, whatever the JSON holds: a field of another type than FHIR gives it is not there.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from model.records.comparators import COMPARATORS, MEASURED
from model.records.sources.not_rows import (
    ISSUED_ONLY,
    MISSING_VALUE,
    MODIFIED_MEANING,
    PERIOD_WITHOUT_END,
    TIMING_NOT_USED,
    VALUE_TYPE_NOT_USED,
)

Fields = Mapping[str, Any]

LOINC_SYSTEMS: Final = frozenset(
    {"http://loinc.org", "https://loinc.org", "urn:oid:2.16.840.1.113883.6.1"}
)
_NAMES_OF_SYSTEMS: Final = {"http://snomed.info/sct": "SNOMED"}
_UCUM_SYSTEMS: Final = frozenset(
    {"http://unitsofmeasure.org", "https://unitsofmeasure.org", "urn:oid:2.16.840.1.113883.6.8"}
)
_ORDINAL: Final = (
    "http://hl7.org/fhir/StructureDefinition/ordinalValue",
    "http://hl7.org/fhir/StructureDefinition/itemWeight",
)
_DATA_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_LOINC_SHAPE: Final = re.compile(r"\d{1,7}-\d")
_YEAR: Final = re.compile(r"\d{4}")
_MONTH: Final = re.compile(r"\d{4}-\d\d")

_BESIDE: Final = {"2708-6": "59408-5"}
"""US Core writes a saturation by pulse oximetry (59408-5) as one of arterial blood (2708-6) as well."""

ORDINAL_IGNORED: Final = "ordinal_ignored"
"""Remark: a coded answer says a number for its order; the words are kept and the number is not read."""


@dataclass(frozen=True)
class Value:
    """A number or a text, as FHIR writes it; or the reason for which there is neither."""

    number: float = math.nan
    text: str | None = None
    comparator: int = MEASURED
    unit: str | None = None
    is_word: bool = False
    reason: str | None = None
    remark: str | None = None


@dataclass(frozen=True)
class Moment:
    """The text of a time, or the reason for which there is none."""

    text: str | None = None
    reason: str | None = None


def text_of(content: Any, name: str) -> str | None:
    """Return a field that holds text; None for anything else, also for nothing but blanks."""
    found = content.get(name) if isinstance(content, dict) else None
    return _clean(found) if isinstance(found, str) else None


def _clean(text: str) -> str | None:
    """Return text that UTF-8 can hold: JSON may escape half of a pair of surrogates."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return text.strip() or None


def dicts_of(content: Any, name: str) -> Iterator[dict[str, Any]]:
    """Return the objects of a list."""
    found = content.get(name) if isinstance(content, dict) else None
    yield from (one for one in found if isinstance(one, dict)) if isinstance(found, list) else ()


def names_of(concept: Any) -> tuple[str, ...]:
    """Return all names of a code: LOINC bare, others as `SNOMED//code` or `system//code`, else its text.

    LOINC codes come first, whatever the order of the codings. A code without a system is itself,
    unless it has the shape of a LOINC code, which nobody said that it is. Where a profile asks for
    the code of another measurement beside the true one (`_BESIDE`), the true one alone is returned.

    Examples
    --------
    >>> names_of({"coding": [{"system": "http://loinc.org", "code": "8867-4"}], "text": "Pulse"})
    ('8867-4',)
    """
    loinc, others = [], []
    for coding in dicts_of(concept, "coding"):
        code, system = text_of(coding, "code"), text_of(coding, "system")
        if code is None:
            continue
        if system is not None and system.rstrip("/") in LOINC_SYSTEMS:
            loinc.append(code)
        elif system is None and not _LOINC_SHAPE.fullmatch(code):
            others.append(code)
        else:
            short = _NAMES_OF_SYSTEMS.get(system or "", system or "")
            others.append(f"{short}//{code}")
    loinc = [code for code in loinc if _BESIDE.get(code) not in loinc]
    text = text_of(concept, "text")
    return (*loinc, *others) or ((text,) if text else ())


def value_of(measured: Fields) -> Value:
    """Return the value of an Observation or a component; the reason where there is none.

    Examples
    --------
    >>> value_of({"valueQuantity": {"value": 0.01, "comparator": "<", "unit": "ug/L"}}).comparator
    -1
    """
    if measured.get("dataAbsentReason") is not None:
        return Value(reason=MISSING_VALUE)
    quantity = measured.get("valueQuantity")
    if isinstance(quantity, dict):
        return _of_quantity(quantity)
    concept = measured.get("valueCodeableConcept")
    if isinstance(concept, dict):
        return _of_concept(concept)
    for name in ("valueInteger", "valueString"):
        number, text = _number_or_text(measured.get(name))
        if text is not None or not math.isnan(number):
            return Value(number, text)
    return Value(reason=_why_nothing(measured))


def has_value(measured: Fields) -> bool:
    """Whether something is said about a value, if only that there is none."""
    return any(name.startswith(("value", "_value", "dataAbsent")) for name in measured)


def moment_of(observation: Fields) -> Moment:
    """Return the time at which a value is known: the end of a period, and never its start.

    What was collected or averaged over a period, and an infusion over it, is known when it ends;
    written at the start it would tell the future. A period without an end is not over. `issued`
    is when somebody signed it, which may be days later, and is no time of a measurement.
    """
    for name in ("effectiveDateTime", "effectiveInstant"):
        text = text_of(observation, name)
        if text is not None:
            return Moment(_whole_date(text))
    period = observation.get("effectivePeriod")
    if isinstance(period, dict):
        end = text_of(period, "end")
        if end is not None:
            return Moment(_whole_date(end))
        if text_of(period, "start") is not None:
            return Moment(reason=PERIOD_WITHOUT_END)
    if observation.get("effectiveTiming") is not None:
        return Moment(reason=TIMING_NOT_USED)
    if text_of(observation, "issued") is not None:
        return Moment(reason=ISSUED_ONLY)
    return Moment()


def _whole_date(text: str) -> str:
    """Write 2024 and 2024-02 as dates, so that they are no numbers and have no time of day."""
    if _YEAR.fullmatch(text):
        return f"{text}-01-01"
    return f"{text}-01" if _MONTH.fullmatch(text) else text


def _number_or_text(found: Any) -> tuple[float, str | None]:
    if isinstance(found, str):
        return math.nan, _clean(found)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return math.nan, None
    try:
        return float(found), None
    except OverflowError:
        return math.copysign(math.inf, found), None


def _of_quantity(quantity: Fields) -> Value:
    number, text = _number_or_text(quantity.get("value"))
    if text is None and math.isnan(number):
        return Value(reason=_why_nothing(quantity))
    said = quantity.get("comparator")
    if said is not None and (not isinstance(said, str) or said not in COMPARATORS):
        return Value(reason=MODIFIED_MEANING)
    code, unit = text_of(quantity, "code"), text_of(quantity, "unit")
    system = (text_of(quantity, "system") or "").rstrip("/")
    first, second = (code, unit) if system in _UCUM_SYSTEMS else (unit, code)
    comparator = MEASURED if said is None else COMPARATORS[said]
    return Value(number, text, comparator, first or second)


def _of_concept(concept: Fields) -> Value:
    text, has_ordinal = text_of(concept, "text"), False
    for coding in dicts_of(concept, "coding"):
        text = text or text_of(coding, "display") or text_of(coding, "code")
        has_ordinal |= any(one.get("url") in _ORDINAL for one in dicts_of(coding, "extension"))
    if text is None:
        return Value(reason=_why_nothing(concept))
    words = " ".join(text.split())
    return Value(text=words, is_word=True, remark=ORDINAL_IGNORED if has_ordinal else None)


def _why_nothing(content: Fields) -> str:
    """Name the reason for which there is no value that is read."""
    for name, found in content.items():
        if name.startswith("_value"):
            extensions = dicts_of(found, "extension")
            if any(one.get("url") == _DATA_ABSENT for one in extensions):
                return MISSING_VALUE
    if any(name.startswith("value") and name != "value" for name in content):
        return VALUE_TYPE_NOT_USED
    return MISSING_VALUE
