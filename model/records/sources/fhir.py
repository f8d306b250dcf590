"""FHIR R4: Observations become rows, Patients become `birth_date` and `sex`. No model of FHIR.

    status                   final, amended and corrected are used; entered-in-error and cancelled
                             withdraw what the same `id` said before
    subject                  a Patient, by `model.records.subjects`; inside a Bundle also by fullUrl
    effective[x]             the end of a period (`model.records.sources.fhir_values.moment_of`)
    code, component[].code   the first code that the code map has, else that the catalogue has, else
                             the first LOINC code
    value[x]                 quantities, integers, text and coded words; the UCUM code as the unit
    id, meta                 `record_id` and `version`

Whatever else there is, is counted by reason. Every value of an Observation is a row or is counted,
and so is an Observation that has none.

Elements that change the meaning are not ignored: `modifierExtension`, `implicitRules`, `focus`,
`dataAbsentReason`, `comparator`.

Revisions
    All values of one Observation share its `id` as `record_id`, so that a correction also takes back
    a component that it no longer has. The version is, in this order: `meta.versionId` where it is a
    whole number, `meta.lastUpdated`, `issued`, zero; among equal ones final < amended < corrected <
    withdrawn. Nothing of this depends on the order of the files. Resources that are still equal are
    both rows, and are merged as two entries at one time. A correction that has nothing to be used
    (no value, another focus) withdraws what it corrects.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from model.data.variables import Catalogue
from model.records.choosing import Chooser
from model.records.comparators import FLAG_IGNORED, read_values
from model.records.persons import FEMALE, MALE, Person, birth_of_text, person_rows
from model.records.rows import RowBatch, TimeKind, row_batch
from model.records.sources.fhir_bundle import FHIR_ENDINGS, Resource, resources_of
from model.records.sources.fhir_values import (
    Fields,
    Value,
    dicts_of,
    has_value,
    moment_of,
    names_of,
    text_of,
    value_of,
)
from model.records.sources.files import list_files
from model.records.sources.not_rows import (
    ENTRY_WITHOUT_RESOURCE,
    IDENTIFIER,
    INVALID_BIRTH_DATE,
    MISSING_VALUE,
    MODIFIED_MEANING,
    OTHER_FOCUS,
    OTHER_RESOURCE,
    PANEL_WITHOUT_VALUE,
    PERSON_WITHOUT_STATICS,
    SEX_NOT_USED,
    STATUS_NOT_FINAL,
    SUBJECT_BY_IDENTIFIER,
    SUBJECT_NOT_A_PATIENT,
    UNKNOWN_VARIABLE,
    WITHDRAWN_WITHOUT_ID,
)
from model.records.sources.options import SourceOptions
from model.records.subjects import subject_of, subject_of_reference
from model.records.times import TimeRules, read_times

_STATUSES: Final = {"final": 0, "amended": 1, "corrected": 2}
_WITHDRAWN: Final = {"entered-in-error", "cancelled"}
_RANKS: Final = 4
_WITHDRAWN_RANK: Final = 3
_HIGHEST: Final = 2**60
_RESOURCES_PER_BATCH: Final = 5_000
_SEXES: Final = {"female": FEMALE, "male": MALE}
_PATIENT_TYPES: Final = {None, "Patient", "http://hl7.org/fhir/StructureDefinition/Patient"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def read_fhir(path: Path, options: SourceOptions, catalogue: Catalogue) -> Iterator[RowBatch]:
    """Read NDJSON, a resource, a Bundle, or a folder of them; compressed or not.

    Parameters
    ----------
    catalogue
        Chooses among several codes of one value; nothing is left out for being unknown to it.

    Raises
    ------
    SourceError
        If there is no such file, or one of them is not JSON.

    Examples
    --------
    >>> import tempfile
    >>> from model.records.sources.options import SourceFormat
    >>> resource = '''{"resourceType": "Observation", "id": "o", "status": "final",
    ...   "subject": {"reference": "Patient/1"}, "effectiveDateTime": "2026-03-01T10:00:00Z",
    ...   "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
    ...   "valueQuantity": {"value": 92, "unit": "/min"}}'''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "one.json"
    ...     _ = file.write_text(resource)
    ...     [read] = read_fhir(file, SourceOptions(format=SourceFormat.FHIR), Catalogue((), ()))
    >>> read.batch.select(["subject_id", "variable", "value"]).to_pylist()
    [{'subject_id': '1', 'variable': '8867-4', 'value': 92.0}]
    """
    chooser = Chooser(catalogue, options.codes)
    files = list_files(path, FHIR_ENDINGS, what="FHIR").files
    waiting = (one for file in files for one in resources_of(file))
    while resources := list(islice(waiting, _RESOURCES_PER_BATCH)):
        yield from _batches(resources, chooser, options.time)


@dataclass(frozen=True)
class _Row:
    """One value, before its time and its text are read."""

    subject: str | None
    time: str | None
    variable: str | None
    value: Value
    unit: str | None
    record_id: str | None
    version: int
    is_withdrawn: bool = False


@dataclass
class _Found:
    """What was found in some resources."""

    rows: list[_Row] = field(default_factory=list)
    persons: list[Person] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)


def _batches(resources: list[Resource], chooser: Chooser, rules: TimeRules) -> Iterator[RowBatch]:
    found = _Found()
    for resource in resources:
        content = resource.content
        if content is None:
            found.ignored[ENTRY_WITHOUT_RESOURCE] += 1
        elif content.get("resourceType") == "Observation":
            _observation(resource, content, chooser, found)
        elif content.get("resourceType") == "Patient":
            _patient(resource, content, found)
        else:
            found.ignored[OTHER_RESOURCE] += 1
    if found.persons:
        yield person_rows(found.persons)
    if found.rows or found.ignored:
        yield _columns(found, rules)


def _columns(found: _Found, rules: TimeRules) -> RowBatch:
    """Read times and texts, now that they are columns."""
    rows = found.rows
    values = [row.value for row in rows]
    words = [value.text if value.is_word else None for value in values]
    read = read_values(
        pa.array([None if value.is_word else value.text for value in values], pa.string())
    )
    numbers = np.array([value.number for value in values], dtype=float)
    comparators = np.array([value.comparator for value in values], dtype=np.int8)
    times = read_times(pa.array([row.time for row in rows], pa.string()), rules)
    # A number is no time of FHIR.
    kinds = np.where(times.kinds == TimeKind.HOURS, TimeKind.INVALID, times.kinds)
    hours = np.zeros(len(rows))
    texts = [word or text for word, text in zip(words, read.texts.to_pylist(), strict=True)]
    columns = times.columns() | {
        "subject_id": pa.array([row.subject for row in rows], pa.string()),
        "time_kind": pa.array(kinds.astype(np.uint8)),
        "hours": pa.array(hours),
        "variable": pa.array([row.variable for row in rows], pa.string()),
        "value": pa.array(np.where(np.isnan(numbers), read.numbers, numbers)),
        "comparator": pa.array(np.where(comparators != 0, comparators, read.comparators)),
        "text": pa.array(texts, pa.string()),
        "unit": pa.array([row.unit for row in rows], pa.string()),
        "record_id": pa.array([row.record_id for row in rows], pa.string()),
        "version": pa.array([row.version for row in rows], pa.int64()),
        "is_withdrawn": pa.array([row.is_withdrawn for row in rows], pa.bool_()),
    }
    remarks = found.remarks + Counter(times.remarks) + Counter({FLAG_IGNORED: read.num_flags})
    return row_batch(columns, ignored=found.ignored, remarks=remarks)


def _observation(resource: Resource, content: Fields, chooser: Chooser, found: _Found) -> None:
    """Add the values of an Observation; where it has none that is used, count why."""
    status = content.get("status")
    is_withdrawn = isinstance(status, str) and status in _WITHDRAWN
    rank = _STATUSES.get(status) if isinstance(status, str) else None
    if rank is None and not is_withdrawn:
        found.ignored[STATUS_NOT_FINAL] += 1
        return
    identity, key = _record_id(resource, content), _version(content)
    version = key * _RANKS + (_WITHDRAWN_RANK if rank is None else rank)
    rows: list[_Row] = []
    ignored = Counter({WITHDRAWN_WITHOUT_ID: 1})
    if rank is not None:
        rows, ignored = _values(resource, content, chooser, found.remarks)
        rows = [_revised(row, identity, version) for row in rows]
    if not rows and identity is not None and (is_withdrawn or _is_revision(content, rank)):
        subject, _ = _subject(resource, content)
        names = names_of(content.get("code"))
        name = chooser.choose(names)[0] if names else None
        time = moment_of(content).text
        rows = [_Row(subject, time, name, Value(), None, identity, version, is_withdrawn=True)]
        ignored = Counter()
    found.rows.extend(rows)
    found.ignored.update(ignored)


def _values(
    resource: Resource, content: Fields, chooser: Chooser, remarks: Counter[str]
) -> tuple[list[_Row], Counter[str]]:
    """Return the rows of an Observation that is used, and why its other values are none."""
    subject, reason = _subject(resource, content)
    moment = moment_of(content)
    reason = _changed_meaning(content) or reason
    rows: list[_Row] = []
    ignored: Counter[str] = Counter()
    for measured in _measured(content):
        said = value_of(measured)
        why = reason or _changed_meaning(measured) or said.reason or moment.reason
        names = names_of(measured.get("code"))
        if why is None and not names:
            why = UNKNOWN_VARIABLE
        if why is not None:
            is_panel = why == MISSING_VALUE and _members(content)
            ignored[PANEL_WITHOUT_VALUE if is_panel else why] += 1
            continue
        name, unit = chooser.choose(names)
        if said.remark is not None:
            remarks[said.remark] += 1
        rows.append(_Row(subject, moment.text, name, said, said.unit or unit, None, 0))
    return rows, ignored


def _measured(content: Fields) -> list[Mapping[str, Any]]:
    """Return what may have a value: the Observation, unless only its components have, and these."""
    parts: list[Mapping[str, Any]] = list(dicts_of(content, "component"))
    return [content, *parts] if has_value(content) or not parts else parts


def _members(content: Fields) -> bool:
    return any(True for _ in dicts_of(content, "hasMember"))


def _changed_meaning(content: Fields) -> str | None:
    """Return the reason for which the content must not be read by what it seems to say."""
    if content.get("modifierExtension"):
        return MODIFIED_MEANING
    if content.get("implicitRules"):
        return MODIFIED_MEANING
    return OTHER_FOCUS if content.get("focus") else None


def _revised(row: _Row, identity: str | None, version: int) -> _Row:
    return _Row(row.subject, row.time, row.variable, row.value, row.unit, identity, version)


def _is_revision(content: Fields, rank: int | None) -> bool:
    """Whether something else was said before under the same `id`."""
    number = _whole(text_of(content.get("meta"), "versionId"))
    return bool(rank) or (number or 0) > 1


def _record_id(resource: Resource, content: Fields) -> str | None:
    """Return the `id`; where a server still has to give one, the address inside the Bundle."""
    return text_of(content, "id") or resource.full_url


def _version(content: Fields) -> int:
    meta = content.get("meta")
    number = _whole(text_of(meta, "versionId"))
    if number is not None:
        return number
    for text in (text_of(meta, "lastUpdated"), text_of(content, "issued")):
        moment = None if text is None else _instant(text)
        if moment is not None:
            return moment
    return 0


def _whole(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    number = int(text)
    return number if number < _HIGHEST else None


def _instant(text: str) -> int | None:
    """Read a moment as microseconds since 1970; None where it is none, or before that."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return max(0, (moment - _EPOCH) // timedelta(microseconds=1))


