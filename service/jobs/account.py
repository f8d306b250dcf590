"""What became of the rows of a job: how many were not used and why, and what was remarked.

    planning   what its source reader could make no row of
    chunk      the fate of every row, and the remarks about its columns

Both are counted once, and added up. An account holds no value of a patient: reasons, codes, and the
names of variables and units.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final, TypeVar

from model.data.cleaning import Drop
from model.records.explaining import explain_remark
from model.records.remarks import Remark


@dataclass(frozen=True, order=True)
class NotUsed:
    """Rows that were not used, or were merged into another row.

    `variable` is empty where they are about no known one, or about an unknown one of few subjects.
    """

    reason: str
    variable: str
    rows: int


@dataclass(frozen=True, order=True)
class Remarked:
    """Rows that were used, and what is to be said about them in a sentence.

    `variable` and `unit` are empty where it is about no single one; a suspected unit is the other one.
    """

    code: str
    variable: str
    unit: str
    message: str
    rows: int


@dataclass(frozen=True)
class Account:
    """Counts of rows, each kind once, in the order of their names."""

    not_used: tuple[NotUsed, ...] = ()
    remarks: tuple[Remarked, ...] = ()

    @classmethod
    def of_planning(cls, ignored: Mapping[str, int], remarks: Mapping[str, int]) -> "Account":
        """Take the counts of a source reader, by reason and by code."""
        return cls(
            _added(NotUsed(reason, "", rows) for reason, rows in ignored.items()),
            _added(
                Remarked(code, "", "", explain_remark(code), rows) for code, rows in remarks.items()
            ),
        )

    @classmethod
    def of_rows(cls, drops: Iterable[Drop], remarks: Iterable[Remark]) -> "Account":
        """Take what `model.records.reading` says about rows."""
        return cls(
            _added(NotUsed(one.reason, one.variable, one.rows) for one in drops),
            _added(
                Remarked(one.code, one.variable, one.unit, one.message, one.rows) for one in remarks
            ),
        )

    @classmethod
    def of_text(cls, text: str | None) -> "Account":
        """Read what `text` has written; None is an empty account."""
        content = json.loads(text) if text else {}
        return cls(
            tuple(NotUsed(**one) for one in content.get("not_used", ())),
            tuple(Remarked(**one) for one in content.get("remarks", ())),
        )

    @classmethod
    def total(cls, accounts: Iterable["Account"]) -> "Account":
        """Add accounts up.

        Examples
        --------
        >>> one = Account((NotUsed("unknown_unit", "HR", 2),))
        >>> Account.total([one, one]).not_used
        (NotUsed(reason='unknown_unit', variable='HR', rows=4),)
        """
        found = list(accounts)
        return cls(
            _added(one for account in found for one in account.not_used),
            _added(one for account in found for one in account.remarks),
        )

    @property
    def num_not_used(self) -> int:
        """Number of rows that were not used."""
        return sum(one.rows for one in self.not_used)

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))


EMPTY_ACCOUNT: Final = Account()

_Entry = TypeVar("_Entry", NotUsed, Remarked)


def _added(entries: Iterable[_Entry]) -> tuple[_Entry, ...]:
    counts: Counter[_Entry] = Counter()
    for one in entries:
        counts[replace(one, rows=0)] += one.rows
    return tuple(sorted(replace(one, rows=rows) for one, rows in counts.items() if rows))
