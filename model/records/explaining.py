"""One sentence for every reason that a row was not used: the same at every door."""

from types import MappingProxyType
from typing import Final

from model.data.reasons import Reason
from model.data.variables import Static, Variable
from model.records.clocks import FIRST_YEAR, LAST_YEAR, MAX_HOURS
from model.records.comparators import FLAG_IGNORED
from model.records.times import CLOCK_CHANGE

ALLOWED_BY_STRICT: Final = frozenset(
    {
        Reason.KEPT,
        Reason.WITHDRAWN,
        Reason.SUPERSEDED,
        Reason.AMOUNT_ADDED,
        Reason.COMBINED_INTO_SCORE,
    }
)
"""What `strict` allows to become of a row: the source says so itself, or it is what a sum means."""

_REMARKS = MappingProxyType(
    {
        FLAG_IGNORED: "the number was used, the flag behind it was not",
        CLOCK_CHANGE: "the local time is repeated or left out by a change of the clock; the earlier "
        "of its two readings was used",
    }
)
_SENTENCES = MappingProxyType(
    {
        Reason.MISSING_SUBJECT: "the row names no subject",
        Reason.WITHDRAWN: "the source has withdrawn the entry",
        Reason.SUPERSEDED: "the source has corrected the entry with a later version",
        Reason.OTHER_FOCUS: "the entry is about somebody else than the subject",
        Reason.MODIFIED_MEANING: "the entry holds an element that changes its meaning",
        Reason.UNKNOWN_VARIABLE: "the variable is not in the catalogue",
        Reason.VARIABLE_NOT_TRAINED: "the training data of the model hold too few values of it",
        Reason.UNKNOWN_UNIT: "the unit has no conversion to that of the variable",
        Reason.MISSING_TIME: "there is no time",
        Reason.ISSUED_ONLY: "the time of the report is known, that of the measurement is not",
        Reason.INVALID_TIME: "the time cannot be read; expected hours as a number, or ISO 8601 such "
        "as 2026-03-01T10:05:00+01:00",
        Reason.DATE_WITHOUT_TIME: "the date has no time of day; add one, such as 2026-03-01T10:05:00Z",
        Reason.MIXED_TIME_KINDS: "the time is of another kind than most times of the record; hours and dates "
        "must not stand together",
        Reason.TIME_WITHOUT_OFFSET: "most times of the record have an offset from UTC and this one has "
        "none, or the reverse; end every time with Z or an offset such as +01:00",
        Reason.TIME_OUT_OF_RANGE: f"hours must lie between -{MAX_HOURS:.0f} and {MAX_HOURS:.0f}, dates "
        f"between the years {FIRST_YEAR} and {LAST_YEAR}",
        Reason.MISSING_VALUE: "there is no value",
        Reason.NOT_TESTABLE: "the text beside the number says that it could not be tested",
        Reason.VALUE_IS_TEXT: "the value is a word; expected a number, or a limit such as <0.01",
        Reason.INVALID_VALUE: "the value is not finite",
        Reason.UNKNOWN_SENTINEL: "the value is the source's code for not known",
        Reason.DUPLICATE: "another row has the same variable, time and value",
        Reason.CENSORED_SUPERSEDED: "another row of the same time has a measured value or a closer limit",
        Reason.CONFLICT_AVERAGED: "another row of the same time has another value; their mean is used",
        Reason.AMOUNT_ADDED: "the amount was added to another one of the same time",
        Reason.SCORE_SUPERSEDED: "another row of the same time has another score; the lower median of "
        "the scores is used",
        Reason.STATE_SUPERSEDED: "another row of the same time has a larger value, which is used",
        Reason.CONFLICTING_CATEGORY: "the descriptor is given with several categories; none is used",
        Reason.INCOMPLETE_SCORE: "the other parts of the score are missing at this time",
        Reason.COMBINED_INTO_SCORE: "the part was added to the total of the score, which is used",
        Reason.SUBJECT_WITHOUT_OBSERVATIONS: "no observation of the subject is left",
    }
)


def explain(reason: Reason, about: Variable | Static | None = None) -> str:
    """Return why a row was not used. The sentence holds no value, name or unit of the row itself.

    Examples
    --------
    >>> explain(Reason.MISSING_TIME)
    'there is no time'
    """
    if reason in (Reason.IMPLAUSIBLE_VALUE, Reason.UNIT_SUSPECTED):
        return _implausible(reason, about)
    sentence = _SENTENCES[reason]
    return sentence if about is None else f"{about.name}: {sentence}"


def explain_remark(code: str) -> str:
    """Return what a source reader remarked about rows that were used.

    Examples
    --------
    >>> explain_remark("flag_ignored")
    'the number was used, the flag behind it was not'
    """
    return _REMARKS.get(code, code.replace("_", " "))


def _implausible(reason: Reason, about: Variable | Static | None) -> str:
    other_unit = "; the value would fit another unit of the variable"
    suspicion = other_unit if reason is Reason.UNIT_SUSPECTED else ""
    if about is None:
        return f"the value is not plausible{suspicion}"
    low, high = about.plausible_range
    source = (
        f" ({about.range_source})" if isinstance(about, Variable) and about.range_source else ""
    )
    return f"{about.name} is plausible from {low:g} to {high:g} {about.unit}{source}{suspicion}"
