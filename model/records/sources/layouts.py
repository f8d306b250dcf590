"""Where the columns of a table stand: a long table, a wide table, or a table of query times.

A table with the columns `variable` and `value` is long: one measurement a row. Without both of them
it is wide: one moment a row, one variable a column.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from model.records.codes import knows_nothing
from model.records.errors import SourceError
from model.records.sources.options import (
    COLUMNS,
    OPTIONAL,
    SUBJECT,
    TIME,
    VALUE,
    VARIABLE,
    SourceOptions,
)
from model.records.unit_texts import split_bracket

SUBJECT_NAMES: Final = (
    "subject_id", "patient_id", "stay_id", "icustay_id", "hadm_id", "patientunitstayid",
    "admissionid", "admission_id", "case_id", "encounter_id", "record_id", "person_id", "patientid",
    "subjectid", "stayid", "caseid", "recordid", "subject", "patient", "case", "id", "pid", "mrn",
)  # fmt: skip
"""Names of a column of subjects, the first that is there wins."""
TIME_NAMES: Final = (
    "time", "charttime", "datetime", "timestamp", "date_time", "measurement_time",
    "measurement_datetime", "observation_time", "effective_time", "starttime", "storetime", "hours",
    "hour", "hr_since_admission", "iculos", "hours_since_admission", "time_hours",
)  # fmt: skip
_OTHER_TIMES: Final = {
    "minutes": "minutes", "minute": "minutes", "seconds": "seconds", "second": "seconds",
    "days": "days", "day": "days", "date": "", "time_of_day": "",
}  # fmt: skip
"""Columns of times that are not in hours, by their unit: they are read where the user says so."""
_LONG_VARIABLES: Final = (
    "itemid", "item", "item_id", "code", "label", "parameter", "param", "test", "test_name", "name",
    "analyte", "measurement", "loinc", "concept_id", "variable_name", "labname", "variableid",
)  # fmt: skip
_LONG_VALUES: Final = (
    "valuenum", "value_num", "valuestr", "numeric_value", "result", "val", "values", "labresult",
    "measurement_value", "value_as_number", "valueuom",
)  # fmt: skip
_INDEX: Final = re.compile(
    r"|unnamed: \d+|\.\.\.1|index|__index_level_\d+__|level_0|rownames?|row_?(id|num|number)"
)
_IDENTIFIER: Final = re.compile(
    r".*[ _.-](id|nr|no|mrn|pid|number|key)|.*(patient|subject|person|case|stay|fall|admission)"
    r".*|.*pat(ienten?)?[ _.-]?(id|nr|no)"
)
_NUMBER_OR_TIME: Final = re.compile(r"[<>]?[+-]?\d[\d.,:/TZ +-]*")
_NUM_SHOWN: Final = 40


@dataclass(frozen=True)
class LongLayout:
    """Positions of our columns among those of a long table, or of a table of query times."""

    positions: dict[str, int]

    @property
    def wanted(self) -> tuple[int, ...]:
        """Positions of the columns that are read."""
        return tuple(self.positions.values())

    def place(self, name: str) -> int | None:
        """Return where one of our columns stands among `wanted`."""
        return list(self.positions).index(name) if name in self.positions else None


@dataclass(frozen=True)
class WideLayout:
    """Positions of the subject, the time, and the variables of a wide table.

    `subject` is None where every file is one subject, `time` where all variables are statics.
    `names` and `units` belong to `variables`. `passed_over` names columns that are no variables.
    """

    subject: int | None
    time: int | None
    variables: tuple[int, ...]
    names: tuple[str, ...]
    units: tuple[str | None, ...]
    passed_over: tuple[str, ...] = ()

    @property
    def wanted(self) -> tuple[int, ...]:
        """Positions of the columns that are read: subject, time, variables."""
        keys = (place for place in (self.subject, self.time) if place is not None)
        return (*keys, *self.variables)


def layout_of(
    columns: Sequence[str],
    options: SourceOptions,
    *,
    is_query: bool = False,
    knows: Callable[[str], bool] = knows_nothing,
    is_static: Callable[[str], bool] = knows_nothing,
) -> LongLayout | WideLayout:
    """Find the columns of a table by its header.

    Parameters
    ----------
    knows
        Whether a name is in the catalogue: a header that is, keeps its brackets.
    is_static
        Whether a name is that of a static: a wide table of nothing else needs no time.

    Raises
    ------
    SourceError
        If a column is missing or there twice; it names what was found and the option that helps.

    Examples
    --------
    >>> from model.records.sources.options import SourceFormat
    >>> options = SourceOptions(format=SourceFormat.CSV)
    >>> layout_of(["stay_id", "hour", "HR", "K [mmol/L]"], options).units
    (None, 'mmol/L')
    """
    found = _Header(tuple(columns), options)
    if is_query:
        return LongLayout({name: found.require(name) for name in (SUBJECT, TIME)})
    variable, value = found.find(VARIABLE), found.find(VALUE)
    if variable is not None and value is not None:
        positions = {name: found.require(name) for name in (SUBJECT, TIME, VARIABLE, VALUE)}
        optional = {name: found.find(name) for name in OPTIONAL}
        return LongLayout(
            positions | {name: place for name, place in optional.items() if place is not None}
        )
    if variable is not None or value is not None or found.looks_long():
        # Half of a long table: the missing half has another name.
        found.require(VARIABLE)
        found.require(VALUE)
    return _wide(found, options, knows, is_static)


@dataclass(frozen=True)
class _Header:
    columns: tuple[str, ...]
    options: SourceOptions

    def find(self, ours: str) -> int | None:
        """Return where a column stands: by the option, by our name, by other names of it."""
        theirs = self.options.columns.get(ours)
        if theirs is not None:
            if theirs not in self.columns:
                raise self._error(f"there is no column `{theirs}`, as --columns {ours}= says")
            return self._once(theirs, ours)
        taken = set(self.options.columns.values())
        others = {SUBJECT: SUBJECT_NAMES, TIME: TIME_NAMES}.get(ours, (ours,))
        for name in others:
            if name in self.columns and name not in taken:
                return self._once(name, ours)
            lowered = [one for one in self.columns if one.lower() == name and one not in taken]
            if lowered:
                return self._once(lowered[0], ours)
        return None

    def require(self, ours: str) -> int:
        """Return where a column stands, or raise."""
        place = self.find(ours)
        if place is None:
            raise self._error(f"no column `{ours}`")
        return place

    def without_time(self, variable: str) -> SourceError:
        """Return the error of a wide table that has no time and is not of statics alone."""
        for name in self.columns:
            unit = _OTHER_TIMES.get(name.lower())
            if unit:
                return self._error(
                    f"no column `time`; `{name}` may be it: say so with --columns time={name} "
                    f"--time-unit {unit}"
                )
        what = "there are others" if self._holds_values() else f"`{variable}` is none"
        return self._error(
            f"no column `time`; a wide table without one holds statics of the catalogue alone, and {what}"
        )

    def looks_long(self) -> bool:
        """Return whether both halves of a long table are there, under names of other programs."""
        names = {name.lower() for name in self.columns}
        return not names.isdisjoint(_LONG_VARIABLES) and not names.isdisjoint(_LONG_VALUES)

    def _once(self, name: str, ours: str) -> int:
        if self.columns.count(name) > 1:
            raise self._error(f"the column `{name}` is there more than once (read as `{ours}`)")
        return self.columns.index(name)

    def _error(self, what: str) -> SourceError:
        return SourceError(
            f"{what}; expected subject_id, time, variable, value, or a wide table with a column for "
            f"each variable; found {self._shown()}. Say what the columns are called with --columns "
            f"ours=theirs, such as --columns time=charttime (ours: {', '.join(COLUMNS)})"
        )

    def _holds_values(self) -> bool:
        return any(_NUMBER_OR_TIME.fullmatch(name.strip()) for name in self.columns)

    def _shown(self) -> str:
        """Return the names of the columns, or that the first line is one of a patient's values."""
        if self._holds_values():
            return "numbers or times in the first line, where the names of the columns should stand"
        shown = ", ".join(name or "(no name)" for name in self.columns[:_NUM_SHOWN]) or "none"
        return f"{shown} ..." if len(self.columns) > _NUM_SHOWN else shown


