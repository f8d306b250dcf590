"""The fate of a row: the one vocabulary that imports, batch jobs and the server share."""

from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Int


class Reason(IntEnum):
    """What became of a row. Zero is kept; every other row is not used, or was merged into a kept one.

    The order is the order in which the rules are applied: a row has the first reason that holds.
    In reports and messages a reason is its name in small letters.
    """

    KEPT = 0

    MISSING_SUBJECT = 1
    """Nobody is named: empty, NA, NaN, null, None, n/a, or a reference to something else."""
    WITHDRAWN = 2
    """The source took it back: entered in error, cancelled."""
    SUPERSEDED = 3
    """An older version of a row that the source has corrected since."""
    OTHER_FOCUS = 4
    """It is about somebody or something else than the subject, such as a fetus."""
    MODIFIED_MEANING = 5
    """It carries an element that changes its meaning in a way that is not understood."""
    UNKNOWN_VARIABLE = 6
    """The name or code is not in the catalogue, or is empty."""
    VARIABLE_NOT_TRAINED = 7
    """The model has seen no value of the variable in its training."""
    UNKNOWN_UNIT = 8
    """The unit has no conversion to that of the variable."""
    MISSING_TIME = 9
    """There is no time."""
    ISSUED_ONLY = 10
    """The time of the report is known, that of the measurement is not."""
    INVALID_TIME = 11
    """The time cannot be read, or is NaN or infinite."""
    DATE_WITHOUT_TIME = 12
    """The day is known, the time of the day is not."""
    MIXED_TIME_KINDS = 13
    """The time is of another kind than most of its column: hours among dates, or dates among hours."""
    TIME_OUT_OF_RANGE = 14
    """The time is not between the years 1800 and 2300."""
    MISSING_VALUE = 15
    """There is no value, or the source says why it has none."""
    NOT_TESTABLE = 16
    """The number is a placeholder: a text beside it says that nothing could be tested."""
    VALUE_IS_TEXT = 17
    """The value is a word that stands for no number and no limit."""
    INVALID_VALUE = 18
    """The value is NaN or infinite."""
    UNKNOWN_SENTINEL = 19
    """The source's code for "not known", such as -1."""
    UNIT_SUSPECTED = 20
    """Outside the plausible range of the variable, but another accepted unit would fit."""
    IMPLAUSIBLE_VALUE = 21
    """Outside the plausible range of the variable."""

    DUPLICATE = 22
    """Same series, time, variable and value as another row."""
    CENSORED_SUPERSEDED = 23
    """A limit, beside a measured value or a tighter limit at the same time."""
    CONFLICT_AVERAGED = 24
    """Another value of a level at the same time: averaged into the kept row."""
    AMOUNT_ADDED = 25
    """A further amount at the same time: added to the kept row."""
    SCORE_SUPERSEDED = 26
    """Another value of a score at the same time: the lower median of the values was kept."""
    STATE_SUPERSEDED = 27
    """A smaller value of a state at the same time."""

    CONFLICTING_CATEGORY = 28
    """A descriptor with several categories: none of them is used."""
    INCOMPLETE_SCORE = 29
    """A part of a score whose other parts are missing at that time."""
    COMBINED_INTO_SCORE = 30
    """A part of a score, added to the total that is kept."""
    SUBJECT_WITHOUT_OBSERVATIONS = 31
    """A descriptor of a subject of whom no observation is left."""
    TIME_WITHOUT_OFFSET = 32
    """The time has no offset from UTC, where most times of its column have one, or the reverse."""

    @property
    def code(self) -> str:
        """The name in reports, messages and on the wire."""
        return self.name.lower()


def is_kept(fates: Int[np.ndarray, " row"]) -> Bool[np.ndarray, " row"]:
    """Return where the reason is `KEPT`."""
    # A bare zero: numpy widens a whole column to compare it with a member of an enumeration.
    kept: np.ndarray = fates == 0
    return kept
