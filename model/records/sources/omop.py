"""OMOP CDM 5.4: the tables of a folder, as CSV (any delimiter) or Parquet, in any case of letters.

    person                    `birth_date` and `sex`
    measurement, observation  values
    concept                   where it is there, says the LOINC code and the UCUM unit of a concept
    drug_exposure             counted, not used

A table is a file of that name (`MEASUREMENT.csv`, `measurement_000000000001.parquet`) or a folder of
files. A concept is named by its LOINC code, from `concept` or from the usual ones that are known here
(`model.records.sources.omop_concepts`), else as `OMOP//3027018`; where there is none, by the source
value. The time is `..._datetime`, read as it is written, also where it is midnight; without it the day
of `..._date` is known and the time is not.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool

from model.data.variables import Catalogue
from model.records.choosing import Chooser
from model.records.comparators import FLAG_IGNORED, MEASURED, Values, read_values
from model.records.errors import SourceError
from model.records.persons import (
    FEMALE,
    MALE,
    Person,
    birth_microseconds,
    birth_of_text,
    person_rows,
)
from model.records.rows import RowBatch, TimeKind, row_batch
from model.records.sources.files import endings_of, list_files, printable, reading, shown
from model.records.sources.long_table import read_text
from model.records.sources.not_rows import (
    DRUG_EXPOSURE_NOT_USED,
    EVENT_WITHOUT_VALUE,
    INVALID_BIRTH_DATE,
    MALFORMED_ROW,
    MODIFIED_MEANING,
    PERSON_WITHOUT_STATICS,
    SEX_NOT_USED,
)
from model.records.sources.omop_concepts import (
    COMPARATOR_OF_CONCEPT,
    LOINC_OF_CONCEPT,
    SEX_OF_CONCEPT,
    UNIT_OF_CONCEPT,
)
from model.records.sources.options import SourceFormat, SourceOptions
from model.records.sources.sides import with_sides
from model.records.sources.tables import open_table
from model.records.subjects import read_subjects
from model.records.times import TimeRules, Times, read_times

_TABLES: Final = ("concept", "person", "measurement", "observation", "drug_exposure")
_NAME: Final = re.compile(rf"({'|'.join(_TABLES)})(?:[-_]?\d+)*")
_ENDINGS: Final = (*endings_of(SourceFormat.CSV), *endings_of(SourceFormat.PARQUET))
_NO_CONCEPT: Final = (None, "0")
_SEXES: Final = {"m": MALE, "male": MALE, "f": FEMALE, "female": FEMALE}
_SIGNS: Final = {str(concept): sign for concept, sign in COMPARATOR_OF_CONCEPT.items()}
# No text of a table holds it.
_MARK: Final = "\x1f"
Columns = Mapping[str, pa.Array]


def read_omop(path: Path, options: SourceOptions, catalogue: Catalogue) -> Iterator[RowBatch]:
    """Read the tables of a folder, the persons first.

    Raises
    ------
    SourceError
        If there is no table `measurement`, or a table lacks a column that it must have.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> header = "person_id,measurement_concept_id,measurement_datetime,value_as_number"
    >>> _ = (folder / "measurement.csv").write_text(header + "\\n1,3027018,2026-03-01 10:00:00,92\\n")
    >>> [read] = read_omop(folder, SourceOptions(format=SourceFormat.OMOP), Catalogue((), ()))
    >>> read.batch.select(["subject_id", "variable", "value"]).to_pylist()
    [{'subject_id': '1', 'variable': '8867-4', 'value': 92.0}]
    """
    tables = _files(path)
    concepts = _Concepts(Chooser(catalogue, options.codes))
    for file in tables["concept"]:
        concepts.learn(file)
    for file in tables["person"]:
        for columns in _pieces(file, ("person_id",)):
            yield _persons(columns)
    for domain in ("measurement", "observation"):
        wanted = ("person_id", f"{domain}_concept_id", f"{domain}_date|{domain}_datetime")
        for file in tables[domain]:
            for columns in _pieces(file, wanted):
                yield _values_of(_without_prefix(columns, domain), concepts, options.time)
    for file in tables["drug_exposure"]:
        for columns in _pieces(file, ("person_id",)):
            ignored = Counter({DRUG_EXPOSURE_NOT_USED: len(columns["person_id"])})
            yield row_batch({"subject_id": pa.array([], pa.string())}, ignored=ignored)


def _files(path: Path) -> dict[str, list[Path]]:
    """Return the files of each table."""
    found: dict[str, list[Path]] = {name: [] for name in _TABLES}
    for file in list_files(path, _ENDINGS, what="OMOP").files:
        parts = file.relative_to(path).parts if path.is_dir() else (file.name,)
        # The folder of a table says its name, not the parts in it.
        for part in parts:
            match = _NAME.fullmatch(part.lower().split(".")[0])
            if match:
                found[match[1]].append(file)
                break
    if not found["measurement"]:
        raise SourceError(
            "expected the table `measurement` of OMOP CDM, as measurement.csv or "
            "measurement.parquet; found no file of that name",
            name=shown(path),
        )
    return found


def _pieces(file: Path, required: Sequence[str]) -> Iterator[dict[str, pa.Array]]:
    """Read a table as columns by their names in small letters.

    `required` are names; `a|b` is one of two.
    """
    is_parquet = file.name.lower().endswith(endings_of(SourceFormat.PARQUET))
    options = SourceOptions(format=SourceFormat.PARQUET if is_parquet else SourceFormat.CSV)
    with reading(file, "OMOP"):
        for table in open_table(file, options):
            names = [name.strip().lower() for name in table.columns]
            for one in required:
                if not any(name in names for name in one.split("|")):
                    raise SourceError(
                        f"no column `{one.split('|')[-1]}`; found "
                        f"{', '.join(map(printable, table.columns))}",
                        name=shown(file),
                    )
            wanted = [place for place, name in enumerate(names) if name in _COLUMNS]
            for piece in table.stream(wanted):
                kept = [names[place] for place in wanted]
                columns = dict(zip(kept, piece.batch.columns, strict=True))
                size = piece.batch.num_rows
                columns[_MARK] = pa.repeat(pa.scalar(table.decimal_mark), size)
                columns[MALFORMED_ROW] = pa.array([piece.num_malformed])
                yield columns


def _columns_of(domain: str) -> tuple[str, ...]:
    own = ("concept_id", "source_value", "source_concept_id", "date", "datetime", "time")
    return tuple(f"{domain}_{name}" for name in own)


_COLUMNS: Final = frozenset(
    (
        *_columns_of("measurement"),
        *_columns_of("observation"),
        *("person_id", "year_of_birth", "month_of_birth", "day_of_birth", "birth_datetime"),
        *("gender_concept_id", "gender_source_value"),
        *("value_as_number", "value_as_string", "value_as_concept_id", "value_source_value"),
        *("operator_concept_id", "unit_concept_id", "unit_source_value"),
        *("concept_id", "vocabulary_id", "concept_code", "concept_name"),
    )
)


def _without_prefix(columns: Columns, domain: str) -> dict[str, pa.Array]:
    """Call the columns of both tables of values the same."""
    return {name.removeprefix(f"{domain}_"): column for name, column in columns.items()}


def _ids(columns: Columns, name: str, size: int) -> pa.Array:
    """Return whole numbers as text; null where there are none, or zero, which is no concept."""
    column = columns.get(name)
    if column is None:
        return pa.nulls(size, pa.string())
    ids = read_subjects(column, name=name)
    return pc.if_else(pc.equal(ids, "0"), pa.scalar(None, pa.string()), ids)


@dataclass(frozen=True)
class _Concepts:
    """What concept ids mean: from the table `concept` where it is there, else the usual ones."""

    chooser: Chooser
    codes: dict[str, str] = field(default_factory=lambda: _as_text(LOINC_OF_CONCEPT))
    units: dict[str, str] = field(default_factory=lambda: _as_text(UNIT_OF_CONCEPT))
    _names: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)

    def learn(self, file: Path) -> None:
        """Take the LOINC codes and the UCUM units of a table."""
        for columns in _pieces(file, ("concept_id", "vocabulary_id", "concept_code")):
            ids = read_subjects(columns["concept_id"], name="concept_id")
            codes = read_text(columns["concept_code"], name="concept_code")
            vocabulary = read_text(columns["vocabulary_id"], name="vocabulary_id")
            for name, known in (("LOINC", self.codes), ("UCUM", self.units)):
                chosen = pc.fill_null(pc.equal(vocabulary, name), fill_value=False)
                pairs = zip(
                    ids.filter(chosen).to_pylist(), codes.filter(chosen).to_pylist(), strict=True
                )
                known.update((key, code) for key, code in pairs if key and code)

    def name_of(self, key: str) -> tuple[str | None, str | None]:
        """Return the name and the mapped unit of `concept`, `source concept` and `source value`."""
        if key not in self._names:
            concept, source_concept, source = key.split(_MARK, 2)
            names = []
            for one in (concept, source_concept):
                if one:
                    names += [self.codes[one]] if one in self.codes else []
                    names.append(f"OMOP//{one}")
            names += [source] if source else []
            self._names[key] = self.chooser.choose(tuple(names)) if names else (None, None)
        return self._names[key]


def _as_text(known: Mapping[int, str]) -> dict[str, str]:
    return {str(concept): text for concept, text in known.items()}


def _values_of(columns: Columns, concepts: _Concepts, rules: TimeRules) -> RowBatch:
    size = len(columns["person_id"])
    variables, mapped_units = _names(columns, concepts, size)
    values = _values(columns, size)
    operators = _ids(columns, "operator_concept_id", size)
    comparators, is_unreadable = with_sides(values.comparators, operators, _SIGNS)
    times = _times(columns, rules, size)
    found = times.columns() | {
        "subject_id": read_subjects(columns["person_id"], name="person_id"),
        "variable": variables,
        "value": pa.array(values.numbers),
        "comparator": pa.array(comparators),
        "text": values.texts,
        "unit": pc.coalesce(_units(columns, concepts, size), mapped_units),
    }
    is_event = np.isnan(values.numbers) & ~is_unreadable
    is_event &= pc.is_null(values.texts).to_numpy(zero_copy_only=False)
    is_event &= "value_as_string" in columns
    ignored = Counter(
        {
            MODIFIED_MEANING: int(is_unreadable.sum()),
            EVENT_WITHOUT_VALUE: int(is_event.sum()),
            MALFORMED_ROW: columns[MALFORMED_ROW][0].as_py(),
        }
    )
    kept = pa.array(~is_unreadable & ~is_event)
    remarks = Counter(times.remarks) + Counter({FLAG_IGNORED: values.num_flags})
    return row_batch(
        {name: column.filter(kept) for name, column in found.items()},
        ignored=ignored,
        remarks=remarks,
    )


def _names(columns: Columns, concepts: _Concepts, size: int) -> tuple[pa.Array, pa.Array]:
    """Return the name of each row, and the unit that the code map says for it."""
    ids = [_ids(columns, name, size) for name in ("concept_id", "source_concept_id")]
    source = read_text(columns.get("source_value"), name="source_value", size=size)
    parts = [pc.fill_null(part, "") for part in (*ids, source)]
    keys = pc.dictionary_encode(pc.binary_join_element_wise(*parts, _MARK))
    found = [concepts.name_of(key) for key in keys.dictionary.to_pylist()]
    names = pa.array([name for name, _ in found], pa.string()).take(keys.indices)
    return names, pa.array([unit for _, unit in found], pa.string()).take(keys.indices)


def _units(columns: Columns, concepts: _Concepts, size: int) -> pa.Array:
    """Return the unit of the concept, else that of the source; an unknown concept is named."""
    ids = pc.dictionary_encode(_ids(columns, "unit_concept_id", size))
    distinct = ids.dictionary.to_pylist()
    known = pa.array([concepts.units.get(one) for one in distinct], pa.string()).take(ids.indices)
    named = pa.array([f"OMOP//{one}" for one in distinct], pa.string()).take(ids.indices)
    source = read_text(columns.get("unit_source_value"), name="unit_source_value", size=size)
    return pc.coalesce(known, source, named)


def _values(columns: Columns, size: int) -> Values:
    """Return the number; where there is none, what the source wrote, or the concept of the answer.

    A limit that the source wrote stays one, where its bare number was put beside it.
    """
    mark = columns[_MARK][0].as_py() if size else "."
    number = columns.get("value_as_number", pa.nulls(size))
    values = read_values(number, decimal_mark=mark, name="value_as_number")
    numbers, comparators, texts = values.numbers, values.comparators, values.texts
    num_flags = values.num_flags
    for name in ("value_as_string", "value_source_value"):
        if name not in columns:
            continue
        told = read_values(read_text(columns[name], name=name), decimal_mark=mark, name=name)
        is_limit = told.comparators != MEASURED
        comparators = np.where(is_limit, told.comparators, comparators).astype(np.int8)
        is_taken = np.isnan(numbers)
        numbers = np.where(is_taken, told.numbers, numbers)
        texts = pc.coalesce(texts, pc.if_else(pa.array(is_taken), told.texts, texts))
        num_flags += told.num_flags
    answers = pc.binary_join_element_wise("OMOP", _ids(columns, "value_as_concept_id", size), "//")
    is_left = np.isnan(numbers)
    texts = pc.if_else(pa.array(is_left), pc.coalesce(texts, answers), texts)
    return Values(numbers, comparators, texts, num_flags)


def _times(columns: Columns, rules: TimeRules, size: int) -> Times:
    """Return the time of the day where it is known, else the day."""
    days = read_times(columns.get("date", pa.nulls(size, pa.string())), rules, name="date")
    if rules.time_format is None:
        # Some write the day as a midnight that nobody measured at.
        is_day = np.isin(days.kinds, (TimeKind.LOCAL, TimeKind.INSTANT))
        kinds = np.where(is_day, TimeKind.DATE, days.kinds).astype(np.uint8)
        days = Times(kinds, days.hours, days.microseconds)
    if "datetime" not in columns:
        return days
    moments = read_times(columns["datetime"], rules, name="datetime")
    is_missing: Bool[np.ndarray, " row"] = moments.kinds == TimeKind.MISSING
    return Times(
        np.where(is_missing, days.kinds, moments.kinds).astype(np.uint8),
        np.where(is_missing, days.hours, moments.hours),
        np.where(is_missing, days.microseconds, moments.microseconds),
        moments.remarks,
    )


def _persons(columns: Columns) -> RowBatch:
    size = len(columns["person_id"])
    subjects = read_subjects(columns["person_id"], name="person_id").to_pylist()
    parts = zip(
        *(
            _ids(columns, name, size).to_pylist()
            for name in ("year_of_birth", "month_of_birth", "day_of_birth", "gender_concept_id")
        ),
        *(
            _text(columns, name, size).to_pylist()
            for name in ("birth_datetime", "gender_source_value")
        ),
        strict=True,
    )
    ignored: Counter[str] = Counter()
    persons = []
    for subject, (year, month, day, concept, moment, source) in zip(subjects, parts, strict=True):
        birth = _birth(year, month, day, moment)
        sex = _sex(concept, source)
        ignored[INVALID_BIRTH_DATE] += birth is None and bool(year or moment)
        ignored[SEX_NOT_USED] += sex is None and bool(concept or source)
        ignored[PERSON_WITHOUT_STATICS] += not (year or moment or concept or source)
        persons.append(Person(subject, birth, sex))
    ignored[MALFORMED_ROW] += columns[MALFORMED_ROW][0].as_py()
    return person_rows(persons, ignored)


def _text(columns: Columns, name: str, size: int) -> pa.Array:
    """Return text, also of a column of timestamps."""
    column = columns.get(name)
    if column is not None and pa.types.is_temporal(column.type):
        column = column.cast(pa.string())
    return read_text(column, name=name, size=size)


def _birth(year: str | None, month: str | None, day: str | None, moment: str | None) -> int | None:
    parts = [
        int(one) if one and one.isdigit() and len(one) < 5 else None for one in (year, month, day)
    ]
    if parts[0] is not None:
        return birth_microseconds(parts[0], parts[1], parts[2] if parts[1] else None)
    return birth_of_text(moment) if moment else None


def _sex(concept: str | None, source: str | None) -> str | None:
    if concept is not None and concept.isdigit() and int(concept) in SEX_OF_CONCEPT:
        return SEX_OF_CONCEPT[int(concept)]
    return _SEXES.get((source or "").strip().lower())