@lru_cache(maxsize=65_536)
def _patient_of(reference: str) -> str | None:
    return subject_of_reference(reference)


def _subject(resource: Resource, content: Fields) -> tuple[str | None, str | None]:
    """Return the subject, and the reason for which it is none of a Patient's.

    Neither is there where the Observation has no subject at all.
    """
    subject = content.get("subject")
    reference = text_of(subject, "reference")
    if text_of(subject, "type") not in _PATIENT_TYPES:
        return None, SUBJECT_NOT_A_PATIENT
    if reference is None:
        is_named = isinstance(subject, dict) and bool(subject.get(IDENTIFIER))
        return None, SUBJECT_BY_IDENTIFIER if is_named else None
    if "?" in reference:
        return None, SUBJECT_BY_IDENTIFIER
    found = _patient_of(resource.references.get(reference, reference))
    return found, None if found is not None else SUBJECT_NOT_A_PATIENT


def _patient(resource: Resource, content: Fields, found: _Found) -> None:
    if _changed_meaning(content) is not None:
        found.ignored[MODIFIED_MEANING] += 1
        return
    own = text_of(content, "id")
    address = resource.references.get(resource.full_url or "", resource.full_url or "")
    subject = subject_of(own) if own else _patient_of(address)
    born, sex = text_of(content, "birthDate"), content.get("gender")
    birth = None if born is None else birth_of_text(born)
    category = _SEXES.get(sex) if isinstance(sex, str) else None
    found.ignored[INVALID_BIRTH_DATE] += born is not None and birth is None
    found.ignored[SEX_NOT_USED] += sex is not None and category is None
    found.ignored[PERSON_WITHOUT_STATICS] += born is None and sex is None
    record = None if own is None else f"Patient/{own}"
    found.persons.append(Person(subject, birth, category, record, _version(content) * _RANKS))