def _wide(
    found: _Header,
    options: SourceOptions,
    knows: Callable[[str], bool],
    is_static: Callable[[str], bool],
) -> WideLayout:
    subject, time = found.find(SUBJECT), found.find(TIME)
    if subject is None:
        _refuse_suspect(found)
    chosen, passed_over = _variables(found, (subject, time))
    named = [_named(header, options, knows) for header in chosen.values()]
    if time is None:
        other = next((name for name, _ in named if not is_static(_target(name, options))), None)
        if other is not None:
            raise found.without_time(other)
    return WideLayout(
        subject,
        time,
        tuple(chosen),
        tuple(name for name, _ in named),
        tuple(unit for _, unit in named),
        passed_over,
    )


def _named(
    header: str, options: SourceOptions, knows: Callable[[str], bool]
) -> tuple[str, str | None]:
    """Return the name and the unit of a column."""
    if header in options.codes.entries:
        return header, None
    name, unit = split_bracket(header)
    return (header if knows(header) else name), unit


def _target(name: str, options: SourceOptions) -> str:
    mapped = options.codes.find(name)
    return name if mapped is None else mapped.variable


def _refuse_suspect(found: _Header) -> None:
    """Raise where a column may well name subjects: else every file would become one of them."""
    suspect = next((name for name in found.columns if _IDENTIFIER.fullmatch(name.lower())), None)
    if suspect is not None:
        raise SourceError(
            f"no column of subjects was found, and `{suspect}` may be one; say it with "
            f"--columns subject_id={suspect}"
        )


def _variables(
    found: _Header, keys: tuple[int | None, ...]
) -> tuple[dict[int, str], tuple[str, ...]]:
    """Return the columns that are variables by their positions, and the names of the others."""
    chosen: dict[int, str] = {}
    passed_over = []
    for place, name in enumerate(found.columns):
        if place in keys:
            continue
        lowered = name.strip().lower()
        is_other = lowered in {*SUBJECT_NAMES, *TIME_NAMES, *_OTHER_TIMES}
        if is_other or _INDEX.fullmatch(lowered):
            passed_over.append(name or "(no name)")
        else:
            chosen[place] = name
    if not chosen:
        raise SourceError("the table has no column of a variable beside the subject and the time")
    twice = next((name for name in chosen.values() if list(chosen.values()).count(name) > 1), None)
    if twice is not None:
        raise SourceError(
            f"the column `{twice}` is there more than once; give every column a name of its own"
        )
    return chosen, tuple(passed_over)
