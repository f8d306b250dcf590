"""From what became of the rows of a series to the warnings of its answer."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from model.data.reasons import Reason
from model.data.units import accepted_units
from model.data.variables import Catalogue, Static, Variable
from model.records.explaining import ALLOWED_BY_STRICT, explain
from model.records.reading import Records
from service.inference.answers import Remark, RemarkCode
from service.inference.errors import Fault, SeriesRefusedError
from service.inference.observations import PostedRows, Table

# Beyond this many remarks of one code, the rest of the rows share one remark.
_MAX_REMARKS = 100
_MAX_NAMES = 20
# Reasons about a name, a unit or a time: one remark names all of them.
_TOGETHER = frozenset(
    {
        Reason.UNKNOWN_VARIABLE,
        Reason.VARIABLE_NOT_TRAINED,
        Reason.UNKNOWN_UNIT,
        Reason.MISSING_TIME,
        Reason.INVALID_TIME,
        Reason.DATE_WITHOUT_TIME,
        Reason.MIXED_TIME_KINDS,
        Reason.TIME_WITHOUT_OFFSET,
        Reason.TIME_OUT_OF_RANGE,
    }
)
_FIELDS = {
    Reason.UNKNOWN_VARIABLE: "variable",
    Reason.VARIABLE_NOT_TRAINED: "variable",
    Reason.UNKNOWN_UNIT: "unit",
    Reason.MISSING_TIME: "time",
    Reason.INVALID_TIME: "time",
    Reason.DATE_WITHOUT_TIME: "time",
    Reason.MIXED_TIME_KINDS: "time",
    Reason.TIME_WITHOUT_OFFSET: "time",
    Reason.TIME_OUT_OF_RANGE: "time",
}
# What `strict` allows beside the fates that it allows: nothing is changed but the unit. A flag says
# something about a number that is used as it stands.
_ALLOWED_BY_STRICT = frozenset(
    {
        RemarkCode.UNIT_CONVERTED,
        RemarkCode.UNIT_ASSUMED,
        RemarkCode.FLAG_IGNORED,
        RemarkCode.AFTER_AS_OF,
        RemarkCode.DUPLICATE_SUBJECT_ID,
        RemarkCode.START_ASSUMED,
        *(reason.code for reason in ALLOWED_BY_STRICT),
    }
)


def refuse_nothing_left(
    records: Records, posted: PostedRows, table: Table, catalogue: Catalogue, *, at: str
) -> None:
    """Refuse a series of which no observation is left, for the reason of its first row.

    Raises
    ------
    SeriesRefusedError
        If there is none.
    """
    if records.num_observations:
        return
    fates = records.fates[: len(posted.observations)]
    if not len(fates):
        detail = "no observation is left: each is after `as_of`"
        raise SeriesRefusedError(Fault.NO_OBSERVATIONS, detail, path=table.at)
    reason = Reason(int(fates[0]))
    if reason in _TOGETHER:
        about = _described(records, 0, catalogue) or _untrained(posted, 0, catalogue)
        raise SeriesRefusedError(
            Fault(reason.code),
            f"no observation is left; {_expectation(reason, about, catalogue)}",
            path=posted.path(table, 0, _FIELDS[reason], at=at),
        )
    detail = "no observation is left: each is implausible, no number, or after `as_of`"
    raise SeriesRefusedError(Fault.NO_OBSERVATIONS, detail, path=table.at)


def _described(records: Records, row: int, catalogue: Catalogue) -> Variable | Static | None:
    if records.channels[row] >= 0:
        return catalogue[records.channels[row]]
    position = int(records.static_positions[row])
    return catalogue.statics[position] if position >= 0 else None


def _untrained(posted: PostedRows, row: int, catalogue: Catalogue) -> Variable | None:
    """Return the variable of a row that the model was not trained on, if it is one."""
    labels = posted.rows.names
    code = int(labels.codes[row])
    return catalogue.find_untrained(labels.names[code]) if code >= 0 else None


def _expectation(reason: Reason, about: Variable | Static | None, catalogue: Catalogue) -> str:
    """Return the sentence about a reason, with the choices where there are some."""
    sentence = explain(reason, about)
    if reason is Reason.UNKNOWN_VARIABLE:
        names = ", ".join(variable.name for variable in catalogue)
        return f"{sentence}; expected a name or LOINC code of one of: {names}"
    if reason is Reason.UNKNOWN_UNIT and isinstance(about, Variable):
        return f"{sentence}; expected one of: {', '.join(accepted_units(about))}"
    return sentence


def remarks_of(
    records: Records, posted: PostedRows, table: Table, catalogue: Catalogue, *, at: str
) -> Iterator[Remark]:
    """Return the warnings about a series, those about units first."""
    for one in records.remarks:
        path = posted.path(table, one.first_row, "", at=at)
        yield Remark(RemarkCode(one.code), path, one.message, one.rows)
    if len(posted.flagged):
        path = posted.path(table, int(posted.flagged[0]), "", at=at)
        message = "the number was used, the flag beside it was not"
        yield Remark(RemarkCode.FLAG_IGNORED, path, message, len(posted.flagged))
    fates = records.fates[: len(posted.observations)]
    if records.fates[len(fates) :].any():
        yield from _statics(records, posted, table, catalogue, at=at)
    for code in np.flatnonzero(np.bincount(fates)).tolist():
        reason = Reason(code)
        if reason is Reason.KEPT:
            continue
        rows = np.flatnonzero(fates == code)
        if reason in _TOGETHER:
            yield _together(reason, rows, records, posted, table, catalogue, at=at)
        else:
            yield from _one_by_one(reason, rows, records, posted, table, catalogue, at=at)


def _together(
    reason: Reason,
    rows: np.ndarray,
    records: Records,
    posted: PostedRows,
    table: Table,
    catalogue: Catalogue,
    *,
    at: str,
) -> Remark:
    first = int(rows[0])
    about = _described(records, first, catalogue) if reason is Reason.UNKNOWN_UNIT else None
    named = ""
    if reason in (Reason.UNKNOWN_VARIABLE, Reason.VARIABLE_NOT_TRAINED, Reason.UNKNOWN_UNIT):
        labels = posted.rows.names
        codes = dict.fromkeys(labels.codes[rows].tolist())
        names = [labels.names[code] for code in codes if code >= 0]
        shown = ", ".join(f"`{name}`" for name in names[:_MAX_NAMES])
        rest = len(names) - _MAX_NAMES
        named = f" ({shown}{f' and {rest} more' if rest > 0 else ''})"
    message = f"not used{named}: {_expectation(reason, about, catalogue)}"
    path = posted.path(table, first, _FIELDS[reason], at=at)
    return Remark(RemarkCode(reason.code), path, message, len(rows))


def _one_by_one(
    reason: Reason,
    rows: np.ndarray,
    records: Records,
    posted: PostedRows,
    table: Table,
    catalogue: Catalogue,
    *,
    at: str,
) -> Iterator[Remark]:
    code = _wire_code(reason)
    for row in rows[:_MAX_REMARKS].tolist():
        message = explain(reason, _described(records, row, catalogue))
        yield Remark(code, posted.path(table, row, "", at=at), message)
    rest = rows[_MAX_REMARKS:]
    if len(rest):
        yield Remark(
            code,
            posted.path(table, int(rest[0]), "", at=at),
            f"the same holds for {len(rest)} further observations, from this one on",
            len(rest),
        )


def _wire_code(reason: Reason) -> RemarkCode:
    if reason is Reason.IMPLAUSIBLE_VALUE:
        return RemarkCode.IMPLAUSIBLE_VALUE_DROPPED
    if reason is Reason.DUPLICATE:
        return RemarkCode.DUPLICATE_DROPPED
    return RemarkCode(reason.code)


def _statics(
    records: Records, posted: PostedRows, table: Table, catalogue: Catalogue, *, at: str
) -> Iterator[Remark]:
    unknown = 0
    for row in range(len(posted.observations), len(records.fates)):
        reason = Reason(int(records.fates[row]))
        if reason is Reason.KEPT:
            continue
        about = _described(records, row, catalogue)
        if not isinstance(about, Static):
            unknown += 1
            continue
        path = posted.path(table, row, "", at=at)
        yield Remark(RemarkCode.STATIC_IGNORED, path, f"ignored; expected {_static(about)}")
    if unknown:
        names = ", ".join(static.name for static in catalogue.statics)
        message = f"unknown statics were ignored; expected some of: {names}"
        yield Remark(RemarkCode.STATIC_IGNORED, f"{at}.static", message, unknown)


def _static(static: Static) -> str:
    if static.categories:
        return f"one of: {', '.join(static.categories)}"
    low, high = static.plausible_range
    return f"a number from {low:g} to {high:g} ({static.unit})"


def refuse_changes(remarks: Sequence[Remark], *, at: str) -> None:
    """Refuse a series of which something would not be used as it was sent.

    Raises
    ------
    SeriesRefusedError
        If a remark is of a code that `strict` does not allow.
    """
    counts: Counter[str] = Counter()
    for remark in remarks:
        if remark.code not in _ALLOWED_BY_STRICT:
            counts[remark.code] += remark.count
    if counts:
        first = next(one for one in remarks if one.code not in _ALLOWED_BY_STRICT)
        summary = ", ".join(f"{code}: {count}" for code, count in sorted(counts.items()))
        raise SeriesRefusedError(
            Fault.REFUSED_BY_STRICT,
            f"`strict` refuses what would be changed ({summary}); the first place: {first.message}",
            path=first.path or at,
        )
