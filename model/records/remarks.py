"""What was noticed while a record was read, beside the rows that were not used."""

from dataclasses import dataclass
from enum import StrEnum


class RemarkCode(StrEnum):
    """Stable names of what was noticed. The rows that a remark counts were used."""

    UNIT_CONVERTED = "unit_converted"
    UNIT_ASSUMED = "unit_assumed"
    """Rows without a unit were read in the variable's own."""
    UNIT_SUSPECTED = "unit_suspected"
    """The values fit another unit better than the one that they came in."""
    UNIT_ACCEPTED = "unit_accepted"
    """Rows were read in the unit that the user accepted for a suspected column."""
    CLOCK_SUSPECTED = "clock_suspected"
    """The times look like minutes or seconds, and were read as hours."""
    TEXT_BESIDE_NUMBER = "text_beside_number"
    """The number was used, the text beside it was not."""


@dataclass(frozen=True)
class Remark:
    """A number of rows of one variable in one unit, and a sentence about them.

    `first_row` is the position of the first of them in what was read. `variable` and `unit` are
    empty where the remark is about no single one. The message holds no value of a patient.
    """

    code: RemarkCode
    message: str
    rows: int
    first_row: int
    variable: str = ""
    unit: str = ""
